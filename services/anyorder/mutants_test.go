package anyorder

import (
	"errors"
	"strings"
	"testing"

	"orderflow/pkg/event"
	"orderflow/services/inventory"
	"orderflow/services/order"
	"orderflow/services/payment"
	"orderflow/services/shipping"
)

const (
	// Not calls, but for record to know.
	buried = book + 1 + iota
	declined
)

// mutants are protocols with one mistake each, and how the search finds out.
var mutants = []struct {
	name  string
	plan  string // the kind of order that it harms
	spoil func(protocol)
	want  string // part of the broken promise
}{
	{
		name: "payment does not look for a tombstone", plan: "shipped, cancelled",
		spoil: func(p protocol) {
			p.queue("payment.order-placed").intend = func(w *world, e event.Payload) call {
				if w.payment != nil && w.payment.Status == payment.Voided {
					w.payment = nil
				}
				return intendCharge(w, e)
			}
		},
		want: "cancelled, but the payment is not taken back",
	},
	{
		name: "inventory does not look for a tombstone", plan: "shipped, cancelled",
		spoil: func(p protocol) {
			p.queue("inventory.payment-processed").record = func(w *world, e event.Payload, c call) ([]event.Payload, bool) {
				if w.reservation != nil && w.reservation.Status == inventory.Voided {
					w.reservation = nil
				}
				return reserve(w, e, c)
			}
		},
		want: "cancelled, but the reservation is not taken back",
	},
	{
		name: "shipping does not look for a tombstone", plan: "shipped, cancelled",
		spoil: func(p protocol) {
			p.queue("shipping.inventory-reserved").intend = func(w *world, e event.Payload) call {
				if w.shipment != nil && w.shipment.Status == shipping.Cancelled {
					w.shipment = nil
				}
				return intendBooking(w, e)
			}
		},
		want: "a parcel is on its way whose payment was refunded",
	},
	{
		name: "the inbox is forgotten", plan: "shipped, cancelled",
		spoil: func(p protocol) {
			for _, s := range p {
				s.inbox = false
			}
		},
		want: "CancellationRejected is said twice",
	},
	{
		name: "payment charges without an intent", plan: "shipped, cancelled",
		spoil: func(p protocol) {
			s := p.queue("payment.order-placed")
			s.intend = func(w *world, e event.Payload) call {
				if w.payment == nil {
					return charge
				}
				return intendCharge(w, e)
			}
			s.record = func(w *world, e event.Payload, c call) ([]event.Payload, bool) {
				if w.payment == nil {
					intendCharge(w, e)
				}
				return recordCharge(w, e, c)
			}
		},
		want: "cancelled, but the gateway charged 4498 and refunded 0",
	},
	{
		name: "shipping books without an intent", plan: "shipped, cancelled",
		spoil: func(p protocol) {
			s := p.queue("shipping.inventory-reserved")
			s.intend = func(w *world, e event.Payload) call {
				if w.shipment == nil {
					return book
				}
				return intendBooking(w, e)
			}
			s.record = func(w *world, e event.Payload, c call) ([]event.Payload, bool) {
				if w.shipment == nil {
					intendBooking(w, e)
				}
				return recordBooking(w, e, c)
			}
		},
		want: "a parcel is on its way whose payment was refunded",
	},
	{
		name: "payment refunds before shipping has decided", plan: "shipped, cancelled",
		spoil: func(p protocol) {
			s := p.queue("payment.inventory-released")
			s.events = append(s.events, event.TypeCancellationRequested)
		},
		want: "a parcel is on its way whose payment was refunded",
	},
	{
		// The tombstone survives a crash, and what it had to say does not.
		name: "payment commits a tombstone before its event", plan: "shipped, cancelled",
		spoil: func(p protocol) {
			s := p.queue("payment.inventory-released")
			s.intend = func(w *world, e event.Payload) call {
				if w.payment == nil {
					p, _ := payment.Tombstone(w.terms(), reasonOf(e), paymentID)
					w.payment = &p
					return buried
				}
				return intendTakeback(w, e)
			}
			s.record = func(w *world, e event.Payload, c call) ([]event.Payload, bool) {
				if c == buried {
					_, voided := payment.Tombstone(w.terms(), reasonOf(e), paymentID)
					return say(voided), false
				}
				return recordTakeback(w, e, c)
			}
		},
		want: "the order never ends",
	},
	{
		// Two workers have the same OrderPlaced. The one that settles goes on to the refund; the other must not close the event.
		name: "payment is done with a charge that another worker has yet to refund", plan: "shipped, cancelled",
		spoil: func(p protocol) {
			p.queue("payment.order-placed").record = func(w *world, e event.Payload, c call) ([]event.Payload, bool) {
				before := w.payment.Status
				follow, again := recordCharge(w, e, c)
				return follow, again && before == payment.Charging
			}
		},
		want: "the order never ends",
	},
	{
		name: "an event is acknowledged before it is handled", plan: "shipped",
		spoil: func(p protocol) { p.queue("inventory.payment-processed").mistake = ackFirst },
		want:  "the order never ends",
	},
	{
		name: "an event is published after the commit, without an outbox", plan: "shipped",
		spoil: func(p protocol) { p.queue("shipping.inventory-reserved").mistake = publishLater },
		want:  "the order never ends",
	},
	{
		name: "an event is published before the commit", plan: "shipped",
		spoil: func(p protocol) { p.queue("inventory.payment-processed").mistake = publishFirst },
		want:  "InventoryReserved is said twice",
	},
	{
		name: "the stock is moved though the reservation did not change", plan: "out of stock, cancelled",
		spoil: func(p protocol) {
			p.queue("inventory.shipment-cancelled").record = func(w *world, e event.Payload, c call) ([]event.Payload, bool) {
				if w.reservation != nil {
					w.warehouse.move(*w.reservation, inventory.Released)
				}
				before := w.warehouse
				follow, again := release(w, e, c)
				w.warehouse = before
				return follow, again
			}
		},
		want: "stock of demo-1 does not add up",
	},
	{
		name: "the reservation is released and the stock is not", plan: "undeliverable",
		spoil: func(p protocol) {
			p.queue("inventory.shipment-cancelled").record = func(w *world, e event.Payload, c call) ([]event.Payload, bool) {
				before := w.warehouse
				follow, again := release(w, e, c)
				w.warehouse = before
				return follow, again
			}
		},
		want: "stock of demo-1 is",
	},
	{
		name: "the stock that shipped stays reserved", plan: "shipped",
		spoil: func(p protocol) { p.queue("inventory.shipment-created").events = nil },
		want:  "shipped, but the reservation is not",
	},
	{
		name: "the gateway is asked without a key", plan: "shipped",
		spoil: func(p protocol) {
			p.queue("payment.order-placed").make = func(w *world, c call) {
				before := w.gateway
				if w.make(c); c == charge {
					w.gateway.charged += before.charged
				}
			}
		},
		want: "shipped, but the gateway charged 8996 and refunded 0 of 4498",
	},
	{
		name: "an answer that never came is taken for a refusal", plan: "shipped",
		spoil: func(p protocol) {
			s := p.queue("payment.order-placed")
			s.intend = func(w *world, e event.Payload) call {
				if w.payment != nil && w.payment.Status == payment.Charging { // begun before, and crashed
					return declined
				}
				return intendCharge(w, e)
			}
			s.record = func(w *world, e event.Payload, c call) ([]event.Payload, bool) {
				if c == declined {
					p, fact := w.payment.Settle(w.terms(), payment.Verdict{Declined: true})
					w.payment = &p
					return say(fact), false
				}
				return recordCharge(w, e, c)
			}
		},
		want: "cancelled, but the gateway charged 4498 and refunded 0",
	},
	{
		name: "the order is what the last event says", plan: "shipped",
		spoil: func(p protocol) {
			p.queue("order.progress").record = func(w *world, e event.Payload, _ call) ([]event.Payload, bool) {
				o, _ := order.Place(w.plan.terms, now)
				o, end := o.Learn(e, now)
				w.order = &o
				return say(end), false
			}
		},
		want: "the order never ends: paid",
	},
	{
		name: "the customer cancels what has shipped", plan: "shipped, cancelled",
		spoil: func(p protocol) {
			p.queue("shipping.cancellation-requested").record = func(w *world, e event.Payload, _ call) ([]event.Payload, bool) {
				s, cancelled := shipping.Tombstone(w.terms(), reasonOf(e), shipmentID)
				w.shipment = &s
				return say(cancelled), false
			}
		},
		want: "a parcel is on its way whose payment was refunded",
	},
}

func TestMutantsBreakAPromise(t *testing.T) {
	for _, m := range mutants {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			p := newProtocol()
			m.spoil(p)
			f, err := explore(newWorld(planNamed(t, m.plan), p, once))
			var b *broken
			if !errors.As(err, &b) || !strings.Contains(b.promise.Error(), m.want) {
				t.Fatalf("found %v\n(%v)\nwant %q", err, f, m.want)
			}
			t.Logf("%v\n(%v)", b, f)
		})
	}
}

func planNamed(t *testing.T, name string) *plan {
	for _, p := range allPlans() {
		if p.name == name {
			return &p
		}
	}
	t.Fatalf("there is no plan %q", name)
	return nil
}
