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
}

// Open is the reservation that an order starts with, before the stock was asked.
func Open(order *event.Order, id uuid.UUID) Reservation {
	return Reservation{ID: id, OrderID: order.OrderID, CustomerID: order.CustomerID, Status: Reserved, Items: order.Items}
}

// Tombstone is the reservation of an order that is undone before it was reserved. The late PaymentProcessed finds it and
// does nothing.
func Tombstone(order *event.Order, reason event.CancelReason, id uuid.UUID) (Reservation, event.Payload) {
	r := Open(order, id)
	r.Status = Voided
	return r, &event.InventoryReleased{Order: *order, ReservationID: id, Reason: reason}
}

// Shelf is how much of each product can still be reserved. A product that is not on it does not exist.
type Shelf map[string]int64

// Reserve takes the order's items from the shelf, all of them or none, and says what became of it.
func (r Reservation) Reserve(order *event.Order, shelf Shelf) (Reservation, event.Payload) {
	need := r.Quantities()
	reason, missing := shelf.missing(need)
	if len(missing) > 0 {
		r.Status = Rejected
		return r, &event.InventoryRejected{Order: *order, ReservationID: r.ID, Reason: reason, ProductIDs: missing}
	}
	for product, quantity := range need {
		shelf[product] -= quantity
	}
	return r, &event.InventoryReserved{Order: *order, ReservationID: r.ID}
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
	r.Status = Released
	return r, &event.InventoryReleased{Order: *order, ReservationID: r.ID, Reason: reason}
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
