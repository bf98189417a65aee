package shipping

import (
	"github.com/google/uuid"

	"orderflow/pkg/event"
)

// Status is where a shipment stands.
type Status string

// A shipment goes booking → created, or ends as failed (the carrier refused) or cancelled (before it was booked).
const (
	Booking   Status = "booking"
	Created   Status = "created"
	Failed    Status = "failed"
	Cancelled Status = "cancelled"
)

// Shipment is the one parcel of an order. Its booking is the point of no return, so this is where a cancellation is decided.
type Shipment struct {
	ID             uuid.UUID
	OrderID        uuid.UUID
	CustomerID     string // of the order; is written with a new shipment, and not read again
	Status         Status
	Carrier        string
	TrackingNumber string
	// CancelAsked marks a shipment whose cancellation came while the carrier was being asked. The carrier's answer decides it.
	CancelAsked bool
	Reason      event.CancelReason // why it was cancelled
	Detail      string             // why the carrier refused it, as the event says it
	SaidID      uuid.UUID          // of the event that told of the present state; see Said
}

// Said is what the shipment has said of the state that it is in; nil while the carrier is being asked. That a cancellation came too late it
// says beside it, and not instead.
func (s Shipment) Said(order *event.Order) event.Payload {
	switch s.Status {
	case Created:
		return &event.ShipmentCreated{Order: *order, Shipment: s.fact()}
	case Failed:
		return &event.ShipmentFailed{Order: *order, ShipmentID: s.ID, Reason: event.ReasonShipmentFailed, Detail: s.Detail}
	case Cancelled:
		return &event.ShipmentCancelled{Order: *order, ShipmentID: s.ID, Reason: s.Reason}
	}
	return nil
}

// Verdict is the carrier's answer to a booking. Of a parcel that was booked, neither the carrier nor the number is blank.
type Verdict struct {
	Refused        bool
	Carrier        string
	TrackingNumber string
	Detail         string // why it was refused
}

// Open is the shipment that an order starts with: the intent to book a parcel.
func Open(order *event.Order, id uuid.UUID) Shipment {
	return Shipment{ID: id, OrderID: order.OrderID, CustomerID: order.CustomerID, Status: Booking}
}

// Tombstone is the shipment of an order that is cancelled before its parcel was asked for. The late InventoryReserved finds
// it and does nothing.
func Tombstone(order *event.Order, reason event.CancelReason, id uuid.UUID) (Shipment, event.Payload) {
	s := Open(order, id)
	s.Status, s.Reason = Cancelled, reason
	return s, s.Said(order)
}

// Settle takes the carrier's answer. A parcel that is booked stays booked: a cancellation that was waiting is rejected.
func (s Shipment) Settle(order *event.Order, v Verdict) (Shipment, []event.Payload) {
	if s.Status != Booking {
		return s, nil
	}
	if v.Refused {
		s.Status, s.Detail = Failed, event.Clip(v.Detail)
		return s, []event.Payload{s.Said(order)}
	}
	s.Status, s.Carrier, s.TrackingNumber = Created, v.Carrier, v.TrackingNumber
	events := []event.Payload{s.Said(order)}
	if s.CancelAsked {
		events = append(events, s.tooLate(order))
	}
	return s, events
}

// Cancel decides a cancellation that finds a shipment: too late where the parcel is booked, undecided while the carrier is
// being asked, and nothing to do where the order is on its way back already.
func (s Shipment) Cancel(order *event.Order) (Shipment, event.Payload) {
	switch s.Status {
	case Booking:
		s.CancelAsked = true
	case Created:
		return s, s.tooLate(order)
	}
	return s, nil
}

func (s Shipment) tooLate(order *event.Order) event.Payload {
	return &event.CancellationRejected{Order: *order, Shipment: s.fact()}
}

// fact is the shipment for others, with as much of what the carrier said as fits into an event: a parcel that was booked must not
// fail for what it is called.
func (s Shipment) fact() event.Shipment {
	return event.Shipment{ShipmentID: s.ID, Carrier: event.Clip(s.Carrier), TrackingNumber: event.Clip(s.TrackingNumber)}
}
