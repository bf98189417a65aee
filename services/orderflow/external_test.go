package main_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"orderflow/pkg/devstack/devtest"
)

// provider is a payment gateway and a parcel service of another company, which remember what they were asked.
type provider struct {
	*httptest.Server
	mu     sync.Mutex
	asked  map[string][]string // paths and bodies, by Idempotency-Key
	failed map[string]bool     // keys that were answered with an error once
	held   chan struct{}       // gets a token when a parcel for Hold is asked for
	let    chan struct{}       // lets one such parcel go
}

func newProvider(t *testing.T) *provider {
	p := &provider{asked: map[string][]string{}, failed: map[string]bool{}, held: make(chan struct{}, 10), let: make(chan struct{})}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /gateway/charges", p.charge)
	mux.HandleFunc("POST /gateway/refunds", p.refund)
	mux.HandleFunc("POST /carrier/parcels", p.book)
	p.Server = httptest.NewServer(mux)
	t.Cleanup(p.Close)
	return p
}

// note remembers a request, reads its body, and tells its key.
func (p *provider) note(r *http.Request, into any) (key string) {
	var body json.RawMessage
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		return ""
	}
	json.Unmarshal(body, into)
	p.mu.Lock()
	defer p.mu.Unlock()
	key = r.Header.Get("Idempotency-Key")
	p.asked[key] = append(p.asked[key], fmt.Sprintf("%s %s", r.URL.Path, body))
	return key
}

func (p *provider) failsFirst(key string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	first := !p.failed[key]
	p.failed[key] = true
	return first
}

func (p *provider) charge(w http.ResponseWriter, r *http.Request) {
	var charge struct{ Payment_method string }
	key := p.note(r, &charge)
	switch {
	case charge.Payment_method == "pm_broke":
		w.WriteHeader(http.StatusPaymentRequired)
		fmt.Fprint(w, `{"detail": "no money"}`)
	case charge.Payment_method == "pm_error" && p.failsFirst(key):
		w.WriteHeader(http.StatusBadGateway)
	case charge.Payment_method == "pm_pending" && p.failsFirst(key):
		w.WriteHeader(http.StatusAccepted)
		fmt.Fprint(w, `{"status": "pending"}`)
	case charge.Payment_method == "pm_page":
		w.WriteHeader(http.StatusPaymentRequired)
		fmt.Fprint(w, `<html>`)
	case charge.Payment_method == "pm_odd":
		w.WriteHeader(http.StatusCreated)
		json.NewEncoder(w).Encode(map[string]string{"reference": odd(key)})
	case charge.Payment_method == "pm_reset":
		panic(http.ErrAbortHandler) // breaks the connection
	default:
		w.WriteHeader(http.StatusCreated)
		fmt.Fprintf(w, `{"reference": "ref %s"}`, key)
	}
}

func (p *provider) refund(w http.ResponseWriter, r *http.Request) {
	var refund struct{ Reference string }
	if key := p.note(r, &refund); p.failsFirst(key) {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.WriteHeader(http.StatusCreated)
	json.NewEncoder(w).Encode(map[string]string{"reference": "back " + refund.Reference})
}

func (p *provider) book(w http.ResponseWriter, r *http.Request) {
	var parcel struct{ Shipping_address address }
	key := p.note(r, &parcel)
	switch parcel.Shipping_address.City {
	case "Hold":
		p.held <- struct{}{}
		select {
		case <-p.let:
		case <-r.Context().Done():
			return
		}
	case "Atlantis":
		w.WriteHeader(http.StatusUnprocessableEntity)
		fmt.Fprint(w, `{"detail": "it is under water"}`)
		return
	case "Oddington":
		w.WriteHeader(http.StatusCreated)
		json.NewEncoder(w).Encode(map[string]string{"carrier": "ship & co\n", "tracking_number": odd(key)})
		return
	}
	w.WriteHeader(http.StatusCreated)
	fmt.Fprintf(w, `{"carrier": "ship & co", "tracking_number": "track %s"}`, key)
}

// odd is a name that no event can have: too long, with a line's end and with what Postgres cannot store.
func odd(key string) string { return "\t" + key + "\x00\n" + strings.Repeat("é", 201) }

// requests lists what was asked under a key.
func (p *provider) requests(key string) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.asked[key])
}

