package document

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"

	"go.yaml.in/yaml/v3"
)

// Fields is an object of JSON whose fields have an order.
type Fields []Field

// Field is one of them; its value is anything that encoding/json can write.
type Field struct {
	Name  string
	Value any
}

// Of makes an object of names and values in turn. A field without a value (nil, "", false or an empty object) is left out. It panics on an odd number
// of arguments, and on a name that is no string.
func Of(pairs ...any) (f Fields) {
	for i := 0; i < len(pairs); i += 2 {
		f = f.With(pairs[i].(string), pairs[i+1])
	}
	return f
}

// With adds a field, if it has a value.
func (f Fields) With(name string, value any) Fields {
	switch v := value.(type) {
	case nil:
		return f
	case string:
		if v == "" {
			return f
		}
	case bool:
		if !v {
			return f
		}
	case Fields:
		if len(v) == 0 {
			return f
		}
	}
	return append(f, Field{name, value})
}

// MarshalJSON implements json.Marshaler.
func (f Fields) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, field := range f {
		if i > 0 {
			b.WriteByte(',')
		}
		name, err := json.Marshal(field.Name)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(field.Value)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", field.Name, err)
		}
		b.Write(name)
		b.WriteByte(':')
		b.Write(value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// YAML writes what encoding/json would, as YAML in blocks.
func YAML(v any) ([]byte, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	var node yaml.Node
	if err := yaml.Unmarshal(text, &node); err != nil { // JSON is YAML
		return nil, err
	}
	block(&node)
	var b bytes.Buffer
	encoder := yaml.NewEncoder(&b)
	encoder.SetIndent(2)
	if err := encoder.Encode(&node); err != nil {
		return nil, err
	}
	return b.Bytes(), encoder.Close()
}

// older are the words that readers of YAML 1.1 take for booleans, and that stay in quotes.
var older = regexp.MustCompile(`(?i)^(y|n|yes|no|on|off)$`)

// block lets the encoder choose how it writes a value, but for an empty one.
func block(n *yaml.Node) {
	if n.Kind == yaml.ScalarNode && !older.MatchString(n.Value) || len(n.Content) > 0 {
		n.Style = 0
	}
	for _, child := range n.Content {
		block(child)
	}
}
