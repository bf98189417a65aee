package verify

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"orderflow/pkg/event"
	"orderflow/services/inventory"
	"orderflow/services/order"
	"orderflow/services/payment"
	"orderflow/services/shipping"
)

// record is what the services have of one order. There should be one row of each at most.
type record struct {
	id           uuid.UUID
	orders       []order.Order
	timelines    []order.Timeline
	payments     []payment.Payment
	reservations []inventory.Reservation
	shipments    []shipping.Shipment
}

// allowance is how long things may take that are no fault while they last. Its times are by the clock of the database that is
// looked at, and are compared with times by the same clock; only placed_at is by a service's, and the deadline is long enough for
// clocks that differ by seconds.
type allowance struct {
	now     time.Time
	end     time.Duration      // for an order, from its placing
	follow  time.Duration      // for what an event causes elsewhere
	waited  time.Time          // by the clock of the orders' database; what an order had seen until then has to have had its effect
	awaited map[uuid.UUID]bool // the orders that were under way then, and the events that were in an outbox: they have to be over
}

// over tells whether something has to be over that may last for so long.
func (a allowance) over(id uuid.UUID, since time.Time, usual time.Duration) bool {
	return a.awaited[id] || a.now.Sub(since) >= usual
}

// followed tells whether the effects elsewhere have to show of what an order has seen.
func (a allowance) followed(id uuid.UUID, seen time.Time) bool {
	return !seen.After(a.waited) || a.over(id, seen, a.follow)
}

// judge holds a record against the promises and returns what is wrong.
func (r *record) judge(a allowance) (f findings) {
	if r.statuses(&f); len(f) > 0 {
		return f // nobody knows what it ought to be
	}
	r.numbers(&f)
	if len(r.orders) == 0 {
		return f
	}
	o := &r.orders[0]
	if !o.Status.Ended() && a.over(o.OrderID, o.PlacedAt, a.end) {
		f.add(OrdersEnd, "is still %s, %s after it was placed", o.Status, a.now.Sub(o.PlacedAt).Round(time.Second/10))
	}
	checkTotal(&f, o)
	for i := range r.payments {
		checkPayment(&f, o, &r.payments[i])
	}
	for i := range r.reservations {
		checkReservation(&f, o, &r.reservations[i], a.followed(o.OrderID, r.seen()))
	}
	for i := range r.shipments {
		r.checkParcel(&f, o, &r.shipments[i])
	}
	r.checkTimeline(&f, o)
	return f
}

// statuses finds those that this version does not know.
func (r *record) statuses(f *findings) {
	for _, o := range r.orders {
		switch o.Status {
		case order.Placed, order.Paid, order.Reserved, order.Shipped, order.Cancelling, order.Cancelled:
		default:
			f.add(StatusesKnown, "its status is %q", o.Status)
		}
	}
	for _, p := range r.payments {
		switch p.Status {
		case payment.Charging, payment.Charged, payment.Failed, payment.Refunding, payment.Refunded, payment.Voided:
		default:
			f.add(StatusesKnown, "the status of its payment is %q", p.Status)
		}
	}
	for _, v := range r.reservations {
		switch v.Status {
		case inventory.Reserved, inventory.Rejected, inventory.Released, inventory.Shipped, inventory.Voided:
		default:
			f.add(StatusesKnown, "the status of its reservation is %q", v.Status)
		}
	}
	for _, s := range r.shipments {
		switch s.Status {
		case shipping.Booking, shipping.Created, shipping.Failed, shipping.Cancelled:
		default:
			f.add(StatusesKnown, "the status of its shipment is %q", s.Status)
		}
	}
}

// numbers finds rows that are too many, have no order, or are missing.
func (r *record) numbers(f *findings) {
	for _, rows := range [...]struct {
		name  string
		n     int
		owner bool // is the order itself
	}{
		{"order", len(r.orders), true}, {"timeline", len(r.timelines), false}, {"payment", len(r.payments), false},
		{"reservation", len(r.reservations), false}, {"shipment", len(r.shipments), false},
	} {
		switch {
		case rows.n > 1:
			f.add(OneOfEach, "there are %d %ss", rows.n, rows.name)
		case rows.n == 1 && len(r.orders) == 0:
			f.add(OneOfEach, "there is a %s without an order", rows.name)
		case rows.n == 0 && len(r.orders) > 0 && r.needs(rows.name):
			f.add(OneOfEach, "it is %s without a %s", r.orders[0].Status, rows.name)
		}
	}
}

// needs tells whether the order cannot be where it is without such a row.
func (r *record) needs(name string) bool {
	switch r.orders[0].Status {
	case order.Shipped:
		return true
	case order.Cancelled: // it ends with a payment that was refused, paid back or never made
		return name == "timeline" || name == "payment"
	}
	return name == "timeline"
}

func checkTotal(f *findings, o *order.Order) {
	if sum, err := o.Sum(); err != nil {
		f.add(PaymentsFit, "its items do not add up: %v", err)
	} else if sum != o.TotalAmount {
		f.add(PaymentsFit, "its total is %s %s, but its items add up to %s", o.TotalAmount, o.Currency, sum)
	}
}