// TestOtherCompanies puts a gateway and a carrier behind HTTP in the place of the simulators.
func TestOtherCompanies(t *testing.T) {
	others := newProvider(t)
	p := serve(t, *devtest.New(t), "GATEWAY_URL="+others.URL+"/gateway", "CARRIER_URL="+others.URL+"/carrier", "CARRIER_TIMEOUT=1m")
	putStock(t, p.client, "book", 10)

	for _, c := range []struct{ method, city, want string }{
		{"pm_card", "London", shipped},
		{"pm_error", "London", shipped},
		{"pm_pending", "London", shipped}, // an answer without a reference is none
		{"pm_broke", "London", declined},
		{"pm_page", "London", declined}, // the status says it
		{"pm_card", "Atlantis", undeliverable},
	} {
		o := goodOrder("customer")
		o.PaymentMethod, o.ShippingAddress.City, o.Items = c.method, c.city, []item{{"book", 1, "19.99"}}
		id := place(t, p.client, o).OrderID
		follow(t, p.client, id)
		eventually(t, c.method+" to "+c.city, func() error {
			if got := summaryOf(t, p.client, id); got != c.want {
				return fmt.Errorf("it ended as %q, want %q", got, c.want)
			}
			return nil
		})
		charges, refunds, parcels := others.requests("charge-"+id), others.requests("refund-"+id), others.requests("book-"+id)
		if len(charges) < 1 || len(slices.Compact(charges)) != 1 || !strings.Contains(charges[0], `"amount":"19.99"`) {
			t.Errorf("charges %q", charges)
		}
		if back := c.want == undeliverable; back != (len(refunds) == 2) || len(slices.Compact(refunds)) > 1 || !back && len(refunds) > 0 {
			t.Errorf("%s to %s: refunds %q", c.method, c.city, refunds)
		}
		if (c.want == declined) != (len(parcels) == 0) || len(parcels) > 1 {
			t.Errorf("%s to %s: parcels %q", c.method, c.city, parcels)
		}
	}
	paymentsMade := get[struct{ Orders []order }](t, p.client, "/v1/orders?status=shipped").Orders
	for _, o := range paymentsMade {
		payment := get[struct{ Payments []payment }](t, p.client, "/v1/payments?order_id="+o.OrderID).Payments[0]
		parcel := get[struct{ Shipments []shipment }](t, p.client, "/v1/shipments?order_id="+o.OrderID).Shipments[0]
		if payment.GatewayReference != "ref charge-"+o.OrderID || parcel.TrackingNumber != "track book-"+o.OrderID || parcel.Carrier != "ship & co" {
			t.Errorf("%+v, %+v", payment, parcel)
		}
	}
	testOddNames(t, p, others)
	testWhileTheCarrierThinks(t, p, others)
	testCallThatAlwaysBreaks(t, p)
}

// testOddNames has orders whose charges and parcels have names that fit into no event. They end like any other, and what is paid
// back is the charge of exactly that name.
func testOddNames(t *testing.T, p *program, others *provider) {
	for _, c := range []struct{ city, want string }{{"Oddington", shipped}, {"Atlantis", undeliverable}} {
		o := goodOrder("customer")
		o.PaymentMethod, o.ShippingAddress.City, o.Items = "pm_odd", c.city, []item{{"book", 1, "19.99"}}
		id := place(t, p.client, o).OrderID
		follow(t, p.client, id)
		eventually(t, "odd names to "+c.city, func() error {
			if got := summaryOf(t, p.client, id); got != c.want {
				return fmt.Errorf("it ended as %q, want %q", got, c.want)
			}
			return nil
		})
		charge := get[struct{ Payments []payment }](t, p.client, "/v1/payments?order_id="+id).Payments[0]
		if want := odd("charge-" + id); charge.GatewayReference != want {
			t.Errorf("the charge is called %q, want %q", charge.GatewayReference, want)
		}
		if c.want == shipped {
			parcel := get[struct{ Shipments []shipment }](t, p.client, "/v1/shipments?order_id="+id).Shipments[0]
			if want := odd("book-" + id); parcel.Carrier != "ship & co\n" || parcel.TrackingNumber != want {
				t.Errorf("the parcel is %q %q, want %q", parcel.Carrier, parcel.TrackingNumber, want)
			}
			continue
		}
		refunds := others.requests("refund-" + id)
		for _, request := range refunds {
			var asked struct{ Reference string }
			err := json.Unmarshal([]byte(strings.TrimPrefix(request, "/gateway/refunds ")), &asked)
			if err != nil || asked.Reference != odd("charge-"+id) {
				t.Errorf("refund of %q, %v", asked.Reference, err)
			}
		}
		if len(refunds) != 2 {
			t.Errorf("refunds %q, want one that failed and one that did not", refunds)
		}
	}
}

