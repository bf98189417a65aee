package event

import (
	"errors"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

var wholeSchemas sync.Map // by type

// wholeSchema checks a message against all of its type's schema, and not its data alone. Readers take three things that nobody here sends: for
// CloudEvents a field of the envelope that is null is the same as none, it need not say what its data is, and anybody may be its source.
func wholeSchema(t *testing.T, of Type) func(body []byte) error {
	t.Helper()
	found, ok := wholeSchemas.Load(of)
	if !ok {
		s, err := compile(Schemas, Orders.Kind(of).versions[0].File(), "")
		if err != nil {
			t.Fatal(err)
		}
		found, _ = wholeSchemas.LoadOrStore(of, s)
	}
	return func(body []byte) error {
		var doc map[string]any
		if err := json.Unmarshal(body, &doc); err != nil {
			return err
		}
		maps.DeleteFunc(doc, func(_ string, value any) bool { return value == nil })
		if doc["datacontenttype"] == nil || doc["datacontenttype"] == "" {
			doc["datacontenttype"] = dataType
		}
		if source, _ := doc["source"].(string); len(source) > 1 && source[0] == '/' {
			doc["source"] = "/" + Orders.Kind(of).Source
		}
		return misfitOf("", found.(*jsonschema.Schema).Validate(any(doc)))
	}
}

// Every version has a schema, what is sent keeps to it, and there is no file too many.
func TestEveryVersionHasASchema(t *testing.T) {
	var want []string
	for _, c := range contract {
		body, err := Orders.Encode(&Event{ID: someID, Source: c.source, Time: someAt, CorrelationID: "req-1", Data: c.example})
		if err != nil {
			t.Fatal(err)
		}
		if err := wholeSchema(t, c.example.Type())(body); err != nil {
			t.Errorf("%v in %s", err, body)
		}
	}
	for _, k := range Orders.Kinds() {
		for _, v := range k.Versions() {
			want = append(want, v.File())
		}
	}
	got, err := fs.Glob(Schemas, "*")
	slices.Sort(want)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("schemas %q, %v, want %q", got, err, want)
	}
}

// What the checks in Go refuse of the envelope, and so does the schema: Decode does not look at it a second time.
func TestTheEnvelopeIsCheckedInGo(t *testing.T) {
	for pointer, values := range map[string][]any{
		"/specversion": {nil, "0.3"}, "/type": {nil, "OrderShipped"}, "/dataschema": {nil, "urn:orderflow:event:PaymentProcessed:2"},
		"/id":              {nil, strings.ToUpper(someID.String()), "{" + someID.String() + "}", "01890000-0000-4000-8000-00000000000a"},
		"/source":          {nil, "/", "payment"},
		"/subject":         {nil, "urn:uuid:01890000-0000-7000-8000-000000000001"},
		"/time":            {nil, "2026-01-02T03:04:05,5Z", "2026-01-02T3:04:05Z", "2026-01-02 03:04:05Z", "2026-01-02T03:04:05"},
		"/datacontenttype": {"text/json"},
		"/correlationid":   {1, "a\u0085b", strings.Repeat("é", MaxForeign+1)},
		"/causationid":     {1, "\x7f"},
		"/traceparent":     {1, "\t"},
		"/data":            {nil, "text"},
	} {
		for _, value := range values {
			body := set(t, pointer, value)
			if _, err := Orders.Decode(body); err == nil {
				t.Errorf("decoded with %s = %#v", pointer, value)
			}
			if err := wholeSchema(t, TypePaymentProcessed)(body); err == nil {
				t.Errorf("the schema has nothing against %s = %#v", pointer, value)
			}
		}
	}
	for pointer, values := range map[string][]any{
		"/time":          {"2026-01-02T03:04:05Z", "2026-01-02T03:04:05.1234567891Z", "2026-01-02T03:04:05.5+01:00"},
		"/correlationid": {nil, "", strings.Repeat("é", MaxForeign)},
		"/source":        {"/elsewhere"}, "/datacontenttype": {nil, ""},
		"/extension": {map[string]any{"a": 1}},
	} {
		for _, value := range values {
			body := set(t, pointer, value)
			_, err := Orders.Decode(body)
			if err := errors.Join(err, wholeSchema(t, TypePaymentProcessed)(body)); err != nil {
				t.Errorf("%s = %#v: %v", pointer, value, err)
			}
		}
	}
}

// What no check in Go sees: the decoder ignores the difference between null and a value that is not there, for one.
func TestDataIsCheckedAgainstTheSchema(t *testing.T) {
	for pointer, value := range map[string]any{
		"/data/shipping_address/line2": 7,
		"/data/order_id":               "{01890000-0000-7000-8000-000000000001}",
		"/data/payment_id":             "urn:uuid:" + someID.String(),
	} {
		_, err := Orders.Decode(set(t, pointer, value))
		wantField(t, err, pointer)
	}
	for pointer, text := range map[string]string{
		"/data/shipping_address/region": `"name":"Ada","region":null`,
		"/data/shipping_address/line2":  `"name":"Ada","line2":null`,
	} {
		_, err := Orders.Decode([]byte(strings.Replace(wire, `"name":"Ada"`, text, 1)))
		wantField(t, err, pointer)
		if !errors.Is(err, ErrInvalid) {
			t.Errorf("%v, want ErrInvalid", err)
		}
	}
}

// A text that is blank in Go is blank in the schema, whatever kind of space it is made of, and no other is.
func TestBlankTextsAreTheSameEverywhere(t *testing.T) {
	for r := rune(0); r < 0x3100; r++ {
		o := anOrder()
		o.CustomerID = string(r)
		valid := o.Validate()
		body, err := Orders.encode(&Event{ID: someID, Source: "order", Time: someAt, Data: &OrderPlaced{o}})
		if err != nil {
			t.Fatal(err)
		}
		if err := wholeSchema(t, TypeOrderPlaced)(body); (err == nil) != (valid == nil) {
			t.Fatalf("%U as customer_id: %v in Go, %v by the schema", r, valid, err)
		}
	}
}
