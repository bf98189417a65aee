package verify

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"orderflow/pkg/event"
	"orderflow/services/inventory"
	"orderflow/services/order"
	"orderflow/services/payment"
	"orderflow/services/shipping"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// usual is the allowance at noon.
var usual = allowance{now: noon, end: 10 * time.Minute, follow: 30 * time.Second}

// standing is a record of an order of 20.00 EUR that was placed an hour ago, as what it says in the words of the services: the
// status of the order, its payment, its reservation and its shipment, "-" for none.
func standing(text string) *record {
	words := strings.Fields(text)
	id := uuid.UUID{1}
	r := &record{id: id}
	r.orders = []order.Order{{
		Order: event.Order{OrderID: id, TotalAmount: event.MinorAmount(2000, "EUR"), Currency: "EUR", Items: []event.Item{
			{ProductID: "book", Quantity: 3, UnitPrice: event.MinorAmount(500, "EUR")}, {ProductID: "pen", Quantity: 1, UnitPrice: event.MinorAmount(500, "EUR")},
		}},
		Status: order.Status(words[0]), PlacedAt: noon.Add(-time.Hour), UpdatedAt: noon.Add(-time.Hour),
	}}
	said := "OrderPlaced"
	switch r.orders[0].Status {
	case order.Shipped:
		said += ",OrderShipped"
	case order.Cancelled:
		said += ",OrderCancelled"
	}
	r.timelines = []order.Timeline{{OrderID: id, Types: said, SeenAt: noon.Add(-time.Hour)}}
	if words[1] != "-" {
		p := payment.Payment{OrderID: id, Status: payment.Status(words[1]), Amount: 2000, Currency: "EUR"}
		if p.Status == payment.Refunded {
			p.RefundedAmount = p.Amount
		}
		r.payments = []payment.Payment{p}
	}
	if words[2] != "-" {
		r.reservations = []inventory.Reservation{{OrderID: id, Status: inventory.Status(words[2]), Items: r.orders[0].Items}}
	}
	if words[3] != "-" {
		r.shipments = []shipping.Shipment{{OrderID: id, Status: shipping.Status(words[3])}}
	}
	return r
}

