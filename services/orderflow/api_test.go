package main_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	api "orderflow/pkg/client"
	"orderflow/pkg/devstack/devtest"
)

// api is the client that everybody may use. It asks once, so that a test sees what is refused.
func (c *client) api(options ...api.Option) (*api.Client, error) {
	once := []api.Option{api.WithHTTPClient(&http.Client{Transport: judged{c}}), api.WithAttempts(1)}
	return api.New(c.base, append(once, options...)...)
}

// await waits until an order has ended.
func (c *client) await(ctx context.Context, id string) (order, error) {
	orderID, err := uuid.Parse(id)
	if err != nil {
		return order{}, err
	}
	all, err := c.api()
	if err != nil {
		return order{}, err
	}
	o, err := all.Await(ctx, orderID)
	if err != nil && o != nil {
		err = fmt.Errorf("is still %s: %w", o.Status, err)
	}
	if err != nil {
		return order{}, err
	}
	return order{
		OrderID: id, Status: string(o.Status), CancelReason: string(o.CancelReason), CustomerID: o.CustomerID,
		Currency: o.Currency, TotalAmount: o.TotalAmount, Version: o.Version,
	}, nil
}

// TestClient does with pkg/client all that can be done.
func TestClient(t *testing.T) {
	t.Parallel()
	p := serve(t, *devtest.New(t))
	c, err := p.api()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Ready(t.Context()); err != nil {
		t.Error(err)
	}
	for _, part := range []struct {
		name string
		run  func(*testing.T, *api.Client)
	}{
		{"stock", tryStock},
		{"an order that is shipped", tryShipped},
		{"an order that is called off", tryCancelled},
		{"lists", tryLists},
		{"what is refused", tryRefused},
	} {
		t.Run(part.name, func(t *testing.T) { part.run(t, c) })
	}
}

// request is goodOrder as pkg/client has it.
func request(customer string) api.OrderRequest {
	o := goodOrder(customer)
	a := o.ShippingAddress
	r := api.OrderRequest{
		CustomerID: o.CustomerID, Currency: o.Currency, PaymentMethod: o.PaymentMethod,
		ShippingAddress: api.Address{Name: a.Name, Line1: a.Line1, City: a.City, PostalCode: a.PostalCode, Country: a.Country},
	}
	for _, i := range o.Items {
		r.Items = append(r.Items, api.Item(i))
	}
	return r
}

func tryStock(t *testing.T, c *api.Client) {
	put := map[string]int64{"book": 1000, "lamp": 1000, "a/b": 1, "..": 2, "é%?#": 3}
	for product, n := range put {
		got, err := c.PutStock(t.Context(), product, n)
		if err != nil || got.ProductID != product || got.OnHand != n {
			t.Fatalf("%s: %+v, %v", product, got, err)
		}
		again, err := c.StockOf(t.Context(), product)
		if err != nil || *again != *got {
			t.Errorf("%s: %+v, %v; was put as %+v", product, again, err, got)
		}
	}
	for s, err := range c.Stock(t.Context()) {
		if err != nil || put[s.ProductID] != s.Available {
			t.Errorf("%+v, %v", s, err)
		}
		delete(put, s.ProductID)
	}
	if len(put) > 0 {
		t.Errorf("the list is without %v", put)
	}
}

// mustPlace places an order and waits for its end.
func mustPlace(t *testing.T, c *api.Client, r api.OrderRequest) *api.Order {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), limit)
	defer stop()
	o, err := c.PlaceOrder(ctx, r)
	if err == nil {
		o, err = c.Await(ctx, o.OrderID)
	}
	if err != nil {
		t.Fatalf("%+v, %v", o, err)
	}
	return o
}

