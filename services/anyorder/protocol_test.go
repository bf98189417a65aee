package anyorder

import (
	"fmt"
	"time"

	"github.com/google/uuid"

	"orderflow/pkg/event"
	"orderflow/services/inventory"
	"orderflow/services/order"
	"orderflow/services/payment"
	"orderflow/services/shipping"
)

// protocol is the subscriptions of all services: what the exchange routes to whom, and what they do with it.
type protocol []*subscription

// subscription is a queue and its reaction, in one transaction or, where another system is called in between, in two.
type subscription struct {
	queue  string
	events []event.Type
	// intend is the first transaction. The inbox has no part in it, so it is also run for events that were handled before. It
	// returns what is to be asked of the other system. A subscription that never asks has none.
	intend func(*world, event.Payload) call
	// record is the last transaction, run for events that are not in the inbox. The answers of gateway and carrier to a key never
	// change, so all that is kept of a call in between is that it was made. An event that is to be handled again is not noted in
	// the inbox; what record did is committed all the same.
	record func(w *world, e event.Payload, called call) (follow []event.Payload, again bool)
	// What follows is for mutants.
	inbox   bool               // without it, what comes again is handled again
	make    func(*world, call) // another way to make a call
	mistake mistake
}

// mistake is one of the runtime, around a reaction.
type mistake byte

const (
	noMistake    mistake = iota
	ackFirst             // a message is acknowledged before it is handled
	publishLater         // events are published after the commit, and nothing remembers that they have to be
	publishFirst         // events are published before the commit
)

// call is what a service asks of another system.
type call byte

const (
	none call = iota
	charge
	refund
	book
)

func (c call) String() string {
	switch c {
	case charge:
		return "the gateway to charge"
	case refund:
		return "the gateway to refund"
	case book:
		return "the carrier to book"
	}
	return "nobody"
}

var (
	now           = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	orderID       = uuid.MustParse("01890000-0000-7000-8000-000000000001")
	paymentID     = uuid.MustParse("01890000-0000-7000-8000-000000000002")
	reservationID = uuid.MustParse("01890000-0000-7000-8000-000000000003")
	shipmentID    = uuid.MustParse("01890000-0000-7000-8000-000000000004")
)

// newProtocol is the workflow as it is.
func newProtocol() protocol {
	p := protocol{
		{queue: "payment.order-placed", intend: intendCharge, record: recordCharge,
			events: []event.Type{event.TypeOrderPlaced}},
		{queue: "payment.inventory-released", intend: intendTakeback, record: recordTakeback,
			events: []event.Type{event.TypeInventoryRejected, event.TypeInventoryReleased}},
		{queue: "inventory.payment-processed", record: reserve,
			events: []event.Type{event.TypePaymentProcessed}},
		{queue: "inventory.shipment-cancelled", record: release,
			events: []event.Type{event.TypeShipmentFailed, event.TypeShipmentCancelled}},
		{queue: "inventory.shipment-created", record: ship,
			events: []event.Type{event.TypeShipmentCreated}},
		{queue: "shipping.inventory-reserved", intend: intendBooking, record: recordBooking,
			events: []event.Type{event.TypeInventoryReserved}},
		{queue: "shipping.cancellation-requested", record: decideCancellation,
			events: []event.Type{event.TypeCancellationRequested}},
		{queue: "order.progress", record: learn,
			events: []event.Type{
				event.TypePaymentProcessed, event.TypePaymentFailed, event.TypePaymentRefunded, event.TypePaymentVoided,
				event.TypeInventoryReserved, event.TypeInventoryRejected, event.TypeInventoryReleased,
				event.TypeShipmentCreated, event.TypeShipmentFailed, event.TypeShipmentCancelled, event.TypeCancellationRejected,
			}},
	}
	for _, s := range p {
		s.inbox = true
	}
	return p
}

// queue finds a subscription, for a mutant to spoil.
func (p protocol) queue(name string) *subscription {
	for _, s := range p {
		if s.queue == name {
			return s
		}
	}
	panic(fmt.Sprintf("no queue %s", name))
}

// intendCharge commits the intent to charge, unless the order has a payment already: one that was begun, or a tombstone.
func intendCharge(w *world, _ event.Payload) call {
	if w.payment == nil {
		w.payment = new(payment.Open(w.terms(), paymentID))
	}
	switch w.payment.Status {
	case payment.Charging:
		return charge
	case payment.Refunding:
		return refund
	}
	return none
}

