package main_test

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"orderflow/pkg/devstack/devtest"
)

// check compares what became of the orders with what may become of them, to the unit and to the cent.
func (m *campaign) check() {
	m.t.Helper()
	ctx, stop := context.WithTimeout(m.t.Context(), limit)
	defer stop()
	if n := m.refused.Load(); n > 0 && !m.patient {
		m.t.Errorf("%d requests were refused", n)
	}
	if err := m.each(func(o *placed) error { return devtest.Until(ctx, func() error { return m.compare(ctx, o) }) }); err != nil {
		m.t.Fatal(err)
	}
	m.checkStock()
	// The answer to a customer who came too late may come after the order has ended.
	if err := m.each(func(o *placed) error { return devtest.Until(ctx, func() error { return m.checkTimeline(ctx, o) }) }); err != nil {
		m.t.Fatal(err)
	}
	// It is still so when everything has come to rest.
	if err := m.each(func(o *placed) error { return m.compare(ctx, o) }); err != nil {
		m.t.Fatal(err)
	}
	m.report()
}

// compare compares what the services have of an order with what they may have.
func (m *campaign) compare(ctx context.Context, o *placed) error {
	books, err := o.audit(ctx, m.client)
	if err != nil {
		return err
	}
	if !slices.Contains(o.ends, o.summary) {
		return fmt.Errorf("it ended as %q, which is none of %q", o.summary, o.ends)
	}
	return cmp.Or(o.checkMoney(books["payments"]), o.checkParcel(books["shipments"]), o.checkCancellation())
}

// audit reads what the services have of an order, and sums it up.
func (o *placed) audit(ctx context.Context, c *client) (books map[string][]map[string]any, err error) {
	if o.end, err = read[order](ctx, c, "/v1/orders/"+o.id); err != nil {
		return nil, err
	}
	o.summary, books = strings.TrimSuffix(o.end.Status+"/"+o.end.CancelReason, "/"), map[string][]map[string]any{}
	for _, what := range []string{"payments", "reservations", "shipments"} {
		found, err := read[map[string][]map[string]any](ctx, c, "/v1/"+what+"?order_id="+o.id)
		if err != nil {
			return nil, err
		}
		books[what] = found[what]
		o.summary += " " + statuses(found[what])
	}
	return books, nil
}

func statuses(rows []map[string]any) string {
	all := []string{}
	for _, row := range rows {
		all = append(all, fmt.Sprint(row["status"]))
	}
	return cmp.Or(strings.Join(all, "+"), "-")
}

func (o *placed) checkMoney(payments []map[string]any) error {
	want, none := decimal(o.total, currencies[o.Currency]), decimal(0, currencies[o.Currency])
	if o.end.TotalAmount != want || o.end.Currency != o.Currency {
		return fmt.Errorf("its total is %s %s, want %s %s", o.end.TotalAmount, o.end.Currency, want, o.Currency)
	}
	for _, p := range payments {
		back := none
		if p["status"] == "refunded" {
			back = want
		}
		if p["amount"] != want || p["refunded_amount"] != back || p["currency"] != o.Currency {
			return fmt.Errorf("its payment is %v, want amount %s, refunded %s %s", p, want, back, o.Currency)
		}
		if moved := p["status"] == "charged" || p["status"] == "refunded"; moved != (p["gateway_reference"] != nil) {
			return fmt.Errorf("its payment is %v: there is a reference of the gateway if money was moved", p)
		}
	}
	return nil
}

func (o *placed) checkParcel(shipments []map[string]any) error {
	for _, s := range shipments {
		if created := s["status"] == "created"; created != (s["tracking_number"] != nil) || created != (s["carrier"] != nil) {
			return fmt.Errorf("its shipment is %v: there is a tracking number if it was created", s)
		}
	}
	return nil
}

func (o *placed) checkCancellation() error {
	customer := strings.Contains(o.summary, "customer_request")
	if customer && o.cancelled != http.StatusAccepted {
		return fmt.Errorf("it is %s, though the cancellation was answered with %d", o.summary, o.cancelled)
	}
	return nil
}

// checkTimeline looks at the order's events: each happened once, and one of them ended it.
func (m *campaign) checkTimeline(ctx context.Context, o *placed) error {
	line, err := read[struct{ Events []moment }](ctx, m.client, "/v1/orders/"+o.id+"/events")
	if err != nil {
		return err
	}
	seen := map[string]int{}
	for _, e := range line.Events {
		seen[e.Type]++
	}
	for name, n := range seen {
		if n > 1 {
			return fmt.Errorf("%s happened %d times: %v", name, n, line.Events)
		}
	}
	want := map[string]int{"OrderPlaced": 1, "OrderShipped": 0, "OrderCancelled": 0, "CancellationRejected": 0}
	want[map[string]string{"shipped": "OrderShipped", "cancelled": "OrderCancelled"}[o.end.Status]] = 1
	switch { // a cancellation that finds the order on its way back already is accepted without an event
	case o.cancelled != http.StatusAccepted:
		want["CancellationRequested"] = 0
	case o.end.CancelReason == "customer_request":
		want["CancellationRequested"] = 1
	case o.end.Status == "shipped":
		want["CancellationRequested"], want["CancellationRejected"] = 1, 1
	}
	for name, n := range want {
		if seen[name] != n {
			return fmt.Errorf("%s happened %d times and not %d: %v", name, seen[name], n, line.Events)
		}
	}
	return nil
}

// checkStock waits until the stock is what is left after the parcels.
func (m *campaign) checkStock() {
	m.t.Helper()
	out := map[string]int64{}
	var scarceShipped int64
	for _, o := range m.orders {
		if o.end.Status != "shipped" {
			continue
		}
		for _, i := range o.Items {
			out[i.ProductID] += i.Quantity
		}
		if o.product == scarce {
			scarceShipped++
		}
	}
	if want := min(m.stock[scarce], int64(m.count("scarce"))); scarceShipped != want {
		m.t.Errorf("%d orders of what is scarce were shipped, want %d", scarceShipped, want)
	}
	eventually(m.t, "stock", func() error {
		for product, put := range m.stock {
			id := m.product(product)
			want := stock{ProductID: id, OnHand: put - out[id], Shipped: out[id], Available: put - out[id]}
			got, err := read[stock](m.t.Context(), m.client, m.stockPath(product))
			if err != nil {
				return err
			}
			if got != want {
				return fmt.Errorf("stock is %+v, want %+v", got, want)
			}
		}
		return nil
	})
}

// report adds everything up.
func (m *campaign) report() {
	m.t.Helper()
	ends, money := map[string]int{}, map[string]int64{}
	for _, o := range m.orders {
		ends[o.summary]++
		if o.end.Status == "shipped" {
			total, err := minor(o.end.TotalAmount)
			if err != nil {
				m.t.Error(err)
			}
			money[o.Currency] += total
		}
	}
	for summary, n := range ends {
		m.t.Logf("%4d %s", n, summary)
	}
	m.t.Logf("kept, in minor units: %v", money)
}
