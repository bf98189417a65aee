package contract

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/jsonschema-go/jsonschema"
)

// schemas are where the schemas of the order workflow are; those of its last release are below.
const schemas = "../event/schemas"

func TestNothingThatWasReleasedBreaks(t *testing.T) {
	released, current := read(t, schemas+"/released"), read(t, schemas)
	if len(released) < 15 {
		t.Errorf("%d schemas were released, want 15 and more", len(released))
	}
	for _, b := range Breaks(released, current) {
		t.Error(b)
	}
}

func read(t *testing.T, folder string) map[string]*jsonschema.Schema {
	t.Helper()
	found, err := Read(os.DirFS(folder))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// Each kind of break is found, and nothing else is called one.
func TestBreaks(t *testing.T) {
	const file = "PaymentFailed.v1.json"
	type object = map[string]any
	data := func(doc object) object { return in(doc, "properties", "data") }
	field := func(doc object, name string) object { return in(doc, "properties", "data", "properties", name) }
	item := func(doc object) object { return in(doc, "$defs", "Item") }
	require := func(o object, name string) { o["required"] = append(o["required"].([]any), name) }
	for _, c := range []struct {
		name   string
		change func(doc object)
		want   []string // in the breaks; none: it is fine
	}{
		{"nothing", func(object) {}, nil},

		{"removed field", func(d object) {
			delete(in(data(d), "properties"), "detail")
		}, []string{"/data/detail: was removed or renamed"}},
		{"renamed field", func(d object) {
			f := in(data(d), "properties")
			f["payment"] = f["payment_id"]
			delete(f, "payment_id")
			data(d)["required"] = slices.DeleteFunc(data(d)["required"].([]any), func(n any) bool { return n == "payment_id" })
		}, []string{"/data/payment_id: was removed or renamed"}},
		{"renamed field that stays required", func(d object) {
			f := in(data(d), "properties")
			f["payment"] = f["payment_id"]
			delete(f, "payment_id")
			require(data(d), "payment")
		}, []string{"/data/payment_id: was removed or renamed", "/data/payment: narrower: is new and required"}},
		{"removed field of an item", func(d object) {
			delete(in(item(d), "properties"), "unit_price")
		}, []string{"/data/items/*/unit_price: was removed or renamed"}},
		{"removed field of the envelope", func(d object) {
			delete(in(d, "properties"), "correlationid")
		}, []string{"/correlationid: was removed or renamed"}},

		{"other type", func(d object) { field(d, "detail")["type"] = "integer" }, []string{`/data/detail: its type was "string" and is "integer"`}},
		{"narrower type", func(d object) { field(d, "currency")["type"] = "null" }, []string{"/data/currency: its type"}},
		{"no type any more", func(d object) { delete(field(d, "currency"), "type") }, []string{"/data/currency: its type"}},
		{"several types", func(d object) { field(d, "currency")["type"] = []any{"string", "null"} }, []string{"/data/currency: its type"}},
		{"other format", func(d object) { field(d, "payment_id")["format"] = "uri" }, []string{`its format was "uuid" and is "uri"`}},
		{"other pattern", func(d object) { field(d, "currency")["pattern"] = "^[A-Z]{2}$" }, []string{"/data/currency: its pattern"}},
		{"new pattern", func(d object) { in(item(d), "properties", "quantity")["pattern"] = "." }, []string{"/data/items/*/quantity: its pattern was not given"}},
		{"new constant", func(d object) { field(d, "currency")["const"] = "EUR" }, []string{`its const was not given and is "EUR"`}},
		{"other source", func(d object) { in(d, "properties", "source")["const"] = "/billing" }, []string{`/source: its const was "/payment" and is "/billing"`}},
		{"other dataschema", func(d object) {
			in(d, "properties", "dataschema")["const"] = "urn:orderflow:event:PaymentFailed:2"
		}, []string{"/dataschema: its const"}},
		{"other id of the schema", func(d object) { d["$id"] = "urn:orderflow:event:PaymentFailed:2" }, []string{"in a way that this check does not know"}},

		{"value removed", func(d object) {
			field(d, "reason")["enum"] = field(d, "reason")["enum"].([]any)[1:]
		}, []string{"/data/reason: narrower: payment_failed is no longer one"}},
		{"value added", func(d object) {
			field(d, "reason")["enum"] = append(field(d, "reason")["enum"].([]any), "fraud")
		}, []string{"/data/reason: wider: fraud is a value that readers do not know"}},
		{"values no longer listed", func(d object) { delete(field(d, "reason"), "enum") }, []string{"/data/reason: was an enumeration"}},
		{"values listed", func(d object) { field(d, "currency")["enum"] = []any{"EUR"} }, []string{"/data/currency: was an enumeration"}},

		{"new required field", func(d object) {
			in(data(d), "properties")["risk"] = object{"type": "string"}
			require(data(d), "risk")
		}, []string{"/data/risk: narrower: is new and required"}},
		{"required now", func(d object) { require(data(d), "detail") }, []string{"/data/detail: narrower: is required now"}},
		{"no longer required", func(d object) { data(d)["required"] = []any{} }, []string{"/data/payment_id: wider: is no longer always there"}},

		{"higher minimum", func(d object) { in(item(d), "properties", "quantity")["minimum"] = 2 }, []string{"/data/items/*/quantity: narrower: its minimum was 1 and is 2"}},
		{"lower maximum", func(d object) { in(item(d), "properties", "quantity")["maximum"] = 10 }, []string{"narrower: its maximum was 1e+09 and is 10"}},
		{"shorter texts", func(d object) { field(d, "detail")["maxLength"] = 20 }, []string{"/data/detail: narrower: its maxLength was 200 and is 20"}},
		{"longer texts only", func(d object) { field(d, "detail")["minLength"] = 1 }, []string{"/data/detail: narrower: its minLength was not given and is 1"}},
		{"fewer items", func(d object) { field(d, "items")["maxItems"] = 50 }, []string{"/data/items: narrower: its maxItems"}},
		{"more items", func(d object) { field(d, "items")["minItems"] = 2 }, []string{"/data/items: narrower: its minItems"}},

		{"other routing key", func(d object) { in(d, Annotation)["routing_key"] = "payment.refused" }, []string{`its routing_key was "payment.failed" and is "payment.refused"`}},
		{"other exchange", func(d object) { in(d, Annotation)["exchange"] = "x" }, []string{"its exchange"}},
		{"no longer always taken", func(d object) { in(d, Annotation)["always_taken"] = false }, []string{"its always_taken was true and is false"}},
		{"nothing said of where it goes", func(d object) { delete(d, Annotation) }, []string{"its routing_key was"}},

		{"closed", func(d object) { data(d)["additionalProperties"] = false }, []string{"/data: was changed in a way that this check does not know"}},
		{"alternatives", func(d object) { field(d, "currency")["not"] = object{"const": "EUR"} }, []string{"/data/currency: was changed in a way"}},
		{"limit beside a reference", func(d object) { field(d, "shipping_address")["maxProperties"] = 2 }, []string{"/data/shipping_address: was changed in a way"}},
		{"reference to nothing", func(d object) { delete(in(d, "$defs"), "Address") }, []string{"/data/shipping_address: was changed in a way"}},
		{"items no longer described", func(d object) { delete(field(d, "items"), "items") }, []string{"/data/items: was changed in a way"}},

		{"new optional field", func(d object) {
			in(data(d), "properties")["risk"] = object{"type": "string", "maxLength": 3}
		}, nil},
		{"new optional field of the envelope", func(d object) { in(d, "properties")["tenant"] = object{"type": "string"} }, nil},
		{"wider limits", func(d object) {
			field(d, "detail")["maxLength"], field(d, "items")["maxItems"] = 2000, 1000
			delete(in(item(d), "properties", "quantity"), "maximum")
			in(item(d), "properties", "quantity")["minimum"] = 0
		}, nil},
		{"other words", func(d object) {
			d["description"], d["title"], field(d, "detail")["description"], field(d, "detail")["deprecated"] = "x", "y", "z", true
		}, nil},
		{"other order of values", func(d object) { slices.Reverse(field(d, "reason")["enum"].([]any)) }, nil},
		{"described in place", func(d object) {
			field(d, "items")["items"] = item(d)
			delete(in(d, "$defs"), "Item")
		}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			released := map[string]*jsonschema.Schema{file: read(t, schemas)[file]}
			got := Breaks(released, map[string]*jsonschema.Schema{file: changed(t, file, c.change)})
			for _, want := range c.want {
				if !slices.ContainsFunc(got, func(b string) bool { return strings.Contains(b, want) && strings.HasPrefix(b, file+": ") }) {
					t.Errorf("%q has no %q", got, want)
				}
			}
			if c.want == nil && got != nil {
				t.Errorf("called a break: %q", got)
			}
		})
	}
}