func recordCharge(w *world, _ event.Payload, called call) (follow []event.Payload, again bool) {
	if called == none {
		return nil, false
	}
	if called == charge {
		p, e := w.payment.Settle(w.terms(), w.plan.charge)
		w.payment = &p
		follow = say(e)
	}
	return append(follow, w.repay(called)...), w.payment.Status == payment.Refunding
}

// intendTakeback marks what is to be taken back. Where there is no payment yet it does nothing: a tombstone that is committed here
// could outlive a crash without its event.
func intendTakeback(w *world, e event.Payload) call {
	if w.payment == nil {
		return none
	}
	w.payment = new(w.payment.Takeback(reasonOf(e)))
	if w.payment.Status == payment.Refunding {
		return refund
	}
	return none
}

// recordTakeback commits the tombstone together with its event. The payment may have come into being since the first transaction,
// so it is taken back here too.
func recordTakeback(w *world, e event.Payload, called call) (follow []event.Payload, again bool) {
	if w.payment == nil {
		p, voided := payment.Tombstone(w.terms(), reasonOf(e), paymentID)
		w.payment = &p
		return say(voided), false
	}
	follow = w.repay(called)
	w.payment = new(w.payment.Takeback(reasonOf(e)))
	return follow, w.payment.Status == payment.Refunding
}

func (w *world) repay(called call) []event.Payload {
	if called != refund {
		return nil
	}
	p, e := w.payment.Repaid(w.terms())
	w.payment = &p
	return say(e)
}

func reserve(w *world, _ event.Payload, _ call) (follow []event.Payload, again bool) {
	if w.reservation != nil {
		return nil, false
	}
	r, e := inventory.Open(w.terms(), reservationID).Reserve(w.terms(), w.warehouse.shelf())
	w.setReservation(r)
	return say(e), false
}

func release(w *world, e event.Payload, _ call) (follow []event.Payload, again bool) {
	if w.reservation == nil {
		r, released := inventory.Tombstone(w.terms(), reasonOf(e), reservationID)
		w.setReservation(r)
		return say(released), false
	}
	r, released := w.reservation.Release(w.terms(), reasonOf(e))
	w.setReservation(r)
	return say(released), false
}

func ship(w *world, _ event.Payload, _ call) (follow []event.Payload, again bool) {
	w.setReservation(w.reservation.Ship())
	return nil, false
}

// setReservation changes the reservation and, in the same transaction, the stock.
func (w *world) setReservation(r inventory.Reservation) {
	if w.reservation == nil || w.reservation.Status != r.Status {
		w.warehouse.move(r, r.Status)
	}
	w.reservation = &r
}

func intendBooking(w *world, _ event.Payload) call {
	if w.shipment == nil {
		w.shipment = new(shipping.Open(w.terms(), shipmentID))
	}
	if w.shipment.Status == shipping.Booking {
		return book
	}
	return none
}

func recordBooking(w *world, _ event.Payload, called call) (follow []event.Payload, again bool) {
	if called != book {
		return nil, false
	}
	s, follow := w.shipment.Settle(w.terms(), w.plan.booking)
	w.shipment = &s
	return follow, false
}

func decideCancellation(w *world, e event.Payload, _ call) (follow []event.Payload, again bool) {
	if w.shipment == nil {
		s, cancelled := shipping.Tombstone(w.terms(), reasonOf(e), shipmentID)
		w.shipment = &s
		return say(cancelled), false
	}
	s, rejected := w.shipment.Cancel(w.terms())
	w.shipment = &s
	return say(rejected), false
}

func learn(w *world, e event.Payload, _ call) (follow []event.Payload, again bool) {
	o, end := w.order.Learn(e, now)
	w.order = &o
	return say(end), false
}

// place is the request that begins the order, and cancel the customer's wish to end it.
func (w *world) place(terms event.Order) {
	o, placed := order.Place(terms, now)
	w.order = &o
	w.publish(placed)
}

func (w *world) cancel() {
	o, request, _ := w.order.Cancel(now)
	w.order = &o
	w.publish(say(request)...)
}

func (w *world) terms() *event.Order { return &w.plan.terms }

// say is a list of one event, or of none.
func say(e event.Payload) []event.Payload {
	if e == nil {
		return nil
	}
	return []event.Payload{e}
}
