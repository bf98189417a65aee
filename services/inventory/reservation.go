package inventory

import (
	"maps"
	"slices"

	"github.com/google/uuid"

	"orderflow/pkg/event"
)

// Status is where a reservation stands.
type Status string

// A reservation goes reserved → shipped or released, or ends at once as rejected (not to be had) or voided (undone before it
// began).
const (
	Reserved Status = "reserved"
	Rejected Status = "rejected"
	Released Status = "released"
	Shipped  Status = "shipped"
	Voided   Status = "voided"
)

// Reservation is what is set aside for one order.
type Reservation struct {
	ID         uuid.UUID
	OrderID    uuid.UUID
	CustomerID string // of the order; is written with a new reservation, and not read again
	Status     Status
	Items      []event.Item
	Reason     event.CancelReason // why nothing is set aside, or is any more
	Missing    []string           // of one that was rejected: the products that were not to be had
	SaidID     uuid.UUID          // of the event that told of the present state; see Said
}

// Said is what the reservation has said of the state that it is in; nil where the goods have left, which nobody has to be told.
func (r Reservation) Said(order *event.Order) event.Payload {
	switch r.Status {
	case Reserved:
		return &event.InventoryReserved{Order: *order, ReservationID: r.ID}
	case Rejected:
		return &event.InventoryRejected{Order: *order, ReservationID: r.ID, Reason: r.Reason, ProductIDs: r.Missing}
	case Released, Voided:
		return &event.InventoryReleased{Order: *order, ReservationID: r.ID, Reason: r.Reason}
	}
	return nil
}

// Open is the reservation that an order starts with, before the stock was asked.
func Open(order *event.Order, id uuid.UUID) Reservation {
	return Reservation{ID: id, OrderID: order.OrderID, CustomerID: order.CustomerID, Status: Reserved, Items: order.Items}
}

// Tombstone is the reservation of an order that is undone before it was reserved. The late PaymentProcessed finds it and
// does nothing.
func Tombstone(order *event.Order, reason event.CancelReason, id uuid.UUID) (Reservation, event.Payload) {
	r := Open(order, id)
	r.Status, r.Reason = Voided, reason
	return r, r.Said(order)
}

// Shelf is how much of each product can still be reserved. A product that is not on it does not exist.
type Shelf map[string]int64

// Reserve takes the order's items from the shelf, all of them or none, and says what became of it.
func (r Reservation) Reserve(order *event.Order, shelf Shelf) (Reservation, event.Payload) {
	need := r.Quantities()
	if reason, missing := shelf.missing(need); len(missing) > 0 {
		r.Status, r.Reason, r.Missing = Rejected, reason, missing
		return r, r.Said(order)
	}
	for product, quantity := range need {
		shelf[product] -= quantity
	}
	return r, r.Said(order)
}

func (s Shelf) missing(need map[string]int64) (reason event.CancelReason, missing []string) {
	reason = event.ReasonOutOfStock
	for _, product := range slices.Sorted(maps.Keys(need)) {
		available, known := s[product]
		if !known {
			reason = event.ReasonUnknownProduct
		}
		if available < need[product] {
			missing = append(missing, product)
		}
	}
	return reason, missing
}

// Release undoes the reservation. It speaks only where goods were set aside: whoever was rejected has said so already, and
// the payment follows that.
func (r Reservation) Release(order *event.Order, reason event.CancelReason) (Reservation, event.Payload) {
	if r.Status != Reserved {
		return r, nil
	}
	r.Status, r.Reason = Released, reason
	return r, r.Said(order)
}

// Ship takes the goods out of the house.
func (r Reservation) Ship() Reservation {
	if r.Status == Reserved {
		r.Status = Shipped
	}
	return r
}

// Quantities adds up the items by product.
func (r Reservation) Quantities() map[string]int64 {
	q := make(map[string]int64, len(r.Items))
	for _, item := range r.Items {
		q[item.ProductID] += item.Quantity
	}
	return q
}
