package contract

import (
	"encoding/json"
	"fmt"

	"github.com/google/jsonschema-go/jsonschema"

	"orderflow/pkg/schema"
)

// Strict checks messages as a sender has to keep to a schema, with no field that it does not have.
func Strict(s *jsonschema.Schema) (func(body []byte) error, error) {
	resolved, err := schema.Closed(s).Resolve(nil)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.ID, err)
	}
	return func(body []byte) error {
		var doc any
		if err := json.Unmarshal(body, &doc); err != nil {
			return err
		}
		return resolved.Validate(doc)
	}, nil
}
