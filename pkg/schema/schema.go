package schema

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/google/jsonschema-go/jsonschema"
)

// Describer makes schemas. Its fields may be set before it is used first.
type Describer struct {
	// Known are the schemas of types that are not what reflection sees, such as an amount that is written as a string.
	Known map[reflect.Type]*jsonschema.Schema
	// Field, if there is one, may narrow the schema of a struct's field beyond what its type says.
	Field func(owner reflect.Type, name string, required bool, s *jsonschema.Schema)
	// Refer, if there is one, gives a struct type a name, under which it is kept in Defs, and the reference to it; "" describes it in place.
	Refer func(reflect.Type) (name, ref string)
	// Defs are the types that were referred to.
	Defs map[string]*jsonschema.Schema

	source *source
}

// New makes a describer of the types of a module, whose source is in the folder root.
func New(module, root string) *Describer {
	return &Describer{Known: map[reflect.Type]*jsonschema.Schema{}, Defs: map[string]*jsonschema.Schema{}, source: newSource(module, root)}
}

// Of describes a type as encoding/json and its successor write it: a field is required unless its tag lets it be left out. Objects may have
// further properties, since readers ignore what they do not know; [Closed] forbids them.
func (d *Describer) Of(t reflect.Type) (*jsonschema.Schema, error) {
	if known, ok := d.Known[t]; ok {
		return known.CloneSchemas(), nil
	}
	switch t.Kind() {
	case reflect.Pointer:
		return d.Of(t.Elem())
	case reflect.String:
		return d.text(t)
	case reflect.Bool:
		return &jsonschema.Schema{Type: "boolean"}, nil
	case reflect.Int, reflect.Int32, reflect.Int64, reflect.Uint8, reflect.Uint32:
		return &jsonschema.Schema{Type: "integer"}, nil
	case reflect.Slice:
		items, err := d.Of(t.Elem())
		return &jsonschema.Schema{Type: "array", Items: items}, err
	case reflect.Map:
		values, err := d.Of(t.Elem())
		return &jsonschema.Schema{Type: "object", AdditionalProperties: values}, err
	case reflect.Struct:
		return d.named(t)
	}
	return nil, fmt.Errorf("there is no schema of %s", t)
}

// text describes a type of strings; one with constants has no other values than those.
func (d *Describer) text(t reflect.Type) (*jsonschema.Schema, error) {
	s := &jsonschema.Schema{Type: "string"}
	if t.PkgPath() == "" {
		return s, nil
	}
	values, err := d.source.values(t)
	for _, v := range values {
		s.Enum = append(s.Enum, v)
	}
	return s, err
}

// named describes a struct, or refers to its description.
func (d *Describer) named(t reflect.Type) (*jsonschema.Schema, error) {
	if d.Refer == nil {
		return d.object(t)
	}
	name, ref := d.Refer(t)
	if name == "" {
		return d.object(t)
	}
	if _, done := d.Defs[name]; !done {
		described, err := d.object(t)
		if err != nil {
			return nil, err
		}
		d.Defs[name] = described
	}
	return &jsonschema.Schema{Ref: ref}, nil
}

func (d *Describer) object(t reflect.Type) (*jsonschema.Schema, error) {
	s := &jsonschema.Schema{Type: "object", Properties: map[string]*jsonschema.Schema{}}
	comment, err := d.source.comment(t, "")
	if err != nil {
		return nil, err
	}
	s.Description = comment
	return s, d.fields(s, t)
}

// fields adds the fields of a struct, and those of the structs that are embedded in it, in their order.
func (d *Describer) fields(s *jsonschema.Schema, t reflect.Type) error {
	for f := range t.Fields() {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "-" || !f.IsExported() && !f.Anonymous:
			continue
		case f.Anonymous && name == "":
			if err := d.fields(s, f.Type); err != nil {
				return err
			}
			continue
		case name == "":
			return fmt.Errorf("%s.%s has no name in JSON", t, f.Name)
		}
		field, err := d.Of(f.Type)
		if err != nil {
			return fmt.Errorf("%s.%s: %w", t, f.Name, err)
		}
		if comment, err := d.source.comment(t, f.Name); err != nil {
			return err
		} else if comment != "" {
			field.Description = comment
		}
		required := !strings.Contains(options, "omitempty") && !strings.Contains(options, "omitzero")
		if required {
			s.Required = append(s.Required, name)
		}
		if d.Field != nil {
			d.Field(t, name, required, field)
		}
		s.Properties[name] = field
		s.PropertyOrder = append(s.PropertyOrder, name)
	}
	return nil
}

// Closed returns a copy that forbids further properties, in objects within objects, too: what a sender keeps to, and a reader must not ask for.
// References are left as they are.
func Closed(s *jsonschema.Schema) *jsonschema.Schema {
	s = s.CloneSchemas()
	for _, p := range s.Properties {
		*p = *Closed(p)
	}
	if s.Items != nil {
		s.Items = Closed(s.Items)
	}
	for _, p := range s.Defs {
		*p = *Closed(p)
	}
	if s.Type == "object" && s.AdditionalProperties == nil {
		s.AdditionalProperties = &jsonschema.Schema{Not: &jsonschema.Schema{}}
	}
	return s
}
