package client

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
)

var (
	orderID = uuid.MustParse("01890000-0000-7000-8000-000000000001")
	asked   = OrderRequest{
		CustomerID: "c", Currency: "EUR", Items: []Item{{"book", 2, "19.99"}}, PaymentMethod: "pm_ok",
		ShippingAddress: Address{Name: "Ada Lovelace", Line1: "12 St James Square", City: "London", PostalCode: "SW1Y 4JH", Country: "GB"},
	}
)

const orderText = `{"order_id":"01890000-0000-7000-8000-000000000001","status":"on_the_moon","customer_id":"c","currency":"EUR","total_amount":"39.98",
	"items":[{"product_id":"book","quantity":2,"unit_price":"19.99","colour":"red"}],"payment_method":"pm_ok","shipping_address":{"name":"Ada Lovelace"},
	"placed_at":"2026-05-04T03:02:01.123456Z","updated_at":"2026-05-04T03:02:02Z","version":3,"new":{"field":[1]}}`

func TestNew(t *testing.T) {
	for address, want := range map[string]string{
		"http://127.0.0.1:8080": "", "https://shop.example/orderflow/": "",
		"": "must be like", "127.0.0.1:8080": "the address of orderflow", "ftp://shop.example": "must be like", "http://": "must be like",
		"http://shop.example?x=1": "must be like", "http://shop.example/#x": "must be like", "http://user:secret@shop.example?x": "must be like",
	} {
		c, err := New(address)
		if want == "" && (err != nil || strings.HasSuffix(c.base, "/")) || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %+v, %v", address, c, err)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("a password is told: %v", err)
		}
	}
}

