package stuck

import (
	"strings"
	"testing"

	"github.com/google/uuid"

	"orderflow/pkg/event"
	"orderflow/services/inventory"
	"orderflow/services/order"
	"orderflow/services/payment"
	"orderflow/services/shipping"
)

var other = uuid.MustParse("01890000-0000-7000-8000-000000000002")

var terms = event.Order{
	OrderID: other, CustomerID: "customer", Currency: "EUR", PaymentMethod: "pm_ok",
	Items: []event.Item{{ProductID: "book", Quantity: 1, UnitPrice: event.MinorAmount(1999, "EUR")}}, TotalAmount: event.MinorAmount(1999, "EUR"),
	ShippingAddress: event.Address{Name: "Ada", Line1: "12 St James Square", City: "London", PostalCode: "SW1Y", Country: "GB"},
}

// What a row says is an event that can be published, or one without a name: of a row that lacks its reason the order may know it.
func TestWordsOfRowsThatLackTheirReason(t *testing.T) {
	for name, c := range map[string]struct {
		record   Record
		needs    bool // a reason
		anything bool // else that the row lacks
	}{
		"PaymentProcessed":                        {Record{Payment: &payment.Payment{ID: id, Currency: "EUR", Status: payment.Charged, SaidID: id}}, false, false},
		"PaymentFailed":                           {Record{Payment: &payment.Payment{ID: id, Currency: "EUR", Status: payment.Failed, SaidID: id}}, false, false},
		"PaymentRefunded":                         {Record{Payment: &payment.Payment{ID: id, Currency: "EUR", Status: payment.Refunded, SaidID: id}}, true, false},
		"PaymentVoided":                           {Record{Payment: &payment.Payment{ID: id, Currency: "EUR", Status: payment.Voided, SaidID: id}}, true, false},
		"InventoryReserved":                       {Record{Reservation: &inventory.Reservation{ID: id, Status: inventory.Reserved, SaidID: id}}, false, false},
		"InventoryRejected":                       {Record{Reservation: &inventory.Reservation{ID: id, Status: inventory.Rejected, SaidID: id, Missing: []string{"book"}}}, true, false},
		"InventoryRejected, of nobody knows what": {Record{Reservation: &inventory.Reservation{ID: id, Status: inventory.Rejected, SaidID: id}}, true, true},
		"InventoryReleased":                       {Record{Reservation: &inventory.Reservation{ID: id, Status: inventory.Released, SaidID: id}}, true, false},
		"ShipmentCreated":                         {Record{Shipment: &shipping.Shipment{ID: id, Status: shipping.Created, Carrier: "c", TrackingNumber: "1", SaidID: id}}, false, false},
		"ShipmentFailed":                          {Record{Shipment: &shipping.Shipment{ID: id, Status: shipping.Failed, SaidID: id}}, false, false},
		"ShipmentCancelled":                       {Record{Shipment: &shipping.Shipment{ID: id, Status: shipping.Cancelled, SaidID: id}}, true, false},
	} {
		for _, reason := range []event.CancelReason{"", event.ReasonOutOfStock} {
			r := c.record
			r.Order = &order.Order{Order: terms, Status: order.Cancelling, CancelReason: reason}
			words := r.Words()
			if len(words) != 1 || string(words[0].Data.Type()) != strings.Split(name, ",")[0] {
				t.Errorf("%s: %+v", name, words)
				continue
			}
			want := id
			if c.anything || c.needs && reason == "" {
				want = uuid.Nil
			}
			w := Wait{Word: words[0]}
			if _, err := event.Orders.Encode(w.Event()); w.ID != want || want != uuid.Nil && err != nil {
				t.Errorf("%s, of an order with the reason %q: the id %s, %v; want %s", name, reason, w.ID, err, want)
			}
		}
	}
}

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
			Order: &order.Order{Order: terms, Status: order.Cancelling}, Timeline: c.seen,
			Payment: &payment.Payment{ID: id, Currency: "EUR", Status: payment.Refunded, Undo: event.ReasonOutOfStock, SaidID: c.said},
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
