package stuck

import (
	"testing"

	"github.com/google/uuid"

	"orderflow/pkg/event"
	"orderflow/services/inventory"
	"orderflow/services/order"
	"orderflow/services/payment"
	"orderflow/services/shipping"
)

var other = uuid.MustParse("01890000-0000-7000-8000-000000000002")

// What needs saying, in which order, and by which id, is proved for whole stories in package anyorder; this is about ids.
func TestWordsNameTheirEvents(t *testing.T) {
	for name, c := range map[string]struct {
		said uuid.UUID
		seen []order.Seen
		want uuid.UUID
	}{
		"the row names it": {id, nil, id},
		"the row names it, and the order has seen it":     {id, []order.Seen{{EventID: id, Type: event.TypePaymentRefunded}}, id},
		"only the order knows it":                         {uuid.Nil, []order.Seen{{EventID: id, Type: event.TypePaymentRefunded}}, id},
		"nobody knows it":                                 {uuid.Nil, []order.Seen{{EventID: id, Type: event.TypePaymentProcessed}}, uuid.Nil},
		"the row names the one before, by an old version": {id, []order.Seen{{EventID: id, Type: event.TypePaymentProcessed}}, uuid.Nil},
		"the same, and the order has seen the right one":  {other, []order.Seen{{EventID: other, Type: event.TypePaymentProcessed}, {EventID: id, Type: event.TypePaymentRefunded}}, id},
	} {
		r := Record{
			Order: &order.Order{Status: order.Cancelling}, Timeline: c.seen,
			Payment: &payment.Payment{Status: payment.Refunded, SaidID: c.said},
		}
		words := r.Words()
		if len(words) != 1 || words[0].ID != c.want || words[0].Owner != payment.Name || words[0].Data.Type() != event.TypePaymentRefunded {
			t.Errorf("%s: %+v, want PaymentRefunded %s", name, words, c.want)
		}
	}
}

// An order that has ended waits for nothing but that its goods leave.
func TestWordsOfTheEnded(t *testing.T) {
	r := Record{
		Order: &order.Order{Status: order.Shipped}, Payment: &payment.Payment{Status: payment.Charged, SaidID: id},
		Reservation: &inventory.Reservation{Status: inventory.Shipped}, Shipment: &shipping.Shipment{Status: shipping.Created, SaidID: id},
	}
	if words := r.Words(); len(words) > 0 {
		t.Errorf("everybody has followed, and it says %+v", words)
	}
	r.Reservation.Status = inventory.Reserved
	if words := r.Words(); len(words) != 1 || words[0].Data.Type() != event.TypeShipmentCreated {
		t.Errorf("its goods have not left, and it says %+v", words)
	}
}
