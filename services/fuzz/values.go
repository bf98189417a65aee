package main

import (
	"math/rand/v2"
	"slices"
	"strings"
	"unicode"

	"github.com/getkin/kin-openapi/openapi3"
	"pgregory.net/rapid"
)

// dice decide what is sent.
type dice struct{ *rand.Rand }

// of tells whether something of that chance in a hundred happens.
func (d dice) of(percent int) bool { return d.IntN(100) < percent }

func pick[T any](d dice, values []T) T { return values[d.IntN(len(values))] }

// example makes a value.
func example[V any](d dice, g *rapid.Generator[V]) V { return g.Example(int(d.Uint32())) }

// meant are values that mean something to the services, by the names of fields: with others alone, no order would get far.
var meant = map[string][]any{
	"currency": {"EUR", "EUR", "EUR", "EUR", "USD", "JPY", "KWD"}, "quantity": {1.0, 2.0, 3.0, 1e9},
	"unit_price":     {"19.99", "0.05", "19.99", "0.05", "0.00", "0.01", "100", "1.000", "92233720368547758.07"},
	"payment_method": {"pm_ok", "pm_ok", "pm_declined", "pm_flaky", "pm_slow"}, "postal_code": {"SW1Y 4JH", "UNDELIVERABLE"}, "country": {"GB"},
	"on_hand": {0.0, 100.0, 1e12}, "Prefer": {"wait=1", "wait=0", "wait=1, respond-async", "wait", "wait=-1", "wait=99999999999999999999", `wait="1"`, "return=minimal"},
	"Idempotency-Key": {"a", "b", `"c"`, `"c";d=1`, `"`, "é"}, "If-None-Match": {"*", `"1"`, `W/"3"`, `"`, `"1", "2"`}, "Last-Event-ID": {"x", "AAAA"},
	"traceparent": {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "00-", "ff"}, "limit": {1.0, 2.0, 200.0},
}

// value makes what a schema allows, mostly something that means something.
func (f *fuzzer) value(d dice, name string, s *openapi3.Schema) any {
	if known := f.known.some(d, name); known != "" && d.of(60) {
		return known
	}
	if m := meant[name]; m != nil && d.of(90) {
		return pick(d, m)
	}
	switch {
	case len(s.Enum) > 0:
		return pick(d, s.Enum)
	case s.Type.Is("object"):
		return f.object(d, s)
	case s.Type.Is("array"):
		return f.array(d, name, s)
	case s.Type.Is("integer"), s.Type.Is("number"):
		return float64(example(d, rapid.Int64Range(limit(s.Min, -1<<40), limit(s.Max, 1<<40))))
	case s.Type.Is("boolean"):
		return d.of(50)
	}
	return text(d, s)
}

func limit(given *float64, otherwise int64) int64 {
	if given == nil {
		return otherwise
	}
	return int64(*given)
}

func (f *fuzzer) object(d dice, s *openapi3.Schema) map[string]any {
	o := map[string]any{}
	for name, p := range s.Properties {
		if d.of(50) || slices.Contains(s.Required, name) {
			o[name] = f.value(d, name, p.Value)
		}
	}
	return o
}

func (f *fuzzer) array(d dice, name string, s *openapi3.Schema) []any {
	n := int(s.MinItems) + d.IntN(4)
	if s.MaxItems != nil && d.of(2) {
		n = int(*s.MaxItems)
	}
	items := make([]any, n)
	for i := range items {
		items[i] = f.value(d, name, s.Items.Value)
	}
	return items
}

// text makes a text of a pattern or, where there is none that is worth it, of any characters.
func text(d dice, s *openapi3.Schema) string {
	made := ""
	if s.Pattern != "" && !strings.HasPrefix(s.Pattern, "^[^") {
		made = example(d, rapid.StringMatching(s.Pattern))
	} else {
		made = strings.Map(visible, example(d, rapid.StringN(int(s.MinLength), 40, -1)))
	}
	if s.MinLength > 0 && strings.TrimSpace(made) == "" {
		made = "x"
	}
	if most := s.MaxLength; most != nil {
		if d.of(3) {
			made = strings.Repeat(made+"é", int(*most))
		}
		runes := []rune(made)
		made = string(runes[:min(len(runes), int(*most))])
	}
	return made
}

// visible leaves out control characters.
func visible(r rune) rune {
	if unicode.IsControl(r) {
		return -1
	}
	return r
}