func TestPlaceOrder(t *testing.T) {
	s := newServer(t, say(201, orderText, `ETag: "3"`), say(201, orderText), say(201, orderText))
	c := s.client(WithToken("secret"), WithUserAgent("shop/1"))
	o, err := c.PlaceOrder(t.Context(), asked, Wait(1500*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	if o.OrderID != orderID || o.Status != "on_the_moon" || o.Status.Ended() || o.TotalAmount != "39.98" || o.Version != 3 || o.ETag != `"3"` ||
		len(o.Items) != 1 || o.Items[0] != (Item{"book", 2, "19.99"}) || o.PlacedAt.Nanosecond() != 123456000 {
		t.Errorf("%+v", o)
	}
	r := s.requests[0]
	if r.Method != http.MethodPost || r.URL.String() != "http://orderflow.test/api/v1/orders" {
		t.Errorf("%s %s", r.Method, r.URL)
	}
	for name, want := range map[string]string{
		"Authorization": "Bearer secret", "User-Agent": "shop/1", "Content-Type": "application/json", "Prefer": "wait=2",
		"Accept": "application/json, application/problem+json",
	} {
		if got := r.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	want := `{"customer_id":"c","currency":"EUR","items":[{"product_id":"book","quantity":2,"unit_price":"19.99"}],"payment_method":"pm_ok",` +
		`"shipping_address":{"name":"Ada Lovelace","line1":"12 St James Square","city":"London","postal_code":"SW1Y 4JH","country":"GB"}}`
	if s.bodies[0] != want {
		t.Errorf("it said %s", s.bodies[0])
	}
	for _, key := range []string{"cart-5", ""} {
		if _, err := c.PlaceOrder(t.Context(), asked, IdempotencyKey(key)); err != nil {
			t.Fatal(err)
		}
	}
	if made, given, none := r.Header.Get("Idempotency-Key"), s.requests[1].Header.Get("Idempotency-Key"), s.requests[2].Header.Values("Idempotency-Key"); uuid.Validate(made) != nil || given != "cart-5" || none != nil {
		t.Errorf("keys are %q, %q, %q", made, given, none)
	}
}

// Each operation asks for what it should, and reads what comes.
func TestOperations(t *testing.T) {
	const id = "01890000-0000-7000-8000-000000000001"
	stock := `{"product_id":"a/b","on_hand":5,"reserved":1,"shipped":2,"available":4,"updated_at":"2026-05-04T03:02:02Z"}`
	for _, o := range []struct {
		name, request, answer string
		do                    func(c *Client) (any, error)
		is                    func(v any) bool
	}{
		{"Order", "GET /api/v1/orders/" + id, orderText,
			func(c *Client) (any, error) { return c.Order(t.Context(), orderID) },
			func(v any) bool { return v.(*Order).OrderID == orderID }},
		{"CancelOrder", "POST /api/v1/orders/" + id + "/cancel", orderText,
			func(c *Client) (any, error) { return c.CancelOrder(t.Context(), orderID) },
			func(v any) bool { return v.(*Order).OrderID == orderID }},
		{"OrderPage", "GET /api/v1/orders?cursor=x&customer_id=a%26b&limit=7&status=paid", `{"orders":[` + orderText + `],"next_cursor":"y"}`,
			func(c *Client) (any, error) {
				return c.OrderPage(t.Context(), OrderQuery{CustomerID: "a&b", Status: OrderPaid, PageSize: 7, Cursor: "x"})
			},
			func(v any) bool { p := v.(*OrderPage); return len(p.Orders) == 1 && p.NextCursor == "y" }},
		{"Timeline", "GET /api/v1/orders/" + id + "/events", `{"events":[{"id":"` + id + `","type":"Odd","source":"/payment","time":"2026-05-04T03:02:02Z",
			"seen_at":"2026-05-04T03:02:03Z","data":{"amount":"5.00","payment_id":"` + id + `","more":1}},{"type":"OrderShipped"}]}`,
			func(c *Client) (any, error) { return c.Timeline(t.Context(), orderID) },
			func(v any) bool {
				e := v.([]TimelineEvent)
				return len(e) == 2 && e[0].Type == "Odd" && e[0].Data.Amount == "5.00" && e[0].Data.PaymentID == orderID && e[0].SeenAt.Sub(e[0].Time) == time.Second
			}},
		{"Payments", "GET /api/v1/payments?order_id=" + id, `{"payments":[{"payment_id":"` + id + `","status":"charged","amount":"1.00"}]}`,
			func(c *Client) (any, error) { return c.Payments(t.Context(), orderID) },
			func(v any) bool {
				p := v.([]Payment)
				return len(p) == 1 && p[0].Status == PaymentCharged && p[0].Amount == "1.00"
			}},
		{"Reservations", "GET /api/v1/reservations?order_id=" + id, `{"reservations":[{"status":"reserved","items":[{"quantity":3}]}]}`,
			func(c *Client) (any, error) { return c.Reservations(t.Context(), orderID) },
			func(v any) bool { r := v.([]Reservation); return len(r) == 1 && r[0].Items[0].Quantity == 3 }},
		{"Shipments", "GET /api/v1/shipments?order_id=" + id, `{"shipments":[{"carrier":"x"}]}`,
			func(c *Client) (any, error) { return c.Shipments(t.Context(), orderID) },
			func(v any) bool { s := v.([]Shipment); return len(s) == 1 && s[0].Carrier == "x" }},
		{"StockOf", "GET /api/v1/stock/a%2Fb", stock,
			func(c *Client) (any, error) { return c.StockOf(t.Context(), "a/b") },
			func(v any) bool { s := v.(*Stock); return s.ProductID == "a/b" && s.Available == 4 }},
		{"StockOf ..", "GET /api/v1/stock/%2E%2E", stock,
			func(c *Client) (any, error) { return c.StockOf(t.Context(), "..") }, func(any) bool { return true }},
		{"PutStock", `PUT /api/v1/stock/lamp {"on_hand":5}`, stock,
			func(c *Client) (any, error) { return c.PutStock(t.Context(), "lamp", 5) },
			func(v any) bool { return v.(*Stock).OnHand == 5 }},
		{"Ready", "GET /readyz", `{"status":"ready"}`,
			func(c *Client) (any, error) { return nil, c.Ready(t.Context()) }, func(any) bool { return true }},
	} {
		t.Run(o.name, func(t *testing.T) {
			s := newServer(t, say(200, o.answer))
			v, err := o.do(s.client())
			if err != nil || !o.is(v) {
				t.Fatalf("%+v, %v", v, err)
			}
			got := strings.TrimSpace(s.requests[0].Method + " " + s.requests[0].URL.RequestURI() + " " + s.bodies[0])
			if want := strings.Replace(o.request, "GET /readyz", "GET /api/readyz", 1); got != want {
				t.Errorf("it asked %s, want %s", got, want)
			}
		})
	}
}

func TestWalks(t *testing.T) {
	s := newServer(t,
		say(200, `{"orders":[{"version":1},{"version":2}],"next_cursor":"a b"}`), say(200, `{"orders":[{"version":3}],"next_cursor":"c"}`), refuse(403, "no"),
		say(200, `{"stock":[{"on_hand":1}],"next_cursor":"x"}`), say(200, `{"stock":[{"on_hand":2}]}`),
		say(200, `{"orders":[{"version":1},{"version":2}],"next_cursor":"a"}`))
	c := s.client()
	var versions []int64
	var failed error
	for o, err := range c.Orders(t.Context(), OrderQuery{Status: OrderPaid}) {
		if failed = err; err == nil {
			versions = append(versions, o.Version)
		}
	}
	if len(versions) != 3 || versions[2] != 3 || StatusOf(failed) != 403 {
		t.Errorf("%v, %v", versions, failed)
	}
	var onHand int64
	for p, err := range c.Stock(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		onHand += p.OnHand
	}
	for range c.Orders(t.Context(), OrderQuery{}) {
		break
	}
	asked := ""
	for _, r := range s.requests {
		asked += r.URL.RawQuery + " "
	}
	if want := "status=paid cursor=a+b&status=paid cursor=c&status=paid limit=200 cursor=x&limit=200  "; asked != want || onHand != 3 {
		t.Errorf("it asked %q, want %q; on hand %d", asked, want, onHand)
	}
}

func TestIfNoneMatch(t *testing.T) {
	s := newServer(t, say(304, "", `ETag: "3"`))
	if o, err := s.client().Order(t.Context(), orderID, IfNoneMatch(`"3"`)); !errors.Is(err, ErrNotModified) || o != nil {
		t.Errorf("%+v, %v", o, err)
	}
	if got := s.requests[0].Header.Get("If-None-Match"); got != `"3"` {
		t.Errorf("If-None-Match: %s", got)
	}
}

// Await asks until the order has ended, of a server that waits and of one that does not.
func TestAwait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		placed, ended := say(200, `{"status":"paid"}`), say(200, `{"status":"cancelled"}`)
		s := newServer(t, placed, placed, placed, ended)
		o, err := s.client().Await(t.Context(), orderID)
		if err != nil || o.Status != OrderCancelled || s.at[3] != 140*time.Millisecond || s.requests[0].Header.Get("Prefer") != "wait=30" {
			t.Errorf("%+v, %v, asked at %v", o, err, s.at)
		}
		s = newServer(t, placed, refuse(404, "gone"))
		if o, err = s.client().Await(t.Context(), orderID); StatusOf(err) != 404 || o.Status != OrderPaid {
			t.Errorf("%+v, %v", o, err)
		}
	})
}
