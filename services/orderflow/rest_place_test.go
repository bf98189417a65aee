package main_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"
)

func testWrongOrders(t *testing.T, c *client) {
	const customer = "customer-of-wrong-orders"
	long := strings.Repeat("é", 201)
	items := func(n int) (all []item) {
		for i := range n {
			all = append(all, item{fmt.Sprint("p", i), 1, "1.00"})
		}
		return all
	}
	for _, f := range []struct {
		pointer string // to the field that is changed
		value   any
		status  int
		wrong   string // the field that is said to be wrong; "" for the same
	}{
		{"/customer_id", absent{}, 422, ""},
		{"/customer_id", "", 422, ""},
		{"/customer_id", " \t", 422, ""},
		{"/customer_id", nil, 422, ""},
		{"/customer_id", long, 422, ""},
		{"/customer_id", "a\x00b", 422, ""},
		{"/customer_id", "a\nb", 422, ""},
		{"/customer_id", 5, 400, ""},
		{"/currency", absent{}, 422, ""},
		{"/currency", "", 422, ""},
		{"/currency", "EURO", 422, ""},
		{"/currency", "eur", 422, ""},
		{"/currency", "ZZZ", 422, ""},
		{"/currency", true, 400, ""},
		{"/currency", "JPY", 422, "/items/0/unit_price"},
		{"/currency", "KWD", 422, "/items/0/unit_price"},
		{"/items", absent{}, 422, ""},
		{"/items", []item{}, 422, ""},
		{"/items", nil, 422, ""},
		{"/items", items(501), 422, ""},
		{"/items", map[string]any{}, 400, ""},
		{"/items", []any{nil}, 422, "/items/0/unit_price"},
		{"/items", []any{5}, 400, "/items/0"},
		{"/items/1/product_id", absent{}, 422, ""},
		{"/items/1/product_id", " ", 422, ""},
		{"/items/1/product_id", long, 422, ""},
		{"/items/1/product_id", "\x00", 422, ""},
		{"/items/1/quantity", absent{}, 422, ""},
		{"/items/1/quantity", 0, 422, ""},
		{"/items/1/quantity", -1, 422, ""},
		{"/items/1/quantity", 1_000_000_001, 422, ""},
		{"/items/1/quantity", json.Number("9223372036854775808"), 400, ""},
		{"/items/1/quantity", json.Number("1e400"), 400, ""},
		{"/items/1/quantity", 1.5, 400, ""},
		{"/items/1/quantity", "1", 400, ""},
		{"/items/1/quantity", nil, 422, ""},
		{"/items/1/unit_price", absent{}, 422, ""},
		{"/items/1/unit_price", nil, 422, ""},
		{"/items/1/unit_price", "", 400, ""},
		{"/items/1/unit_price", "1", 422, ""},
		{"/items/1/unit_price", "1.0", 422, ""},
		{"/items/1/unit_price", "1.000", 422, ""},
		{"/items/1/unit_price", "-1.00", 400, ""},
		{"/items/1/unit_price", "+1.00", 400, ""},
		{"/items/1/unit_price", "1,00", 400, ""},
		{"/items/1/unit_price", "1.", 400, ""},
		{"/items/1/unit_price", ".50", 400, ""},
		{"/items/1/unit_price", "1e2", 400, ""},
		{"/items/1/unit_price", " 1.00", 400, ""},
		{"/items/1/unit_price", "01.00", 400, ""},
		{"/items/1/unit_price", "٣.00", 400, ""},
		{"/items/1/unit_price", "92233720368547758.08", 422, ""},
		{"/items/1/unit_price", 1.00, 400, ""},
		{"/items", []item{{"book", 1_000_000_000, "92233720368547758.07"}}, 422, "/items/0"},
		{"/items", []item{{"book", 1, "92233720368547758.07"}, {"lamp", 1, "0.01"}}, 422, "/items/1"},
		{"/payment_method", absent{}, 422, ""},
		{"/payment_method", "", 422, ""},
		{"/payment_method", long, 422, ""},
		{"/payment_method", "pm\x7f", 422, ""},
		{"/shipping_address", absent{}, 422, "/shipping_address/name"},
		{"/shipping_address", nil, 422, "/shipping_address/name"},
		{"/shipping_address", "London", 400, ""},
		{"/shipping_address/name", absent{}, 422, ""},
		{"/shipping_address/line1", absent{}, 422, ""},
		{"/shipping_address/line2", long, 422, ""},
		{"/shipping_address/line2", "\x00", 422, ""},
		{"/shipping_address/city", "", 422, ""},
		{"/shipping_address/region", long, 422, ""},
		{"/shipping_address/postal_code", absent{}, 422, ""},
		{"/shipping_address/country", absent{}, 422, ""},
		{"/order_id", "01890000-0000-7000-8000-000000000001", 400, ""},
		{"/total_amount", "1.00", 400, ""},
		{"/Currency", "EUR", 400, ""},
		{"/items/0/colour", "red", 400, ""},
		{"/shipping_address/a~b", "", 400, "/shipping_address/a~0b"},
	} {
		t.Run(fmt.Sprintf("%.50s", fmt.Sprint(f.pointer, "=", f.value)), func(t *testing.T) {
			wrong := f.wrong
			if wrong == "" {
				wrong = f.pointer
			}
			expectProblem(t, c.call(t, http.MethodPost, "/v1/orders", with(goodOrder(customer), f.pointer, f.value)), f.status, wrong)
		})
	}
	// An amount without decimals must not make a missing price a price of nothing.
	yen := goodOrder(customer)
	yen.Currency, yen.Items = "JPY", []item{{"book", 1, "100"}}
	for _, nothing := range []any{absent{}, nil} {
		expectProblem(t, c.call(t, http.MethodPost, "/v1/orders", with(yen, "/items/0/unit_price", nothing)), 422, "/items/0/unit_price")
	}
	if orders := get[struct{ Orders []order }](t, c, "/v1/orders?customer_id="+customer).Orders; len(orders) > 0 {
		t.Errorf("%d orders were placed though something was wrong: %+v", len(orders), orders[0])
	}
}

