package verify

import (
	"bytes"
	"cmp"
	"fmt"
	"iter"

	"github.com/google/uuid"

	"orderflow/services/inventory"
	"orderflow/services/order"
	"orderflow/services/payment"
	"orderflow/services/shipping"
)

// streams are the rows of the services, each sorted by order id.
type streams struct {
	orders       iter.Seq2[order.Order, error]
	timelines    iter.Seq2[order.Timeline, error]
	payments     iter.Seq2[payment.Payment, error]
	reservations iter.Seq2[inventory.Reservation, error]
	shipments    iter.Seq2[shipping.Shipment, error]
}

// merge puts together what the streams have of each order, and lets see look at one record after the other. A record is see's
// until it returns.
func (s streams) merge(see func(*record)) error {
	orders := begin("orders", s.orders, func(o *order.Order) uuid.UUID { return o.OrderID })
	defer orders.stop()
	timelines := begin("timelines", s.timelines, func(t *order.Timeline) uuid.UUID { return t.OrderID })
	defer timelines.stop()
	payments := begin("payments", s.payments, func(p *payment.Payment) uuid.UUID { return p.OrderID })
	defer payments.stop()
	reservations := begin("reservations", s.reservations, func(r *inventory.Reservation) uuid.UUID { return r.OrderID })
	defer reservations.stop()
	shipments := begin("shipments", s.shipments, func(s *shipping.Shipment) uuid.UUID { return s.OrderID })
	defer shipments.stop()
	var r record
	for {
		var found bool
		r.id, found = uuid.Max, false
		for _, c := range [...]interface{ lowest(*uuid.UUID) bool }{orders, timelines, payments, reservations, shipments} {
			found = c.lowest(&r.id) || found
		}
		if !found {
			return cmp.Or(orders.err, timelines.err, payments.err, reservations.err, shipments.err)
		}
		r.orders = orders.take(r.id, r.orders[:0])
		r.timelines = timelines.take(r.id, r.timelines[:0])
		r.payments = payments.take(r.id, r.payments[:0])
		r.reservations = reservations.take(r.id, r.reservations[:0])
		r.shipments = shipments.take(r.id, r.shipments[:0])
		if err := cmp.Or(orders.err, timelines.err, payments.err, reservations.err, shipments.err); err != nil {
			return err
		}
		see(&r)
	}
}

// cursor is a stream that can be looked at one row ahead.
type cursor[T any] struct {
	name string
	idOf func(*T) uuid.UUID
	pull func() (T, error, bool)
	stop func()
	head T
	ok   bool // there is a head
	err  error
}

func begin[T any](name string, rows iter.Seq2[T, error], idOf func(*T) uuid.UUID) *cursor[T] {
	c := &cursor[T]{name: name, idOf: idOf}
	c.pull, c.stop = iter.Pull2(rows)
	c.advance()
	return c
}

func (c *cursor[T]) advance() {
	var before uuid.UUID
	if c.ok {
		before = c.idOf(&c.head)
	}
	if c.head, c.err, c.ok = c.pull(); c.err != nil {
		c.ok, c.err = false, fmt.Errorf("read %s: %w", c.name, c.err)
	} else if c.ok && compare(c.idOf(&c.head), before) < 0 {
		c.ok, c.err = false, fmt.Errorf("read %s: %s comes after %s", c.name, c.idOf(&c.head), before)
	}
}

// lowest lowers id to that of the head, and tells whether there is one.
func (c *cursor[T]) lowest(id *uuid.UUID) bool {
	if c.ok {
		if head := c.idOf(&c.head); compare(head, *id) < 0 {
			*id = head
		}
	}
	return c.ok
}

// take appends the rows of an order.
func (c *cursor[T]) take(id uuid.UUID, to []T) []T {
	for c.ok && c.idOf(&c.head) == id {
		to = append(to, c.head)
		c.advance()
	}
	return to
}

func compare(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) }
