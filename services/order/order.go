package order

import (
	"time"

	"orderflow/pkg/event"
)

// Status is where an order stands.
type Status string

// An order goes placed → paid → reserved → shipped, or from any of the first three by cancelling to cancelled.
const (
	Placed     Status = "placed"
	Paid       Status = "paid"
	Reserved   Status = "reserved"
	Shipped    Status = "shipped"
	Cancelling Status = "cancelling"
	Cancelled  Status = "cancelled"
)

// Ended tells whether nothing more will happen.
func (s Status) Ended() bool { return s == Shipped || s == Cancelled }

// Facts is the set of the facts that are known of an order. The status is a function of this set alone, and so does not depend
// on the order in which the facts came in.
type Facts int32

// Each fact is one bit; several events may state the same fact.
const (
	FactPaid Facts = 1 << iota
	FactReserved
	FactShipped       // the parcel is booked: no way back
	FactUndoing       // somebody began to take the order back
	FactUndone        // money is back, or never left
	FactPlaced  Facts = 0
)

// status folds the facts.
func (f Facts) status() Status {
	switch {
	case f&FactShipped != 0:
		return Shipped
	case f&FactUndone != 0:
		return Cancelled
	case f&FactUndoing != 0:
		return Cancelling
	case f&FactReserved != 0:
		return Reserved
	case f&FactPaid != 0:
		return Paid
	}
	return Placed
}

// factOf tells what an event says of its order, and if it takes the order back, why.
func factOf(p event.Payload) (Facts, event.CancelReason) {
	switch e := p.(type) {
	case *event.PaymentProcessed:
		return FactPaid, ""
	case *event.InventoryReserved:
		return FactReserved, ""
	case *event.ShipmentCreated, *event.CancellationRejected:
		return FactShipped, ""
	case *event.CancellationRequested:
		return FactUndoing, e.Reason
	case *event.ShipmentFailed:
		return FactUndoing, e.Reason
	case *event.ShipmentCancelled:
		return FactUndoing, e.Reason
	case *event.InventoryRejected:
		return FactUndoing, e.Reason
	case *event.InventoryReleased:
		return FactUndoing, e.Reason
	case *event.PaymentFailed:
		return FactUndone, e.Reason
	case *event.PaymentRefunded:
		return FactUndone, e.Reason
	case *event.PaymentVoided:
		return FactUndone, e.Reason
	}
	return FactPlaced, ""
}

// Order is an order as the order service knows it.
type Order struct {
	event.Order
	Facts        Facts
	Status       Status
	CancelReason event.CancelReason // set while cancelling and when cancelled
	PlacedAt     time.Time
	UpdatedAt    time.Time
	Version      int64  // grows by one with each change
	TraceParent  string // W3C trace context of the request that placed it, or ""
}

// Place makes an order from what a customer says.
func Place(terms event.Order, now time.Time) (Order, event.Payload) {
	o := Order{Order: terms, Status: Placed, PlacedAt: now, UpdatedAt: now, Version: 1}
	return o, &event.OrderPlaced{Order: terms}
}

// Learn folds an event into the order. It returns the order as it is then, and the event that says so where it has just ended.
func (o Order) Learn(p event.Payload, now time.Time) (Order, event.Payload) {
	before := o.Status
	fact, reason := factOf(p)
	if o.Facts|fact == o.Facts && !o.betterReason(fact, reason) {
		return o, nil
	}
	if o.betterReason(fact, reason) {
		o.CancelReason = reason
	}
	o.Facts |= fact
	o.Status = o.Facts.status()
	if o.Status == Shipped {
		o.CancelReason = ""
	}
	o.UpdatedAt = now
	o.Version++
	if before.Ended() {
		return o, nil
	}
	return o, o.end()
}

// betterReason tells whether a reason is to replace the order's. The payment's last word decides, since exactly one is said
// for an order; until then the customer's own request counts least, and what is left is decided by name, so that the order of
// arrival does not matter.
func (o Order) betterReason(fact Facts, reason event.CancelReason) bool {
	switch {
	case reason == "" || o.Facts&(FactUndone|FactShipped) != 0:
		return false
	case fact == FactUndone || o.CancelReason == "":
		return reason != o.CancelReason
	case o.CancelReason == event.ReasonCustomerRequest:
		return reason != o.CancelReason
	}
	return reason != event.ReasonCustomerRequest && reason < o.CancelReason
}

func (o Order) end() event.Payload {
	switch o.Status {
	case Shipped:
		return &event.OrderShipped{Order: o.Order}
	case Cancelled:
		return &event.OrderCancelled{Order: o.Order, Reason: o.CancelReason}
	}
	return nil
}

// Cancel takes a customer's wish to cancel. It returns the event that passes the wish on to shipping, which alone decides; nil
// where the order is on its way back already. ok is false where the order has ended.
func (o Order) Cancel(now time.Time) (next Order, e event.Payload, ok bool) {
	if o.Status.Ended() {
		return o, nil, false
	}
	if o.Facts&FactUndoing != 0 {
		return o, nil, true
	}
	request := &event.CancellationRequested{Order: o.Order, Reason: event.ReasonCustomerRequest}
	next, _ = o.Learn(request, now)
	return next, request, true
}
