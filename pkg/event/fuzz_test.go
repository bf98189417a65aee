package event

import (
	"errors"
	"maps"
	"math/big"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// maxErrorText is far more than an error needs that quotes what is wrong; whoever makes a message must not be able to fill a log.
const maxErrorText = 1000

// encoded is the example of each type.
func encoded(f *testing.F) (bodies [][]byte) {
	for _, c := range contract {
		body, err := Orders.Encode(&Event{ID: someID, Source: c.source, Time: someAt, CorrelationID: "req-1", CausationID: "c-1", Data: c.example})
		if err != nil {
			f.Fatal(err)
		}
		bodies = append(bodies, body)
	}
	return bodies
}

func FuzzDecode(f *testing.F) {
	for _, body := range encoded(f) {
		f.Add(body)
	}
	for _, spoilt := range []string{"", "{}", "null", "[1]", wire + "x", wire[:len(wire)-1], strings.Replace(wire, "Ada", "\xff", 1),
		strings.Replace(wire, "EUR", "KWD", 1), strings.Replace(wire, "Processed:1", "Processed:2", 1)} {
		f.Add([]byte(spoilt))
	}
	f.Fuzz(checkDecode)
}

// FuzzDecodeField is FuzzDecode with examples in which one value is replaced, so that it is not the JSON that is wrong.
func FuzzDecodeField(f *testing.F) {
	bodies := encoded(f)
	for i, value := range []string{"null", "1", "-1", "1e400", `""`, `"x"`, `"\u0000"`, "[]", "[null]", "{}", `"9999-12-31T23:59:59-23:59"`,
		`"0000-01-01T00:00:00+23:59"`, `"{01890000-0000-7000-8000-00000000000a}"`, "not JSON", "true"} {
		f.Add(uint8(i), uint8(i), value)
	}
	f.Fuzz(func(t *testing.T, example, field uint8, value string) {
		var doc any
		if err := json.Unmarshal(bodies[int(example)%len(bodies)], &doc); err != nil {
			t.Fatal(err)
		}
		var with any = value
		if jsontext.Value(value).IsValid() {
			with = jsontext.Value(value)
		}
		places := replacers(doc)
		places[int(field)%len(places)](with)
		body, err := json.Marshal(doc, jsontext.AllowInvalidUTF8(true)) // and what is invalid becomes U+FFFD
		if err != nil {
			t.Fatal(err)
		}
		checkDecode(t, body)
	})
}

// replacers are functions that replace each of the values in a document.
func replacers(in any) (all []func(any)) {
	switch in := in.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(in)) {
			all = append(append(all, func(v any) { in[name] = v }), replacers(in[name])...)
		}
	case []any:
		for i := range in {
			all = append(append(all, func(v any) { in[i] = v }), replacers(in[i])...)
		}
	}
	return all
}

// checkDecode: a body is refused, with an error that says which field is wrong, or it is an event that keeps to its schema, that can be sent
// on as it is and comes back as it was, and that Postgres can store.
func checkDecode(t *testing.T, body []byte) {
	e, err := Orders.Decode(body)
	if err != nil {
		checkRefusal(t, body, err)
		return
	}
	if err := wholeSchema(t, e.Type())(body); err != nil {
		t.Errorf("decoded, but it does not keep to its schema: %v in %s", err, body)
	}
	again, err := Orders.Encode(e)
	if err != nil {
		t.Fatalf("decoded, but cannot be encoded: %v", err)
	}
	var doc any
	if err := json.Unmarshal(again, &doc); err != nil || unstorable(doc) {
		t.Errorf("Postgres cannot store it: %s, %v", again, err)
	}
	if back, err := Orders.Decode(again); err != nil || !reflect.DeepEqual(back, e) {
		t.Errorf("came back as\n%+v, %v\nfrom\n%+v\nby %s", back, err, e, again)
	}
}

// unstorable tells whether a document has U+0000 in one of its texts.
func unstorable(in any) bool {
	switch in := in.(type) {
	case map[string]any:
		return slices.ContainsFunc(slices.Collect(maps.Values(in)), unstorable)
	case []any:
		return slices.ContainsFunc(in, unstorable)
	case string:
		return strings.ContainsRune(in, 0)
	}
	return false
}

func checkRefusal(t *testing.T, body []byte, err error) {
	t.Helper()
	if errors.Is(err, ErrInvalid) == errors.Is(err, ErrUnsupportedVersion) {
		t.Errorf("neither invalid nor of another version, or both: %v", err)
	}
	if text := err.Error(); len(text) > maxErrorText {
		t.Errorf("%d bytes of error: %.200s", len(text), text)
	}
	var field *FieldError
	switch {
	case !errors.As(err, &field):
		if len(body) <= MaxSize && errors.Is(err, ErrInvalid) {
			t.Errorf("names no field: %v", err)
		}
	case field.Pointer != "" && field.Pointer[0] != '/', field.Detail == "":
		t.Errorf("does not say what is wrong with what: %q %q", field.Pointer, field.Detail)
	}
}

var decimal = regexp.MustCompile(`^(0|[1-9][0-9]*)(\.[0-9]{1,9})?$`)

// An amount is a decimal number of which nothing gets lost, or it is refused.
func FuzzAmount(f *testing.F) {
	for _, s := range []string{"39.98", "0", "0.00", "0.005", "1200", "92233720368547758.07", "92233720368547758.08", "00.5", "1.", ".5", "-1",
		"1e3", "1.0000000001", "١"} {
		f.Add(s, "EUR")
	}
	f.Add("1.234", "KWD")
	f.Add("5", "JPY")
	f.Fuzz(func(t *testing.T, s, currency string) {
		a, err := ParseAmount(s)
		minor, fits := exactly(s)
		if (err == nil) != fits {
			t.Fatalf("%q is read as %+v, %v", s, a, err)
		}
		if errors.Is(err, ErrOverflow) && minor == nil {
			t.Errorf("%q is no number, and refused for being too large", s)
		}
		checkAmountInJSON(t, s, a, err)
		if err != nil {
			return
		}
		_, decimals, _ := strings.Cut(s, ".")
		if a.String() != s || a.Minor != minor.Int64() || int(a.Decimals) != len(decimals) {
			t.Errorf("%q is read as %+v, written %q", s, a, a)
		}
		item := Item{ProductID: "p", Quantity: 1, UnitPrice: a}
		known, isCurrency := Decimals(currency)
		if err := item.checkPrice(currency, known); isCurrency && (err == nil) != (int(known) == len(decimals)) {
			t.Errorf("%q %s: %v", s, currency, err)
		}
	})
}

// exactly is the number of minor units that s stands for, nil where it is no decimal number, and whether 64 bits can hold it.
func exactly(s string) (minor *big.Int, fits bool) {
	if !decimal.MatchString(s) {
		return nil, false
	}
	minor, _ = new(big.Int).SetString(strings.Replace(s, ".", "", 1), 10)
	return minor, minor.IsInt64()
}

func checkAmountInJSON(t *testing.T, s string, want Amount, wantErr error) {
	t.Helper()
	if !utf8.ValidString(s) { // which no JSON can say
		if wantErr == nil {
			t.Errorf("%q is an amount", s)
		}
		return
	}
	quoted, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var got Amount
	if err := json.Unmarshal(quoted, &got); (err == nil) != (wantErr == nil) || err == nil && got != want {
		t.Errorf("%s is read as %+v, %v in JSON, and as %+v, %v outside", quoted, got, err, want, wantErr)
	}
}
