package main_test

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	api "orderflow/pkg/client"
	"orderflow/pkg/devstack/devtest"
)

// everything is what is seen of an order that is shipped.
var everything = []api.EventType{
	api.EventOrderPlaced, api.EventPaymentProcessed, api.EventInventoryReserved, api.EventShipmentCreated, api.EventOrderShipped,
}

// TestClientWaits lets the server wait for the end of orders.
func TestClientWaits(t *testing.T) {
	t.Parallel()
	p := serve(t, *devtest.New(t))
	putStock(t, p.client, "book", 100)
	putStock(t, p.client, "lamp", 100)
	c, err := p.api()
	if err != nil {
		t.Fatal(err)
	}
	o, err := c.PlaceOrder(t.Context(), request("customer-with-time"), api.Wait(15*time.Second))
	if err != nil || o.Status != api.OrderShipped {
		t.Errorf("%+v, %v", o, err)
	}
	slow := request("customer-with-time")
	slow.PaymentMethod = "pm_slow"
	if o, err = c.PlaceOrder(t.Context(), slow); err != nil {
		t.Fatal(err)
	}
	if o, err = c.CancelOrder(t.Context(), o.OrderID, api.Wait(15*time.Second)); err != nil || o.Status != api.OrderCancelled {
		t.Errorf("%+v, %v", o, err)
	}
	if o, err = c.Order(t.Context(), o.OrderID, api.Wait(15*time.Second)); err != nil || o.Status != api.OrderCancelled {
		t.Errorf("%+v, %v", o, err)
	}
}

// TestClientFollows orders to their end, over a restart, and from where it was.
func TestClientFollows(t *testing.T) {
	t.Parallel()
	p := serve(t, *devtest.New(t))
	putStock(t, p.client, "book", 100)
	putStock(t, p.client, "lamp", 100)
	c, err := p.api(api.WithAttempts(100)) // it may take a while to start again
	if err != nil {
		t.Fatal(err)
	}
	r := request("customer-who-follows")
	r.PaymentMethod = "pm_slow"
	o, err := c.PlaceOrder(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	var seen []api.EventType
	var cursors []string
	for e, err := range c.Follow(t.Context(), o.OrderID) {
		if err != nil {
			t.Fatal(err)
		}
		seen, cursors = append(seen, e.Type), append(cursors, e.Cursor)
		if len(seen) == 1 {
			p.stop()
			p.start()
		}
	}
	if !slices.Equal(seen, everything) {
		t.Fatalf("seen %v, want %v", seen, everything)
	}
	for from, cursor := range cursors {
		seen = nil
		for e, err := range c.Follow(t.Context(), o.OrderID, api.After(cursor)) {
			if err != nil {
				t.Fatal(err)
			}
			if seen = append(seen, e.Type); e.Type.Ends() {
				break
			}
		}
		if want := everything[from+1:]; !slices.Equal(seen, want) {
			t.Errorf("seen after event %d: %v, want %v", from, seen, want)
		}
	}
	for e, err := range c.Follow(t.Context(), uuid.New()) {
		if api.StatusOf(err) != 404 {
			t.Errorf("an order that there is not: %+v, %v", e, err)
		}
	}
}

// TestExample runs the example as a reader would.
func TestExample(t *testing.T) {
	t.Parallel()
	p := serve(t, *devtest.New(t))
	putStock(t, p.client, "demo-1", 100)
	example := filepath.Join(t.TempDir(), "example")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", example, "orderflow/pkg/client/example").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	out, err := exec.CommandContext(t.Context(), example, p.base).CombinedOutput()
	want := regexp.MustCompile(`^order [0-9a-f-]{36} of 39.98 EUR
\S+ OrderPlaced \n\S+ PaymentProcessed 39.98\n\S+ InventoryReserved \n\S+ ShipmentCreated \S+\n\S+ OrderShipped \n$`)
	if err != nil || !want.Match(bytes.TrimLeft(out, " ")) {
		t.Errorf("%v\n%s\nwant %s", err, out, want)
	}
}
