package anyorder

import (
	"orderflow/pkg/event"
	"orderflow/services/inventory"
)

// gateway is the payment provider's book on one order. Every request carries a key made from the order, so asking again moves
// no money.
type gateway struct {
	charged, refunded int64 // minor units
}

func (g *gateway) charge(amount int64) { g.charged = amount }

func (g *gateway) refund() { g.refunded = g.charged }

// carrier is the parcel service, with the same kind of key.
type carrier struct {
	booked bool
}

func (c *carrier) book() { c.booked = true }

// stock is a product's row in the inventory.
type stock struct {
	onHand, reserved, shipped int64
}

// warehouse is the stock of the products that there are.
type warehouse [len(products)]stock

var products = [...]string{"demo-1", "demo-2"}

// shelf is what can be reserved. A product of which there never was any does not exist.
func (w *warehouse) shelf() inventory.Shelf {
	s := inventory.Shelf{}
	for i, p := range products {
		if w[i] != (stock{}) {
			s[p] = w[i].onHand - w[i].reserved
		}
	}
	return s
}

// move follows a reservation from one state to the next.
func (w *warehouse) move(r inventory.Reservation, to inventory.Status) {
	for i, p := range products {
		n := r.Quantities()[p]
		switch to {
		case inventory.Reserved:
			w[i].reserved += n
		case inventory.Released:
			w[i].reserved -= n
		case inventory.Shipped:
			w[i].reserved -= n
			w[i].onHand -= n
			w[i].shipped += n
		}
	}
}

// reasonOf is the reason that an event of the way back carries.
func reasonOf(p event.Payload) event.CancelReason {
	switch e := p.(type) {
	case *event.InventoryRejected:
		return e.Reason
	case *event.InventoryReleased:
		return e.Reason
	case *event.ShipmentFailed:
		return e.Reason
	case *event.ShipmentCancelled:
		return e.Reason
	case *event.CancellationRequested:
		return e.Reason
	case *event.PaymentFailed:
		return e.Reason
	case *event.PaymentRefunded:
		return e.Reason
	case *event.PaymentVoided:
		return e.Reason
	case *event.OrderCancelled:
		return e.Reason
	}
	return ""
}
