package main

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"pgregory.net/rapid"
)

// odd is a value that is rarely right.
func odd(d dice) any {
	return pick(d, []any{
		nil, true, 0.0, -1.0, 1.5, 1e300, 9007199254740993.0, "", " ", "\x00", "\u202e", "null", "0", "-1", "1e2", "NaN", "../../etc/passwd", "' OR ''='", "%00", "%",
		"𝄞", strings.Repeat("x", 201), strings.Repeat("é", 300), strings.Repeat("a", 5000), []any{}, map[string]any{}, []any{nil}, map[string]any{"a": map[string]any{}},
	})
}

// bend changes a value in one place: a field is missing, or there is one too many, or it is something else.
func bend(d dice, v any) any {
	switch v := v.(type) {
	case map[string]any:
		return bendObject(d, v)
	case []any:
		if len(v) > 0 && d.of(80) {
			i := d.IntN(len(v))
			v[i] = bend(d, v[i])
			return v
		}
	}
	return odd(d)
}

func bendObject(d dice, o map[string]any) any {
	names := slices.Sorted(maps.Keys(o))
	switch {
	case len(names) == 0 || d.of(10):
		o[example(d, rapid.String())] = odd(d)
	case d.of(5):
		return odd(d)
	case d.of(20):
		delete(o, pick(d, names))
	default:
		name := pick(d, names)
		o[name] = bend(d, o[name])
	}
	return o
}

// spoil makes of JSON what is none, or JSON that others read otherwise.
func spoil(d dice, body []byte) []byte {
	switch at := d.IntN(len(body) + 1); d.IntN(6) {
	case 0:
		return body[:at]
	case 1:
		return slices.Concat(body[:at], []byte{byte(d.IntN(256))}, body[at:])
	case 2:
		return append(body, body...)
	case 3:
		return []byte(strings.Replace(string(body), "{", `{"customer_id":"twice",`, 1))
	case 4:
		return slices.Concat([]byte("\ufeff"), body)
	}
	return []byte(strings.Repeat("[", 1+d.IntN(20_000)))
}

// written is a value as JSON. What cannot be written is null.
func written(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		return []byte("null")
	}
	return text
}