func checkPayment(f *findings, o *order.Order, p *payment.Payment) {
	if p.Amount != o.TotalAmount.Minor || p.Currency != o.Currency {
		f.add(PaymentsFit, "its payment is of %s %s, its total is %s %s", event.MinorAmount(p.Amount, p.Currency), p.Currency, o.TotalAmount, o.Currency)
	}
	var refunded int64
	if p.Status == payment.Refunded {
		refunded = p.Amount
	}
	if p.RefundedAmount != refunded {
		f.add(PaymentsFit, "its payment of %s is %s, but %s %s were paid back", event.MinorAmount(p.Amount, p.Currency), p.Status,
			event.MinorAmount(p.RefundedAmount, p.Currency), p.Currency)
	}
	var fits bool
	switch o.Status {
	case order.Shipped:
		fits = p.Status == payment.Charged
	case order.Cancelled:
		fits = p.Status == payment.Failed || p.Status == payment.Refunded || p.Status == payment.Voided
	default:
		fits = true
	}
	if !fits {
		f.add(PaymentsFit, "it is %s, but its payment is %s", o.Status, p.Status)
	}
}

// seen is when the order has seen its last event.
func (r *record) seen() (last time.Time) {
	for _, t := range r.timelines {
		if t.SeenAt.After(last) {
			last = t.SeenAt
		}
	}
	return last
}

func checkReservation(f *findings, o *order.Order, r *inventory.Reservation, followed bool) {
	var fits bool
	switch o.Status {
	case order.Shipped: // the inventory learns of the parcel when the order does, or a moment later
		fits = r.Status == inventory.Shipped || r.Status == inventory.Reserved && !followed
	case order.Cancelled:
		fits = r.Status == inventory.Rejected || r.Status == inventory.Released || r.Status == inventory.Voided
	default:
		fits = true
	}
	if !fits {
		f.add(ReservationsFit, "it is %s, but its reservation is %s", o.Status, r.Status)
	}
	if r.Status != inventory.Voided {
		checkGoods(f, o, r)
	}
}

// checkGoods compares what is set aside with what was ordered, product by product: how it is spread over items does not matter.
func checkGoods(f *findings, o *order.Order, r *inventory.Reservation) {
	same := func(a, b event.Item) bool { return a.ProductID == b.ProductID && a.Quantity == b.Quantity }
	if slices.EqualFunc(o.Items, r.Items, same) {
		return // as nearly always, and without the maps
	}
	ordered, held := inventory.Reservation{Items: o.Items}.Quantities(), r.Quantities()
	products := slices.Concat(slices.Collect(maps.Keys(ordered)), slices.Collect(maps.Keys(held)))
	slices.Sort(products)
	for _, product := range slices.Compact(products) {
		if ordered[product] != held[product] {
			f.add(ReservationsFit, "%d of %s were ordered, but its reservation is of %d", ordered[product], product, held[product])
		}
	}
}

func (r *record) checkParcel(f *findings, o *order.Order, s *shipping.Shipment) {
	var fits bool
	switch o.Status {
	case order.Shipped:
		fits = s.Status == shipping.Created
	case order.Cancelled:
		fits = s.Status == shipping.Failed || s.Status == shipping.Cancelled
	default:
		fits = true
	}
	if !fits {
		f.add(ParcelsFit, "it is %s, but its shipment is %s", o.Status, s.Status)
	}
	if s.Status != shipping.Created {
		return
	}
	for _, p := range r.payments {
		if p.Status != payment.Charged && p.Status != payment.Charging {
			f.add(ParcelsFit, "its parcel is booked, but its payment is %s", p.Status)
		}
	}
}

// checkTimeline looks for what was said too often or not at all.
func (r *record) checkTimeline(f *findings, o *order.Order) {
	var room [32]string
	said := room[:0]
	for _, line := range r.timelines {
		for name := range strings.SplitSeq(line.Types, ",") {
			if slices.Contains(said, name) {
				f.add(SaidOnce, "%s was said twice", name)
			}
			said = append(said, name)
		}
	}
	if len(r.timelines) == 0 {
		return
	}
	for _, e := range [...]struct {
		name event.Type
		due  bool
	}{
		{event.TypeOrderPlaced, true},
		{event.TypeOrderShipped, o.Status == order.Shipped},
		{event.TypeOrderCancelled, o.Status == order.Cancelled},
	} {
		switch {
		case slices.Contains(said, string(e.name)) == e.due:
		case e.due:
			f.add(SaidOnce, "it is %s, but %s was never said", o.Status, e.name)
		default:
			f.add(SaidOnce, "it is %s, but %s was said", o.Status, e.name)
		}
	}
}

// checkStock holds the account of a product against the promises.
func checkStock(a inventory.Account) (f findings) {
	if !a.Known {
		f.add(StockAddsUp, "reservations hold %d and have shipped %d of it, but it is not in the stock", a.HeldByReservations, a.ShippedByReservations)
		return f
	}
	if a.OnHand+a.Shipped != a.PutIn {
		f.add(StockAddsUp, "on hand %d + shipped %d = %d, but %d were put in", a.OnHand, a.Shipped, a.OnHand+a.Shipped, a.PutIn)
	}
	if a.Reserved != a.HeldByReservations {
		f.add(StockAddsUp, "%d are reserved, but reservations hold %d", a.Reserved, a.HeldByReservations)
	}
	if a.Shipped != a.ShippedByReservations {
		f.add(StockAddsUp, "%d have left the house, but reservations have shipped %d", a.Shipped, a.ShippedByReservations)
	}
	return f
}

// findings is what is wrong with one thing: one finding for each line at most.
type findings []finding

type finding struct {
	line   Line
	reason string
}

func (f *findings) add(line Line, format string, args ...any) {
	reason := fmt.Sprintf(format, args...)
	for i := range *f {
		if (*f)[i].line == line {
			(*f)[i].reason += "; " + reason
			return
		}
	}
	*f = append(*f, finding{line, reason})
}
