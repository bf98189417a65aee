package anyorder

import (
	"errors"
	"strings"
	"testing"

	"orderflow/pkg/event"
	"orderflow/services/inventory"
	"orderflow/services/payment"
	"orderflow/services/shipping"
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
			const buried = book + 1 // not a call, but for record to know
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