func lines(f findings) string {
	var all []string
	for _, one := range f {
		all = append(all, one.line.String())
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// Of all ways in which the rows of an ended order could stand, those hold that leave nothing half-done, and no other.
func TestEndings(t *testing.T) {
	holds := map[string]bool{"shipped charged shipped created": true}
	for _, reservation := range []string{"-", "rejected", "released", "voided"} {
		for _, shipment := range []string{"-", "failed", "cancelled"} {
			for _, payment := range []string{"failed", "refunded", "voided"} {
				holds[fmt.Sprintf("cancelled %s %s %s", payment, reservation, shipment)] = true
			}
		}
	}
	tried := 0
	for _, status := range []string{"shipped", "cancelled"} {
		for _, payment := range []string{"-", "charging", "charged", "failed", "refunding", "refunded", "voided"} {
			for _, reservation := range []string{"-", "reserved", "rejected", "released", "shipped", "voided"} {
				for _, shipment := range []string{"-", "booking", "created", "failed", "cancelled"} {
					tried++
					text := strings.Join([]string{status, payment, reservation, shipment}, " ")
					if f := standing(text).judge(usual); (len(f) == 0) != holds[text] {
						t.Errorf("%s: %v", text, f)
					}
				}
			}
		}
	}
	if tried != 2*7*6*5 {
		t.Errorf("%d tried", tried)
	}
}

func TestRules(t *testing.T) {
	const shipped, cancelled = "shipped charged shipped created", "cancelled refunded released failed"
	ago := func(d time.Duration) func(*record) {
		return func(r *record) { r.orders[0].PlacedAt, r.timelines[0].SeenAt = noon.Add(-d), noon.Add(-d) }
	}
	said := func(types string) func(*record) {
		return func(r *record) { r.timelines[0].Types = types }
	}
	holds := func(quantities ...any) func(*record) {
		return func(r *record) {
			r.reservations[0].Items = nil
			for i := 0; i < len(quantities); i += 2 {
				item := event.Item{ProductID: quantities[i].(string), Quantity: int64(quantities[i+1].(int))}
				r.reservations[0].Items = append(r.reservations[0].Items, item)
			}
		}
	}
	for _, c := range []struct {
		standing string
		change   func(*record)
		want     string // lines
		reason   string
	}{
		{"reserved charged reserved booking", nil, "orders_end", "is still reserved, 1h0m0s after it was placed"},
		{"reserved charged reserved booking", ago(10*time.Minute - 1), "", ""},
		{"reserved charged reserved created", ago(time.Minute), "", ""},
		{"paid charged shipped created", ago(time.Minute), "", ""},
		{"cancelling refunding released failed", ago(time.Minute), "", ""},
		{"cancelling refunding released created", ago(time.Minute), "parcels_fit", "its parcel is booked, but its payment is refunding"},
		{"placed - - -", ago(10 * time.Minute), "orders_end", "is still placed, 10m0s after it was placed"},
		{"placed - - -", ago(time.Minute), "", ""},

		{"shipped charged reserved created", ago(29 * time.Second), "", ""},
		{"shipped charged reserved created", ago(30 * time.Second), "reservations_fit", "it is shipped, but its reservation is reserved"},
		{"shipped charged - created", ago(0), "one_of_each", "it is shipped without a reservation"},
		{"shipped - shipped created", nil, "one_of_each", "it is shipped without a payment"},
		{"shipped charged shipped -", nil, "one_of_each", "it is shipped without a shipment"},
		{"cancelled - - -", nil, "one_of_each", "it is cancelled without a payment"},
		{"cancelled refunded rejected created", nil, "parcels_fit", "it is cancelled, but its shipment is created; its parcel is booked, but its payment is refunded"},
		{"shipped refunded shipped created", nil, "parcels_fit payments_fit", "it is shipped, but its payment is refunded"},

		{shipped, func(r *record) { r.payments[0].Amount++ }, "payments_fit", "its payment is of 20.01 EUR, its total is 20.00 EUR"},
		{shipped, func(r *record) { r.payments[0].Currency = "JPY" }, "payments_fit", "its payment is of 2000 JPY, its total is 20.00 EUR"},
		{shipped, func(r *record) { r.payments[0].RefundedAmount = 5 }, "payments_fit", "its payment of 20.00 is charged, but 0.05 EUR were paid back"},
		{cancelled, func(r *record) { r.payments[0].RefundedAmount-- }, "payments_fit", "its payment of 20.00 is refunded, but 19.99 EUR were paid back"},
		{"placed charging - -", func(r *record) { ago(0)(r); r.payments[0].Amount = 1 }, "payments_fit", "0.01 EUR"},

		{shipped, func(r *record) {
			r.orders[0].Items = r.orders[0].Items[:1]
			r.reservations[0].Items = r.orders[0].Items
		}, "payments_fit",
			"its total is 20.00 EUR, but its items add up to 15.00"},
		{"placed - - -", func(r *record) { ago(0)(r); r.orders[0].Items[0].UnitPrice.Minor = math.MaxInt64 }, "payments_fit", "its items do not add up: /items/0"},

		{shipped, holds("pen", 1, "book", 1, "book", 2), "", ""},
		{shipped, holds("book", 1, "pen", 1), "reservations_fit", "3 of book were ordered, but its reservation is of 1"},
		{shipped, holds("book", 3), "reservations_fit", "1 of pen were ordered, but its reservation is of 0"},
		{shipped, holds("book", 3, "pen", 1, "pen", 1), "reservations_fit", "1 of pen were ordered, but its reservation is of 2"},
		{shipped, holds("book", 3, "pen", 1, "ink", 1), "reservations_fit", "0 of ink were ordered, but its reservation is of 1"},
		{cancelled, holds("book", 3), "reservations_fit", "1 of pen were ordered, but its reservation is of 0"},
		{"reserved charged reserved booking", func(r *record) { ago(0)(r); holds()(r) }, "reservations_fit",
			"3 of book were ordered, but its reservation is of 0; 1 of pen were ordered, but its reservation is of 0"},
		{"cancelled voided voided -", holds(), "", ""},

		{shipped, func(r *record) { r.orders = append(r.orders, r.orders[0]) }, "one_of_each", "there are 2 orders"},
		{shipped, func(r *record) { r.payments = append(r.payments, r.payments[0]) }, "one_of_each", "there are 2 payments"},
		{shipped, func(r *record) { r.shipments = append(r.shipments, r.shipments[0]) }, "one_of_each", "there are 2 shipments"},
		{shipped, func(r *record) { r.orders = nil }, "one_of_each",
			"there is a timeline without an order; there is a payment without an order; there is a reservation without an order; there is a shipment without an order"},

		{shipped, func(r *record) { r.timelines = nil }, "one_of_each", "it is shipped without a timeline"},
		{shipped, said("OrderPlaced"), "said_once", "it is shipped, but OrderShipped was never said"},
		{shipped, said("OrderShipped"), "said_once", "it is shipped, but OrderPlaced was never said"},
		{shipped, said("OrderPlaced,OrderShipped,OrderShipped"), "said_once", "OrderShipped was said twice"},
		{shipped, said("OrderPlaced,OrderShipped,OrderCancelled"), "said_once", "it is shipped, but OrderCancelled was said"},
		{cancelled, said("OrderPlaced,OrderShipped,OrderCancelled"), "said_once", "it is cancelled, but OrderShipped was said"},
		{"paid charged - -", func(r *record) { ago(0)(r); said("OrderPlaced,OrderCancelled")(r) }, "said_once", "it is paid, but OrderCancelled was said"},
		{shipped, said("OrderPlaced,A,B,A,B,OrderShipped"), "said_once", "A was said twice; B was said twice"},

		{"lost charged shipped created", nil, "statuses_known", `its status is "lost"`},
		{"shipped lost shipped created", nil, "statuses_known", `the status of its payment is "lost"`},
		{"shipped charged lost created", nil, "statuses_known", `the status of its reservation is "lost"`},
		{"shipped charged shipped lost", nil, "statuses_known", `the status of its shipment is "lost"`},
	} {
		r := standing(c.standing)
		if c.change != nil {
			c.change(r)
		}
		f := r.judge(usual)
		if lines(f) != c.want || c.want != "" && !strings.Contains(fmt.Sprint(f), c.reason) {
			t.Errorf("%s: %v, want %s: %s", c.standing, f, c.want, c.reason)
		}
	}
}

// What was begun before the wait has to be over; what was begun later may take its time. The clock of the order service, which is
// that of placed_at and updated_at, does not matter.
func TestWaited(t *testing.T) {
	const shipped = "shipped charged reserved created"
	for _, c := range []struct {
		standing string
		seen     time.Duration // before the wait began
		awaited  bool
		want     string
	}{
		{"placed - - -", time.Second, true, "orders_end"},
		{"placed - - -", -time.Second, false, ""},
		{shipped, time.Second, false, "reservations_fit"}, // it had ended before
		{shipped, 0, false, "reservations_fit"},
		{shipped, -time.Second, true, "reservations_fit"},
		{shipped, -time.Second, false, ""},
		{"shipped charged shipped created", time.Second, true, ""},
	} {
		for _, skew := range []time.Duration{-31 * time.Second, -5 * time.Second, 0, 5 * time.Second, time.Hour} {
			r, waited := standing(c.standing), usual
			waited.waited = noon.Add(-2 * time.Second)
			waited.awaited = map[uuid.UUID]bool{r.id: c.awaited}
			seen := waited.waited.Add(-c.seen)
			r.timelines[0].SeenAt, r.orders[0].PlacedAt, r.orders[0].UpdatedAt = seen, seen.Add(skew), seen.Add(skew)
			if f := r.judge(waited); lines(f) != c.want {
				t.Errorf("%s, seen %s before the wait, by a clock that is %s ahead: %v, want %s", c.standing, c.seen, skew, f, c.want)
			}
		}
	}
}

func TestStock(t *testing.T) {
	good := inventory.Account{ProductID: "book", Known: true, OnHand: 7, Reserved: 2, Shipped: 3, PutIn: 10, HeldByReservations: 2, ShippedByReservations: 3}
	for _, c := range []struct {
		change func(*inventory.Account)
		want   string
	}{
		{func(*inventory.Account) {}, ""},
		{func(a *inventory.Account) { a.OnHand-- }, "on hand 6 + shipped 3 = 9, but 10 were put in"},
		{func(a *inventory.Account) { a.Reserved++ }, "3 are reserved, but reservations hold 2"},
		{func(a *inventory.Account) { a.ShippedByReservations++ }, "3 have left the house, but reservations have shipped 4"},
		{func(a *inventory.Account) { a.Known = false }, "reservations hold 2 and have shipped 3 of it, but it is not in the stock"},
		{func(a *inventory.Account) { a.PutIn, a.HeldByReservations = 0, 0 },
			"on hand 7 + shipped 3 = 10, but 0 were put in; 2 are reserved, but reservations hold 0"},
	} {
		a := good
		c.change(&a)
		f := checkStock(a)
		if c.want == "" && len(f) > 0 || c.want != "" && (len(f) != 1 || f[0] != finding{StockAddsUp, c.want}) {
			t.Errorf("%+v: %v, want %q", a, f, c.want)
		}
	}
}