func TestWholeEventsComeAndGo(t *testing.T) {
	all := read(t, schemas)
	fewer := read(t, schemas)
	delete(fewer, "OrderShipped.v1.json")
	if got := Breaks(fewer, all); got != nil {
		t.Errorf("a new event is called a break: %q", got)
	}
	if got := Breaks(all, fewer); len(got) != 1 || !strings.Contains(got[0], "OrderShipped.v1.json: was released, and is no longer read") {
		t.Errorf("an event that is gone: %q", got)
	}
}

// A type that refers to itself is compared to its end.
func TestTypesThatReferToThemselves(t *testing.T) {
	tree := func(leaf string) map[string]*jsonschema.Schema {
		node := &jsonschema.Schema{Type: "object", Properties: map[string]*jsonschema.Schema{
			"next": {Ref: "#/$defs/Node"}, "leaf": {Type: leaf}}}
		root := &jsonschema.Schema{Properties: map[string]*jsonschema.Schema{"tree": {Ref: "#/$defs/Node"}}}
		root.Defs = map[string]*jsonschema.Schema{"Node": node}
		return map[string]*jsonschema.Schema{"x": root}
	}
	if got := Breaks(tree("string"), tree("string")); got != nil {
		t.Errorf("%q", got)
	}
	if got := Breaks(tree("string"), tree("number")); len(got) != 1 {
		t.Errorf("%q", got)
	}
}

// in is the object at the end of a path.
func in(doc map[string]any, path ...string) map[string]any {
	for _, name := range path {
		doc = doc[name].(map[string]any)
	}
	return doc
}

// changed is a schema file after a change.
func changed(t *testing.T, file string, change func(map[string]any)) *jsonschema.Schema {
	t.Helper()
	text, err := os.ReadFile(schemas + "/" + file)
	if err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	change(doc)
	if text, err = json.Marshal(doc); err != nil {
		t.Fatal(err)
	}
	s := &jsonschema.Schema{}
	if err := json.Unmarshal(text, s); err != nil {
		t.Fatal(err)
	}
	return s
}
