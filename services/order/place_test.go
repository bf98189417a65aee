package order

import (
	"errors"
	"net/http"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"orderflow/pkg/event"
	"orderflow/pkg/httpapi"
)

// A client is told of everything that is wrong at once, and first of what it was always told of.
func TestAllFaults(t *testing.T) {
	for _, c := range []struct {
		name   string
		change []string // pairs
		want   []string
	}{
		{"nothing", nil, nil},
		{"one", []string{`"customer-1"`, `""`}, []string{"/customer_id"}},
		{"many", []string{
			`"customer-1"`, `" "`, `"EUR"`, `"JPY"`, `"quantity":2`, `"quantity":0`, `"pm_ok"`, `""`, `"London"`, `""`, `"GB"`, `"\u0007"`,
		}, []string{
			"/customer_id", "/items/0/quantity", "/items/0/unit_price", "/payment_method", "/shipping_address/city", "/shipping_address/country",
		}},
		{"a price that is missing", []string{`,"unit_price":"19.99"`, ``, `"customer-1"`, `""`}, []string{"/items/0/unit_price", "/customer_id"}},
		{"an unknown currency says nothing of prices", []string{`"EUR"`, `"ZZZ"`, `"demo-1"`, `""`}, []string{"/currency", "/items/0/product_id"}},
		{"no items", []string{`{"product_id":"demo-1","quantity":2,"unit_price":"19.99"}`, ``, `"London"`, `""`}, []string{"/items", "/shipping_address/city"}},
		{"a total that is too large", []string{`"19.99"`, `"92233720368547758.07"`}, []string{"/items/0"}},
	} {
		_, _, err := readTerms(request([]byte(strings.NewReplacer(c.change...).Replace(goodOrder))))
		if got := pointers(err); !slices.Equal(got, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s: %v, of %q; want %q", c.name, err, got, c.want)
		}
	}
}

func pointers(err error) (all []string) {
	if fields, several := errors.AsType[event.FieldErrors](err); several {
		for _, f := range fields {
			all = append(all, f.Pointer)
		}
	} else if field, one := errors.AsType[*event.FieldError](err); one {
		all = append(all, field.Pointer)
	}
	return all
}

// A client that says nothing right is not told everything.
func TestTooManyFaults(t *testing.T) {
	for _, item := range []string{"null", `{"product_id":"","quantity":0,"unit_price":"1"}`} {
		body := strings.Replace(goodOrder, `"items":[`, `"items":[`+strings.Repeat(item+",", 300), 1)
		_, _, err := readTerms(request([]byte(body)))
		if got := pointers(err); len(got) != maxFaults || len(slices.Compact(slices.Sorted(slices.Values(got)))) != maxFaults {
			t.Errorf("%d faults, want %d: %q", len(got), maxFaults, got)
		}
	}
}

// A caller places orders for its own customers only, and nothing is done before that is known.
func TestCallerOfAnotherCustomer(t *testing.T) {
	c := request([]byte(goodOrder))
	httpapi.SetCaller(c, &httpapi.Caller{Name: "shop", Scopes: []httpapi.Scope{httpapi.OrdersWrite}, Customers: []string{"customer-2"}})
	err := api{gate: new(gate)}.place(c)
	if problem, is := errors.AsType[*httpapi.Problem](err); !is || problem.Status != http.StatusForbidden || !strings.Contains(problem.Detail, `"customer-1"`) {
		t.Errorf("want a problem 403, got %v", err)
	}
}

// An order of very many items takes no more memory than its body accounts for.
func TestVeryManyItems(t *testing.T) {
	c := request([]byte(strings.Replace(goodOrder, `"items":[`, `"items":[`+strings.Repeat("{},", 349_000), 1)))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, _, err := readTerms(c)
	runtime.ReadMemStats(&after)
	if err == nil {
		t.Error("it was taken")
	}
	if n := (after.TotalAlloc - before.TotalAlloc) >> 20; n > 5 {
		t.Errorf("%d MiB for a body of 1 MiB", n)
	}
}

// The items are read as any list is, up to the first that is too many.
func TestItemsAreReadAsAList(t *testing.T) {
	for _, text := range []string{
		"null", "[]", "[null]", `[{"quantity":1},{"quantity":2}]`, "{}", `"x"`, "7", "true", "", "[", "[{}", "[{},", "[{}}", "[,]", "[{},]", "[5]",
		`[{},{"quantity":"1"}]`, `[{},{"quantity":1.5}]`, `[{},{"price":1}]`, `[{"quantity":1,"quantity":2}]`, `[{},{"unit_price":1}]`,
		`[{"unit_price":"1,5"}]`, `[{"unit_price":"99999999999999999999"}]`, `[{"product_id":"` + "\xff" + `"}]`,
	} {
		var want struct {
			Items []placeItem `json:"items"`
		}
		got := placeRequest{Items: placeItems{{Quantity: 5}}}
		want.Items = []placeItem{{Quantity: 5}}
		body := []byte(`{"items":` + text + `}`)
		wantErr, err := httpapi.Decode(body, &want), httpapi.Decode(body, &got)
		if !reflect.DeepEqual(err, wantErr) {
			t.Errorf("%s: %v, want %v", body, err, wantErr)
		}
		if err == nil && !reflect.DeepEqual([]placeItem(got.Items), want.Items) {
			t.Errorf("%s is read as %+v, want %+v", body, got.Items, want.Items)
		}
	}
}

func TestItemsThatAreTooMany(t *testing.T) {
	for _, c := range []struct{ rest, pointer string }{
		{"", ""}, {`,{"a":[{}]},5,null`, ""}, {",}", "/items"}, {",{},{]", "/items/502"},
	} {
		var got placeRequest
		body := `{"items":[` + strings.Repeat(`{"quantity":1},`, event.MaxItems) + "{}" + c.rest + "]}"
		switch err := json.Unmarshal([]byte(body), &got); {
		case c.pointer == "" && (err != nil || len(got.Items) != event.MaxItems+1):
			t.Errorf("%q: %d items, %v", c.rest, len(got.Items), err)
		case c.pointer != "" && (err == nil || !slices.Equal(pointers(event.JSONError("", err)), []string{c.pointer})):
			t.Errorf("%q: %v, want it at %s", c.rest, err, c.pointer)
		}
	}
}
