package main_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"testing"
)

type orderPage struct {
	Orders     []order
	NextCursor string `json:"next_cursor"`
}

func ids(orders []order) []string {
	all := make([]string, len(orders))
	for i, o := range orders {
		all[i] = o.OrderID
	}
	return all
}

func testOrderList(t *testing.T, c *client) {
	const customer, odd = "customer-with-a-list", "d'Arc & Söhne; 100%"
	var all, declinedOnes []string // newest first
	for i := range 6 {
		o := goodOrder(customer)
		if i%2 == 0 {
			o.PaymentMethod = "pm_declined"
		}
		id := place(t, c, o).OrderID
		follow(t, c, id)
		if all = slices.Insert(all, 0, id); i%2 == 0 {
			declinedOnes = slices.Insert(declinedOnes, 0, id)
		}
	}
	single := place(t, c, goodOrder(odd)).OrderID
	follow(t, c, single)
	for _, l := range []struct {
		query string
		want  []string
	}{
		{"customer_id=" + customer, all},
		{"customer_id=" + customer + "&limit=2", all[:2]},
		{"customer_id=" + customer + "&status=cancelled", declinedOnes},
		{"customer_id=" + customer + "&status=cancelled&limit=1", declinedOnes[:1]},
		{"customer_id=" + customer + "&status=placed", nil},
		{"customer_id=" + url.QueryEscape(odd), []string{single}},
		{"customer_id=" + customer[:5], nil},
		{"customer_id=" + url.QueryEscape(customer+"' OR ''='"), nil},
		{"limit=1", []string{single}},
	} {
		if got := ids(get[orderPage](t, c, "/v1/orders?"+l.query).Orders); !slices.Equal(got, l.want) {
			t.Errorf("%s gives %v, want %v", l.query, got, l.want)
		}
	}
	for _, status := range []string{"placed", "paid", "reserved", "shipped", "cancelling", "cancelled"} {
		for _, o := range get[orderPage](t, c, "/v1/orders?limit=200&status="+status).Orders {
			if o.Status != status {
				t.Errorf("status=%s gives %+v", status, o)
			}
		}
	}
	for query, parameter := range map[string]string{
		"limit=0": "limit", "limit=-1": "limit", "limit=201": "limit", "limit=ten": "limit", "limit=1.5": "limit", "limit=99999999999999999999": "limit",
		"status=done": "status", "status=Shipped": "status", "customer_id=%00": "customer_id", "customer_id=%ff": "customer_id",
		"cursor=x": "cursor", "cursor=%00": "cursor", "cursor=AAAA": "cursor", "cursor=" + single: "cursor",
	} {
		expectProblem(t, c.call(t, http.MethodGet, "/v1/orders?"+query, nil), 400, parameter)
	}
}

// testWalk goes through the pages while orders are placed: what was there at the start comes once.
func testWalk(t *testing.T, c *client) {
	for _, query := range []string{"", "&customer_id=customer-who-walks"} {
		var before []string
		for range 11 {
			before = slices.Insert(before, 0, place(t, c, goodOrder("customer-who-walks")).OrderID)
		}
		if query == "" {
			before = ids(get[orderPage](t, c, "/v1/orders?limit=200").Orders)
		}
		var seen []string
		for cursor := ""; ; {
			page := get[orderPage](t, c, "/v1/orders?limit=4"+query+"&cursor="+cursor)
			seen = append(seen, ids(page.Orders)...)
			if cursor = page.NextCursor; cursor == "" {
				break
			}
			if len(page.Orders) != 4 {
				t.Errorf("a page in the middle has %d orders, want 4", len(page.Orders))
			}
			place(t, c, goodOrder("customer-who-walks"))
		}
		if len(seen) < len(before) || !slices.Equal(seen[:len(before)], before) {
			t.Errorf("the walk saw %v, want %v", seen, before)
		}
	}
}

func testOneOrder(t *testing.T, c *client) {
	want := goodOrder("customer-of-one")
	o := place(t, c, want)
	if o.Status != "placed" || o.CancelReason != "" || o.TotalAmount != "40.03" || o.Currency != "EUR" || o.Version != 1 {
		t.Errorf("placed %+v", o)
	}
	follow(t, c, o.OrderID)
	path := "/v1/orders/" + o.OrderID
	a := c.call(t, http.MethodGet, path, nil)
	if again := unmarshal[placement](t, a.body); fmt.Sprint(again) != fmt.Sprint(want) {
		t.Errorf("the order is %+v, but what was said was %+v", again, want)
	}
	tag := a.header.Get("ETag")
	if tag == "" {
		t.Fatalf("no ETag: %s", a)
	}
	for value, status := range map[string]int{
		tag: 304, "W/" + tag: 304, `"0", ` + tag: 304, "*": 304, `"0"`: 200, "": 200, tag[1 : len(tag)-1]: 200,
	} {
		a := c.call(t, http.MethodGet, path, nil, "If-None-Match: "+value)
		if a.status != status || a.header.Get("ETag") != tag || status == 304 && len(a.body) > 0 {
			t.Errorf("If-None-Match: %s gives %s, want %d", value, a, status)
		}
	}
	types := []string{}
	for _, e := range get[struct{ Events []moment }](t, c, path+"/events").Events {
		types = append(types, e.Type)
	}
	if want := []string{"OrderPlaced", "PaymentProcessed", "InventoryReserved", "ShipmentCreated", "OrderShipped"}; !slices.Equal(types, want) {
		t.Errorf("timeline %v, want %v", types, want)
	}
}

func testCancel(t *testing.T, c *client) {
	slow := goodOrder("customer-who-cancels")
	slow.PaymentMethod = "pm_slow"
	o := place(t, c, slow)
	cancel := func(body any) *answer { return c.call(t, http.MethodPost, "/v1/orders/"+o.OrderID+"/cancel", body) }
	first := cancel(nil)
	if got := unmarshal[order](t, first.body); first.status != http.StatusAccepted || got.Status != "cancelling" || got.CancelReason != "customer_request" {
		t.Errorf("cancel: %s", first)
	}
	if again := cancel("{}"); again.status != http.StatusAccepted || unmarshal[order](t, again.body).Status != "cancelling" {
		t.Errorf("cancel again: %s", again)
	}
	if end := follow(t, c, o.OrderID); end.Status != "cancelled" || end.CancelReason != "customer_request" {
		t.Errorf("it ended as %+v", end)
	}
	expectProblem(t, cancel(nil), 409, "")
	o = place(t, c, goodOrder("customer-who-cancels"))
	follow(t, c, o.OrderID)
	expectProblem(t, cancel(nil), 409, "")
	if end := get[order](t, c, "/v1/orders/"+o.OrderID); end.Status != "shipped" {
		t.Errorf("a cancellation that came too late changed the order: %+v", end)
	}
}