func tryShipped(t *testing.T, c *api.Client) {
	want := request("customer-of-go")
	o := mustPlace(t, c, want)
	if o.Status != api.OrderShipped || o.TotalAmount != "40.03" || !slices.Equal(o.Items, want.Items) || o.ShippingAddress != want.ShippingAddress ||
		o.PlacedAt.IsZero() || o.UpdatedAt.Before(o.PlacedAt) {
		t.Errorf("%+v", o)
	}
	if again, err := c.Order(t.Context(), o.OrderID, api.IfNoneMatch(o.ETag)); !errors.Is(err, api.ErrNotModified) || again != nil {
		t.Errorf("%+v, %v", again, err)
	}
	events, err := c.Timeline(t.Context(), o.OrderID)
	if err != nil || len(events) != 5 || events[4].Type != api.EventOrderShipped || events[1].Data.Amount != "40.03" || events[3].Data.TrackingNumber == "" {
		t.Errorf("%+v, %v", events, err)
	}
	payments, err := c.Payments(t.Context(), o.OrderID)
	if err != nil || len(payments) != 1 || payments[0].Status != api.PaymentCharged || payments[0].Amount != "40.03" || payments[0].PaymentID != events[1].Data.PaymentID {
		t.Errorf("%+v, %v", payments, err)
	}
	reservations, err := c.Reservations(t.Context(), o.OrderID)
	if err != nil || len(reservations) != 1 || !slices.Equal(reservations[0].Items, want.Items) {
		t.Errorf("%+v, %v", reservations, err)
	}
	shipments, err := c.Shipments(t.Context(), o.OrderID)
	if err != nil || len(shipments) != 1 || shipments[0].Status != api.ShipmentCreated || shipments[0].TrackingNumber != events[3].Data.TrackingNumber {
		t.Errorf("%+v, %v", shipments, err)
	}
}

func tryCancelled(t *testing.T, c *api.Client) {
	r := request("customer-of-go")
	r.PaymentMethod = "pm_slow"
	key := api.IdempotencyKey("of-" + t.Name())
	o, err := c.PlaceOrder(t.Context(), r, key)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := c.PlaceOrder(t.Context(), r, key); err != nil || again.OrderID != o.OrderID {
		t.Errorf("with the same key: %+v, %v; first it was %+v", again, err, o)
	}
	if o, err = c.CancelOrder(t.Context(), o.OrderID); err != nil || o.Status != api.OrderCancelling {
		t.Fatalf("%+v, %v", o, err)
	}
	ctx, stop := context.WithTimeout(t.Context(), limit)
	defer stop()
	if o, err = c.Await(ctx, o.OrderID); err != nil || o.Status != api.OrderCancelled || o.CancelReason != api.ReasonCustomerRequest {
		t.Fatalf("%+v, %v", o, err)
	}
	if o, err = c.CancelOrder(t.Context(), o.OrderID); api.StatusOf(err) != http.StatusConflict || o != nil {
		t.Errorf("when it has ended: %+v, %v", o, err)
	}
}

func tryLists(t *testing.T, c *api.Client) {
	const customer = "customer & co"
	var placed, listed []uuid.UUID
	for range 5 {
		placed = slices.Insert(placed, 0, mustPlace(t, c, request(customer)).OrderID)
	}
	for o, err := range c.Orders(t.Context(), api.OrderQuery{CustomerID: customer, Status: api.OrderShipped, PageSize: 2}) {
		if err != nil {
			t.Fatal(err)
		}
		listed = append(listed, o.OrderID)
	}
	if !slices.Equal(listed, placed) {
		t.Errorf("listed %v, want %v", listed, placed)
	}
}

func tryRefused(t *testing.T, c *api.Client) {
	r := request("customer-of-go")
	r.Items[1].UnitPrice = "1"
	var p *api.Problem
	if _, err := c.PlaceOrder(t.Context(), r); !errors.As(err, &p) || p.Status != 422 || len(p.Errors) != 1 || p.Errors[0].Pointer != "/items/1/unit_price" ||
		!strings.HasPrefix(err.Error(), "POST /v1/orders: 422 Unprocessable Entity: ") {
		t.Errorf("%#v", p)
	}
	if o, err := c.Order(t.Context(), uuid.New()); api.StatusOf(err) != http.StatusNotFound || o != nil {
		t.Errorf("%+v, %v", o, err)
	}
	for o, err := range c.Orders(t.Context(), api.OrderQuery{Status: "lost"}) {
		if api.StatusOf(err) != http.StatusBadRequest {
			t.Errorf("%+v, %v", o, err)
		}
	}
}
