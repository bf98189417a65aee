package main

import (
	"path"

	"orderflow/pkg/contract"
	"orderflow/pkg/event"
)

const (
	module       = "orderflow"         // that the types of events are in
	schemaFolder = "pkg/event/schemas" // has the schemas that the runtime checks by
)

// eventDocuments are those of the events.
func eventDocuments(root string) (map[string][]byte, error) {
	files, err := eventSchemas(root)
	if err != nil {
		return nil, err
	}
	all, err := readers()
	if err != nil {
		return nil, err
	}
	told, err := examples()
	if err != nil {
		return nil, err
	}
	if files["services/documents/asyncapi.yaml"], err = asyncAPI(root, all, told); err != nil {
		return nil, err
	}
	if files["docs/events.md"], err = guide(root, all, told, false); err != nil {
		return nil, err
	}
	served, err := guide(root, all, told, true)
	if err != nil {
		return nil, err
	}
	files["services/documents/events.html"], err = page("Events of orderflow", served)
	return files, err
}

func eventSchemas(root string) (map[string][]byte, error) {
	files := map[string][]byte{}
	for _, k := range event.Orders.Kinds() {
		for _, v := range k.Versions() {
			s, err := contract.Schema(event.Orders, k, v, module, root)
			if err != nil {
				return nil, err
			}
			if files[path.Join(schemaFolder, v.File())], err = contract.Text(s); err != nil {
				return nil, err
			}
		}
	}
	return files, nil
}
