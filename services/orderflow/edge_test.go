package main_test

import (
	"net/http"
	"testing"
	"time"

	"orderflow/pkg/devstack/devtest"
)

// longer is longer than any request may take that does not wait on purpose, and than any connection may be silent.
const longer = 32 * time.Second

// Waits and streams last as long as they are to, through the edge and without it.
func TestPatience(t *testing.T) {
	t.Parallel()
	s := openShop(t)
	front := run(t, settings(devtest.Env{}, "AMQP_URL=amqp://h", "DATABASE_URL=postgres://h", "RABBITMQ_MANAGEMENT_URL="), "edge", "--order", s.base, "--payment", s.base, "--inventory", s.base, "--shipping", s.base)
	edge := shop{front, s.provider}
	patient := func(c *client) { c.http.Timeout = time.Minute }
	patient(s.client)
	patient(edge.client)

	o := s.hold(t)
	streams := []*listener{listen(t, s.client, o.OrderID, ""), listen(t, edge.client, o.OrderID, "")}
	for _, l := range streams {
		l.until(t, "InventoryReserved") // it comes at once
	}
	path := "/v1/orders/" + o.OrderID
	waits := []<-chan *answer{
		s.ask(t.Context(), http.MethodGet, path, nil, "Prefer: wait=50"),
		edge.ask(t.Context(), http.MethodGet, path, nil, "Prefer: wait=50"),
		edge.ask(t.Context(), http.MethodPost, path+"/cancel", "{}", "Prefer: wait=50"),
	}
	watchers(t, s.client, 5)
	select {
	case a := <-waits[0]:
		t.Errorf("who waited was answered before the order had ended: %s", a)
	case a := <-waits[1]:
		t.Errorf("who waited at the edge was answered before the order had ended: %s", a)
	case a := <-waits[2]:
		t.Errorf("who cancelled was answered before the order had ended: %s", a)
	case <-time.After(longer):
	}
	s.release()
	for i, status := range []int{200, 200, 202} {
		wantOrder(t, <-waits[i], status, "wait=50", "shipped")
	}
	for _, l := range streams {
		l.until(t, "OrderShipped")
	}

	// The edge lets those go who listen when it stops.
	o = s.hold(t)
	l := listen(t, edge.client, o.OrderID, "")
	l.until(t, "InventoryReserved")
	front.stop()
	for range l.events {
	}
	<-l.ended
	watchers(t, s.client, 0)
	s.release()
	follow(t, s.client, o.OrderID)
}
