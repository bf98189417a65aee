package anyorder

import (
	"errors"
	"fmt"

	"orderflow/pkg/event"
	"orderflow/services/inventory"
	"orderflow/services/order"
	"orderflow/services/payment"
	"orderflow/services/shipping"
)

// maxRounds is how often an event may be handled again without having crashed. It also makes sure that every story ends: without
// crashes and duplicates, each step brings a message nearer to its ack, or takes one of its rounds.
const maxRounds = 1

// always is what holds at every moment.
func (w *world) always() error {
	if w.repeated != nil {
		return fmt.Errorf("%s is said twice", w.repeated.payload.Type())
	}
	if w.gateway.refunded > w.gateway.charged {
		return fmt.Errorf("the gateway paid back %d of %d", w.gateway.refunded, w.gateway.charged)
	}
	if w.carrier.booked && w.gateway.refunded > 0 {
		return errors.New("a parcel is on its way whose payment was refunded")
	}
	for i, s := range w.warehouse {
		if s.reserved < 0 || s.reserved > s.onHand || s.onHand+s.shipped != w.plan.warehouse[i].onHand {
			return fmt.Errorf("stock of %s does not add up: %+v", products[i], s)
		}
	}
	if err := w.rebuilt(); err != nil {
		return err
	}
	for _, m := range w.messages {
		for _, d := range m.deliveries {
			if d.rounds > maxRounds {
				return fmt.Errorf("%s in %s is handled again and again", m.name, m.to.queue)
			}
		}
	}
	return nil
}

// atEnd is what holds when no message is left.
func (w *world) atEnd() error {
	switch w.order.Status {
	case order.Shipped:
		return w.endedShipped()
	case order.Cancelled:
		return w.endedCancelled()
	}
	return fmt.Errorf("the order never ends: %s", w.order.Status)
}

func (w *world) endedShipped() error {
	total := w.plan.terms.TotalAmount.Minor
	switch {
	case w.payment == nil || w.payment.Status != payment.Charged:
		return errors.New("shipped, but the payment is not charged")
	case w.reservation == nil || w.reservation.Status != inventory.Shipped:
		return errors.New("shipped, but the reservation is not")
	case w.shipment == nil || w.shipment.Status != shipping.Created:
		return errors.New("shipped, but there is no shipment")
	case w.gateway != gateway{charged: total}:
		return fmt.Errorf("shipped, but the gateway charged %d and refunded %d of %d", w.gateway.charged, w.gateway.refunded, total)
	case !w.carrier.booked:
		return errors.New("shipped, but the carrier has no parcel")
	case w.hasSaid(event.TypeOrderShipped) == nil || w.hasSaid(event.TypeOrderCancelled) != nil:
		return errors.New("shipped, but not said so")
	}
	return nil
}

func (w *world) endedCancelled() error {
	end, _ := w.hasSaid(event.TypeOrderCancelled).(*event.OrderCancelled)
	switch {
	case w.payment == nil || !undone(w.payment.Status):
		return errors.New("cancelled, but the payment is not taken back")
	case w.reservation != nil && !undone(w.reservation.Status):
		return errors.New("cancelled, but the reservation is not taken back")
	case w.shipment != nil && !undone(w.shipment.Status):
		return errors.New("cancelled, but the shipment is not taken back")
	case w.gateway.charged != w.gateway.refunded:
		return fmt.Errorf("cancelled, but the gateway charged %d and refunded %d", w.gateway.charged, w.gateway.refunded)
	case w.carrier.booked:
		return errors.New("cancelled, but the carrier has a parcel")
	case end == nil || w.hasSaid(event.TypeOrderShipped) != nil:
		return errors.New("cancelled, but not said so")
	case end.Reason != w.order.CancelReason:
		return fmt.Errorf("cancelled for %s, but said for %s", w.order.CancelReason, end.Reason)
	}
	return nil
}

// settled is what holds of the stock when orders have ended: it lacks what was shipped, and nothing else.
func settled(now, before warehouse, ended ...*world) error {
	for i := range products {
		for _, w := range ended {
			if r := w.reservation; w.order.Status == order.Shipped && r != nil {
				n := r.Quantities()[products[i]]
				before[i].onHand -= n
				before[i].shipped += n
			}
		}
		if now[i] != before[i] {
			return fmt.Errorf("stock of %s is %+v at the end, and should be %+v", products[i], now[i], before[i])
		}
	}
	return nil
}

// undone is how rows end of which nothing remains.
func undone[S ~string](status S) bool {
	switch string(status) {
	case "failed", "refunded", "voided", "rejected", "released", "cancelled":
		return true
	}
	return false
}

// ending names how an order ended: shipped, or why not.
func (w *world) ending() string {
	if w.order.Status == order.Shipped {
		return string(order.Shipped)
	}
	return string(w.order.CancelReason)
}
