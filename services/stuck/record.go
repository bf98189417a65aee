package stuck

import (
	"cmp"
	"slices"
	"time"

	"github.com/google/uuid"

	"orderflow/pkg/event"
	"orderflow/services/inventory"
	"orderflow/services/order"
	"orderflow/services/payment"
	"orderflow/services/shipping"
)

// Record is what the services have of one order. A part that has not come into being is nil.
type Record struct {
	Order       *order.Order
	Timeline    []order.Seen // as it happened
	Payment     *payment.Payment
	Reservation *inventory.Reservation
	Shipment    *shipping.Shipment
}

// Word is an event that somebody may have to hear yet, since nothing that was said later of the same thing takes its place.
type Word struct {
	ID    uuid.UUID // zero where nobody knows it any more, or not all that it says
	Owner string    // the service that says it
	At    time.Time // when it was said, as far as is known
	Data  event.Payload
}

// Words lists them, the one that is furthest along first. Of an order that has ended none is needed any more, but for that of a parcel whose
// goods have not left the stock.
func (r *Record) Words() (words []Word) {
	terms := &r.Order.Order
	why := r.Order.CancelReason // where a row lacks its own reason
	var parcel, goods, money event.Payload
	if r.Shipment != nil {
		s := *r.Shipment
		s.Reason = cmp.Or(s.Reason, why)
		parcel = s.Said(terms)
	}
	if r.Reservation != nil {
		v := *r.Reservation
		v.Reason = cmp.Or(v.Reason, why)
		goods = v.Said(terms)
	}
	if r.Payment != nil {
		p := *r.Payment
		p.Undo = cmp.Or(p.Undo, why)
		money = p.Said(terms)
	}
	if parcel != nil && (!r.Order.Status.Ended() || r.lagging()) {
		words = append(words, r.word(shipping.Name, r.Shipment.SaidID, parcel))
	}
	if r.Order.Status.Ended() {
		return words
	}
	if goods != nil {
		words = append(words, r.word(inventory.Name, r.Reservation.SaidID, goods))
	}
	if money != nil {
		words = append(words, r.word(payment.Name, r.Payment.SaidID, money))
	}
	if request := r.seen(event.TypeCancellationRequested); request != nil && parcel == nil {
		words = append(words, Word{request.EventID, order.Name, request.Time,
			&event.CancellationRequested{Order: *terms, Reason: event.ReasonCustomerRequest}})
	}
	if placed := r.seen(event.TypeOrderPlaced); placed != nil && money == nil {
		words = append(words, Word{placed.EventID, order.Name, placed.Time, &event.OrderPlaced{Order: *terms}})
	}
	return words
}

// lagging tells whether the order has shipped, and its goods are still set aside.
func (r *Record) lagging() bool {
	return r.Order.Status == order.Shipped && r.Reservation != nil && r.Reservation.Status == inventory.Reserved
}

// word is what a row says. Where the row does not name the event, or names one that the order knows as another, it was written by a version
// that does not note it; then the timeline may have seen it. Such a row may also lack what the event says, which is of no use to anybody then.
func (r *Record) word(owner string, id uuid.UUID, said event.Payload) Word {
	seen := r.seen(said.Type())
	other := slices.ContainsFunc(r.Timeline, func(s order.Seen) bool { return s.EventID == id && s.Type != said.Type() })
	switch {
	case said.Validate() != nil:
		return Word{Owner: owner, Data: said}
	case seen != nil:
		return Word{seen.EventID, owner, seen.Time, said}
	case id == uuid.Nil || other:
		return Word{Owner: owner, Data: said}
	}
	return Word{id, owner, event.IDTime(id), said}
}

// seen is the line of the timeline of a type of event, or nil.
func (r *Record) seen(t event.Type) *order.Seen {
	i := slices.IndexFunc(r.Timeline, func(s order.Seen) bool { return s.Type == t })
	if i < 0 {
		return nil
	}
	return &r.Timeline[i]
}

// calling tells whether a part is under way outside, by the word that set that off: the gateway is asked, or the carrier.
func (r *Record) calling(w Word) bool {
	switch w.Data.Type() {
	case event.TypeOrderPlaced:
		return r.Payment != nil
	case event.TypeInventoryRejected, event.TypeInventoryReleased:
		return r.Payment != nil && r.Payment.Status == payment.Refunding
	case event.TypeInventoryReserved:
		return r.Shipment != nil && r.Shipment.Status == shipping.Booking
	}
	return false
}

// followed tells whether a service has done what follows from a word, where its inbox cannot be asked.
func (r *Record) followed(w Word, service string) bool {
	if service == order.Name {
		return r.seen(w.Data.Type()) != nil
	}
	terms := &r.Order.Order
	switch w.Data.Type() {
	case event.TypeOrderPlaced:
		return r.Payment != nil && r.Payment.Said(terms) != nil
	case event.TypePaymentProcessed:
		return r.Reservation != nil
	case event.TypeInventoryReserved, event.TypeCancellationRequested:
		return r.Shipment != nil && r.Shipment.Said(terms) != nil
	case event.TypeShipmentCreated:
		return r.Reservation != nil && r.Reservation.Status == inventory.Shipped
	case event.TypeShipmentFailed, event.TypeShipmentCancelled:
		return r.Reservation != nil && r.Reservation.Status != inventory.Reserved
	case event.TypeInventoryRejected, event.TypeInventoryReleased:
		return r.Payment != nil && r.Payment.Said(terms) != nil && r.Payment.Status != payment.Charged
	}
	return true
}