func testWrongBodies(t *testing.T, c *client) {
	const customer = "customer-of-wrong-bodies"
	text, err := json.Marshal(goodOrder(customer))
	if err != nil {
		t.Fatal(err)
	}
	good := string(text)
	for _, b := range []struct {
		name, body string
		status     int
		pointer    string
		headers    []string
	}{
		{"empty", "", 400, "", nil},
		{"an array", "[]", 400, "", nil},
		{"a string", `"order"`, 400, "", nil},
		{"null", `null`, 422, "/customer_id", nil},
		{"cut off", good[:len(good)-20], 400, "", nil},
		{"something after it", good + "{}", 400, "", nil},
		{"a comment", "/* */" + good, 400, "", nil},
		{"a comma too many", strings.Replace(good, "}]", "},]", 1), 400, "", nil},
		{"single quotes", strings.ReplaceAll(good, `"`, `'`), 400, "", nil},
		{"byte order mark", "\ufeff" + good, 400, "", nil},
		{"not UTF-8", strings.Replace(good, "Ada", "\xff", 1), 400, "/shipping_address/name", nil},
		{"half a surrogate pair", strings.Replace(good, "Ada", `\ud800`, 1), 400, "/shipping_address/name", nil},
		{"a field twice", strings.Replace(good, `"currency"`, `"customer_id":"x","currency"`, 1), 400, "/customer_id", nil},
		{"a field of an item twice", strings.Replace(good, `"quantity":2`, `"quantity":2,"quantity":3`, 1), 400, "/items/0/quantity", nil},
		{"NaN", strings.Replace(good, `"quantity":2`, `"quantity":NaN`, 1), 400, "/items/0/quantity", nil},
		{"nested deeply", strings.Replace(good, `"EUR"`, strings.Repeat("[", 200_000)+strings.Repeat("]", 200_000), 1), 400, "", nil},
		{"too large", good + strings.Repeat(" ", 1<<20), 413, "", nil},
		{"no content type", good, 415, "", []string{"Content-Type: "}},
		{"plain text", good, 415, "", []string{"Content-Type: text/plain"}},
		{"a form", good, 415, "", []string{"Content-Type: application/x-www-form-urlencoded"}},
		{"a wrong content type", good, 415, "", []string{"Content-Type: application/json;;"}},
	} {
		t.Run(b.name, func(t *testing.T) {
			expectProblem(t, c.call(t, http.MethodPost, "/v1/orders", b.body, b.headers...), b.status, b.pointer)
		})
	}
	t.Run("too large, of a length that is not told", func(t *testing.T) {
		body := io.MultiReader(strings.NewReader(good), bytes.NewReader(make([]byte, 1<<20)))
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.base+"/v1/orders", body)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/json")
		response, err := c.http.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		text, _ := io.ReadAll(response.Body)
		expectProblem(t, &answer{response.StatusCode, response.Header, text}, 413, "")
	})
	if orders := get[struct{ Orders []order }](t, c, "/v1/orders?customer_id="+customer).Orders; len(orders) > 0 {
		t.Errorf("%d orders were placed though something was wrong: %+v", len(orders), orders[0])
	}
	place(t, c, good+strings.Repeat(" ", 1<<20-len(good)))
	place(t, c, good, "Content-Type: application/json; charset=utf-8")
}

