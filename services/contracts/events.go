package main

import (
	"path"

	"orderflow/pkg/contract"
	"orderflow/pkg/event"
)

// module is the one that the types of events are in.
const module = "orderflow"

// schemaFolder has the schemas that the runtime checks by.
const schemaFolder = "pkg/event/schemas"

// eventDocuments are those of the events.
func eventDocuments(root string) (map[string][]byte, error) {
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
