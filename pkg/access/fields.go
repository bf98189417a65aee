package access

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// fields are those that an entry may have.
var fields = []string{"name", "hash", "customers", "rate", "burst", "expires", "scopes"}

// forms say what a field is, for who wrote something else.
var forms = map[string]string{
	"name": "text", "hash": "text, or a list of texts", "customers": "a list, such as [customer-1]", "rate": "a number of requests a second",
	"burst": "a whole number of requests", "expires": "a date or a time", "scopes": "a list, such as [orders:read, orders:write]",
}

// reading is an entry that is being read.
type reading struct {
	entry Entry
	node  *yaml.Node
	lines map[string]int  // of the fields that there are
	bad   map[string]bool // fields of which something was told: what follows from it is not told as well
	wrong faults
}

// refuse notes what is wrong with a field. One that is not there is wrong where the entry begins.
func (r *reading) refuse(field string, line int, err error) {
	r.bad[field] = true
	r.wrong = append(r.wrong, fault{cmp.Or(line, r.node.Line), err})
}

// sorted are the faults as they stand in the file, with the name of the key.
func (r *reading) sorted() faults {
	slices.SortStableFunc(r.wrong, func(a, b fault) int { return cmp.Compare(a.line, b.line) })
	name := "without a name"
	if r.entry.Name != "" {
		name = quote(r.entry.Name)
	}
	for i, f := range r.wrong {
		r.wrong[i].err = fmt.Errorf("key %s: %w", name, f.err)
	}
	return r.wrong
}

// take takes one field over.
func (r *reading) take(name, value *yaml.Node) {
	field := name.Value
	if name.Kind != yaml.ScalarNode || !slices.Contains(fields, field) {
		meant := near(field)
		r.refuse(meant, name.Line, unknown(field, meant))
		return
	}
	if first := r.lines[field]; first != 0 {
		r.refuse(field, name.Line, fmt.Errorf("%s is there twice, first on line %d", field, first))
		return
	}
	r.lines[field] = name.Line
	if err := r.decode(field, value); err != nil {
		r.refuse(field, name.Line, err)
	}
}

func (r *reading) decode(field string, value *yaml.Node) error {
	switch {
	case value.Tag == "!!null", value.Kind == yaml.ScalarNode && value.Value == "":
		return fmt.Errorf("%s has no value: give it one, or leave it out", field)
	case value.Kind == yaml.AliasNode:
		return fmt.Errorf("%s is an alias: write the value out, so that an entry can be read by itself", field)
	}
	if err := value.Decode(r.entry.at(field)); err != nil {
		return fmt.Errorf("%s must be %s, is %s", field, forms[field], written(value))
	}
	if field == "rate" && r.entry.Rate == 0 || field == "burst" && r.entry.Burst == 0 {
		return errors.New("rate and burst are more than 0; leave them out if the key has no rate of its own")
	}
	return nil
}

// at is where the value of a field belongs.
func (e *Entry) at(field string) any {
	return map[string]any{
		"name": &e.Name, "hash": &e.Hash, "customers": &e.Customers, "rate": &e.Rate, "burst": &e.Burst, "expires": &e.Expires, "scopes": &e.Scopes,
	}[field]
}

// written is a value as it stands in the file, if it is short.
func written(value *yaml.Node) string {
	switch value.Kind {
	case yaml.SequenceNode:
		return "a list with something else in it"
	case yaml.MappingNode:
		return "a set of fields"
	}
	return quote(value.Value)
}

func unknown(field, meant string) error {
	if meant != "" {
		return fmt.Errorf("there is no field %s: did you mean %s?", quote(field), meant)
	}
	return fmt.Errorf("there is no field %s: the fields are %s", quote(field), strings.Join(fields, ", "))
}

// near is the field that is meant by a name that is almost one: it begins as that one does. "" if there is none.
func near(name string) string {
	name = strings.ToLower(name)
	if name == "key" || name == "keys" {
		return "hash"
	}
	for _, field := range fields {
		if strings.HasPrefix(name, field[:3]) {
			return field
		}
	}
	return ""
}
