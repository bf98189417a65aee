package contract

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/google/jsonschema-go/jsonschema"
	"github.com/google/uuid"

	"orderflow/pkg/document"
	"orderflow/pkg/event"
	"orderflow/pkg/schema"
)

// Dialect is the JSON Schema that the schemas are written in.
const Dialect = "https://json-schema.org/draft/2020-12/schema"

// Annotation is the keyword under which a schema tells where its event is published, and by whom.
const Annotation = "x-orderflow"

// Patterns that mean the same in Go and in ECMA 262. A control character is one of Unicode's; a text that is required has something in it that
// is neither that nor blank. There is one way only to match each, so that it costs little to try.
const (
	control = `\x00-\x1f\x7f-\x9f`
	blank   = " \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"

	plainText    = `^[^` + control + `]*$`
	requiredText = `^[` + blank + `]*[^` + control + blank + `][^` + control + `]*$`
	amount       = `^(0|[1-9][0-9]*)(\.[0-9]{1,9})?$`
	anyUUID      = `^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`
	uuidV7       = `^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}$`
	moment       = `^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})$`

	longestAmount = 20 // characters of 64 bits and a point
)

// Describer makes schemas of the versions of a catalog's events.
type Describer struct {
	types   *schema.Describer
	catalog *event.Catalog
}

// NewDescriber makes a describer of events whose Go types are in a module with its source in the folder root. A type that is part of several
// events is referred to by its name behind refs: "#/$defs/".
func NewDescriber(catalog *event.Catalog, module, root, refs string) *Describer {
	types := schema.New(module, root)
	types.Known = map[reflect.Type]*jsonschema.Schema{
		reflect.TypeFor[event.Amount](): {Type: "string", Pattern: amount, MaxLength: new(longestAmount)},
		reflect.TypeFor[uuid.UUID]():    {Type: "string", Format: "uuid", Pattern: anyUUID},
	}
	types.Field = limit
	types.Refer = func(t reflect.Type) (name, ref string) {
		if t.Implements(reflect.TypeFor[event.Payload]()) || reflect.PointerTo(t).Implements(reflect.TypeFor[event.Payload]()) {
			return "", ""
		}
		return t.Name(), refs + t.Name()
	}
	return &Describer{types, catalog}
}

// Defs are the types that were referred to.
func (d *Describer) Defs() map[string]*jsonschema.Schema { return d.types.Defs }

// limit adds to the schema of a field what the checks of package event demand.
func limit(_ reflect.Type, name string, required bool, s *jsonschema.Schema) {
	switch {
	case name == "currency":
		s.Pattern = "^[A-Z]{3}$"
	case name == "quantity":
		s.Minimum, s.Maximum = new(1.0), new(float64(event.MaxQuantity))
	case s.Type == "string" && s.Pattern == "" && s.Enum == nil:
		text(s, required, event.MaxText)
	case s.Type == "array":
		s.MinItems, s.MaxItems = new(1), new(event.MaxItems)
		if s.Items.Type == "string" {
			text(s.Items, true, event.MaxText)
		}
	}
}

func text(s *jsonschema.Schema, required bool, longest int) *jsonschema.Schema {
	s.Type, s.MaxLength, s.Pattern = "string", &longest, plainText
	if required {
		s.MinLength, s.Pattern = new(1), requiredText
	}
	return s
}

// Message describes a version of an event as it is sent: the envelope and its data.
func (d *Describer) Message(k *event.Kind, v *event.Version) (*jsonschema.Schema, error) {
	data, err := d.types.Of(v.Data)
	if err != nil {
		return nil, err
	}
	s := &jsonschema.Schema{
		Title: string(k.Type), Description: data.Description, Type: "object", Properties: map[string]*jsonschema.Schema{},
		Extra: map[string]any{Annotation: map[string]any{
			"exchange": d.catalog.Exchange, "routing_key": k.RoutingKey, "always_taken": k.Expected,
		}},
	}
	data.Description = "The order, and what the event says of it."
	for _, f := range envelope(k, v, data) {
		f.schema.Description = f.description
		s.Properties[f.name] = f.schema
		s.PropertyOrder = append(s.PropertyOrder, f.name)
		if !f.optional {
			s.Required = append(s.Required, f.name)
		}
	}
	return s, nil
}

// field is one of the envelope.
type field struct {
	name, description string
	schema            *jsonschema.Schema
	optional          bool
}

func envelope(k *event.Kind, v *event.Version, data *jsonschema.Schema) []field {
	foreign := func() *jsonschema.Schema { return text(&jsonschema.Schema{}, false, event.MaxForeign) }
	return []field{
		{"specversion", "The version of CloudEvents.", constant("1.0"), false},
		{"id", "Of this event, a UUIDv7. The same event may come more than once, always with the same id.",
			&jsonschema.Schema{Type: "string", Format: "uuid", Pattern: uuidV7}, false},
		{"source", "The service that says it.", constant("/" + k.Source), false},
		{"type", "What happened.", constant(string(k.Type)), false},
		{"subject", "The id of the order.", &jsonschema.Schema{Type: "string", Format: "uuid", Pattern: anyUUID}, false},
		{"time", "When it happened.", &jsonschema.Schema{Type: "string", Format: "date-time", Pattern: moment}, false},
		{"datacontenttype", "What the data is.", constant("application/json"), false},
		{"dataschema", "The type with its version. What cannot be read by this schema has another one.", constant(v.Schema), false},
		{"correlationid", "The same for everything that one request set off.", foreign(), true},
		{"causationid", "The id of the event that this one answers.", foreign(), true},
		{"traceparent", "W3C trace context.", foreign(), true},
		{"data", data.Description, data, false},
	}
}

func constant(value string) *jsonschema.Schema {
	return &jsonschema.Schema{Type: "string", Const: new(any(value))}
}

// Schema is that of a version of an event, complete in itself. The types are found in a module whose source is in the folder root.
func Schema(catalog *event.Catalog, k *event.Kind, v *event.Version, module, root string) (*jsonschema.Schema, error) {
	d := NewDescriber(catalog, module, root, "#/$defs/")
	s, err := d.Message(k, v)
	if err != nil {
		return nil, err
	}
	s.ID, s.Schema, s.Defs = v.Schema, Dialect, d.Defs()
	return s, nil
}

// order is that of the keywords of a message's schema in its file: what it is about first.
var order = []string{"$schema", "$id", "title", "description", Annotation, "type", "required", "properties", "$defs"}

// Text writes the schema of a message as a file: indented, and what is not ASCII escaped, since patterns have characters that nobody sees.
func Text(s *jsonschema.Schema) ([]byte, error) {
	text, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	var keywords map[string]json.RawMessage
	if err := json.Unmarshal(text, &keywords); err != nil {
		return nil, err
	}
	var sorted document.Fields
	for _, name := range order {
		sorted = append(sorted, document.Field{Name: name, Value: keywords[name]})
		delete(keywords, name)
	}
	if len(keywords) > 0 {
		return nil, fmt.Errorf("%s: there is no place for %q", s.ID, slices.Sorted(maps.Keys(keywords)))
	}
	if text, err = json.MarshalIndent(sorted, "", "  "); err != nil {
		return nil, err
	}
	return ascii(append(text, '\n')), nil
}

// ascii escapes what is not ASCII in JSON. All of it is in strings.
func ascii(text []byte) (out []byte) {
	for _, r := range string(text) {
		if r < utf8.RuneSelf {
			out = append(out, byte(r))
			continue
		}
		for _, unit := range utf16.AppendRune(nil, r) {
			out = fmt.Appendf(out, `\u%04x`, unit)
		}
	}
	return out
}