// testLargestOrders places orders that are as large as they may be: their events have to fit through everything.
func testLargestOrders(t *testing.T, c *client) {
	long := func(i int) string { return fmt.Sprintf("%03d", i) + strings.Repeat("𝄞", 197) }
	many := goodOrder(long(0))
	many.Items, many.PaymentMethod = nil, long(1)
	many.ShippingAddress = address{long(2), long(3), long(4), long(5), long(6)}
	for i := range 500 {
		many.Items = append(many.Items, item{long(i), 1_000_000_000, "180000.00"})
	}
	o := place(t, c, many)
	if want := "90000000000000000.00"; o.TotalAmount != want {
		t.Errorf("total %s, want %s", o.TotalAmount, want)
	}
	if o := follow(t, c, o.OrderID); o.CancelReason != "unknown_product" {
		t.Errorf("%+v", o)
	}
	plain := goodOrder("customer-of-many")
	plain.Items = nil
	for range 500 {
		plain.Items = append(plain.Items, item{"book", 2, "0.01"})
	}
	if o := follow(t, c, place(t, c, plain).OrderID); o.Status != "shipped" || o.TotalAmount != "10.00" {
		t.Errorf("%+v", o)
	}
}

func testIdempotency(t *testing.T, c *client) {
	const customer = "customer-who-repeats"
	post := func(body any, key string) *answer {
		t.Helper()
		return c.call(t, http.MethodPost, "/v1/orders", body, "Idempotency-Key: "+key)
	}
	first := post(goodOrder(customer), "key-1")
	id := unmarshal[order](t, first.body).OrderID
	follow(t, c, id)
	text, _ := json.MarshalIndent(with(goodOrder(customer), "/nothing", absent{}), "", "\t") // another order of fields, other blanks
	for _, body := range []any{goodOrder(customer), string(text)} {
		again := post(body, "key-1")
		if again.status != http.StatusCreated || !bytes.Equal(again.body, first.body) || again.header.Get("Location") != first.header.Get("Location") {
			t.Errorf("the second answer is %s, the first was %s", again, first)
		}
		if got := again.header.Get("Idempotency-Replayed"); got != "true" || first.header.Get("Idempotency-Replayed") != "" {
			t.Errorf("Idempotency-Replayed is %q", got)
		}
	}
	other := goodOrder(customer)
	other.Items[0].Quantity++
	expectProblem(t, post(other, "key-1"), 422, "")
	expectProblem(t, post("{", "key-1"), 400, "")

	// What was refused has not used its key.
	expectProblem(t, post(with(other, "/currency", "none"), "key-2"), 422, "/currency")
	if a := post(other, "key-2"); a.status != http.StatusCreated || a.header.Get("Idempotency-Replayed") != "" {
		t.Errorf("key of a request that was refused: %s", a)
	}
	expectProblem(t, post(other, strings.Repeat("k", 256)), 400, "")
	expectProblem(t, post(other, "k\xff"), 400, "")
	if a := post(other, strings.Repeat("k", 255)); a.status != http.StatusCreated {
		t.Errorf("the longest key: %s", a)
	}
	if n := len(get[struct{ Orders []order }](t, c, "/v1/orders?customer_id="+customer).Orders); n != 3 {
		t.Errorf("%d orders, want 3", n)
	}

	// Many at the same moment.
	const together = "customer-in-a-hurry"
	answers := make([]*answer, 20)
	var group errgroup.Group
	for i := range answers {
		group.Go(func() (err error) {
			answers[i], err = c.send(t.Context(), http.MethodPost, "/v1/orders", goodOrder(together), "Idempotency-Key: key-3")
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	fresh := 0
	for _, a := range answers {
		if a.status != http.StatusCreated || !bytes.Equal(a.body, answers[0].body) {
			t.Errorf("%s, but another one was %s", a, answers[0])
		}
		if a.header.Get("Idempotency-Replayed") == "" {
			fresh++
		}
	}
	if n := len(get[struct{ Orders []order }](t, c, "/v1/orders?customer_id="+together).Orders); n != 1 || fresh != 1 {
		t.Errorf("%d orders, %d answers that are no repetition; want 1 and 1", n, fresh)
	}
}