// testCallThatAlwaysBreaks has an order whose charge breaks the connection each time. It holds nobody else up.
func testCallThatAlwaysBreaks(t *testing.T, p *program) {
	bad, good := goodOrder("customer"), goodOrder("customer")
	bad.PaymentMethod, good.PaymentMethod = "pm_reset", "pm_card"
	good.Items = []item{{"book", 1, "19.99"}}
	place(t, p.client, bad)
	for range 3 {
		if o := follow(t, p.client, place(t, p.client, good).OrderID); o.Status != "shipped" {
			t.Errorf("the order behind it ended as %s %s", o.Status, o.CancelReason)
		}
	}
}

// testWhileTheCarrierThinks looks at an order whose parcel was asked for and not yet booked: its goods are set aside, and it is the
// carrier who decides whether a cancellation comes in time.
func testWhileTheCarrierThinks(t *testing.T, p *program, others *provider) {
	const path = "/v1/stock/held"
	putStock(t, p.client, "held", 10)
	o := goodOrder("customer")
	o.Items, o.ShippingAddress.City = []item{{"held", 4, "1.00"}}, "Hold"
	id := place(t, p.client, o).OrderID
	<-others.held
	want := stock{"held", 10, 4, 0, 6}
	if got := get[stock](t, p.client, path); got != want {
		t.Errorf("stock %+v, want %+v", got, want)
	}
	expectProblem(t, p.call(t, http.MethodPut, path, `{"on_hand": 3}`), 409, "")
	if got := get[stock](t, p.client, path); got != want {
		t.Errorf("stock after a change that was refused: %+v, want %+v", got, want)
	}
	want = stock{"held", 4, 4, 0, 0}
	if a := p.call(t, http.MethodPut, path, `{"on_hand": 4}`); a.status != 200 || unmarshal[stock](t, a.body) != want {
		t.Errorf("as much as is reserved: %s, want %+v", a, want)
	}
	// Nobody can have what is set aside.
	second := goodOrder("customer")
	second.Items = []item{{"held", 1, "1.00"}}
	if end := follow(t, p.client, place(t, p.client, second).OrderID); end.CancelReason != "out_of_stock" {
		t.Errorf("an order for what is set aside ended as %+v", end)
	}
	if a := p.call(t, http.MethodPost, "/v1/orders/"+id+"/cancel", nil); a.status != http.StatusAccepted {
		t.Errorf("cancel: %s", a)
	}
	others.let <- struct{}{}
	if end := follow(t, p.client, id); end.Status != "shipped" || end.CancelReason != "" {
		t.Errorf("cancelled while its parcel was being booked: %+v", end)
	}
	eventually(t, "CancellationRejected in the timeline", func() error {
		line := get[struct{ Events []moment }](t, p.client, "/v1/orders/"+id+"/events").Events
		if !slices.ContainsFunc(line, func(m moment) bool { return m.Type == "CancellationRejected" }) {
			return fmt.Errorf("%+v", line)
		}
		return nil
	})
}

// summaryOf writes what the services have of an order as a campaign does.
func summaryOf(t *testing.T, c *client, id string) string {
	t.Helper()
	o := &placed{id: id}
	if _, err := o.audit(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	return o.summary
}
