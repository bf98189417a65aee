package anyorder

import (
	"maps"
	"slices"
	"testing"

	"orderflow/pkg/event"
	"orderflow/services/payment"
	"orderflow/services/shipping"
)

// once is what may go wrong where every story is tried: one message comes twice, one ack is lost.
var once = allowance{duplicates: 1, crashes: 1}

// plan is a kind of order: its terms, and how the world outside will answer.
type plan struct {
	name      string
	terms     event.Order
	warehouse warehouse
	charge    payment.Verdict
	booking   shipping.Verdict
	cancels   bool     // the customer may cancel, at any moment and as often as he likes
	endings   []string // all that are allowed, and each has to occur
	states    int      // that there are at least; fewer, and the search has not searched
}

// plans are the kinds of orders without a cancellation.
func plans() []plan {
	shipped := plan{
		name: "shipped", terms: terms(), warehouse: warehouse{{onHand: 5}, {onHand: 5}},
		charge: payment.Verdict{Reference: "ch_1"}, booking: shipping.Verdict{Carrier: "simulated", TrackingNumber: "SIM1"},
		endings: []string{"shipped"}, states: 1000,
	}
	declined, outOfStock, unknown, undeliverable := shipped, shipped, shipped, shipped

	declined.name, declined.endings, declined.states = "declined", []string{"payment_failed"}, 50
	declined.charge = payment.Verdict{Declined: true, Detail: "insufficient funds"}

	outOfStock.name, outOfStock.endings = "out of stock", []string{"out_of_stock"}
	outOfStock.warehouse[1] = stock{onHand: 1}

	unknown.name, unknown.endings = "unknown product", []string{"unknown_product"}
	unknown.warehouse[1] = stock{}

	undeliverable.name, undeliverable.endings = "undeliverable", []string{"shipment_failed"}
	undeliverable.booking = shipping.Verdict{Refused: true, Detail: "no such address"}

	return []plan{shipped, declined, outOfStock, unknown, undeliverable}
}

// cancelled is the plan with a customer who cancels at any moment, any number of times, or not at all.
func (p plan) cancelled() plan {
	p.states *= 2 // at the least
	p.name, p.cancels, p.endings = p.name+", cancelled", true, append(slices.Clone(p.endings), "customer_request")
	return p
}

// allPlans are the kinds of orders, each as it is and with cancellations.
func allPlans() (all []plan) {
	for _, p := range plans() {
		all = append(all, p, p.cancelled())
	}
	return all
}

// terms is an order of two products.
func terms() event.Order {
	return event.Order{
		OrderID: orderID, CustomerID: "c-1", Currency: "EUR", PaymentMethod: "pm_ok",
		TotalAmount: event.MinorAmount(4498, "EUR"),
		Items: []event.Item{
			{ProductID: products[0], Quantity: 2, UnitPrice: event.MinorAmount(1999, "EUR")},
			{ProductID: products[1], Quantity: 2, UnitPrice: event.MinorAmount(250, "EUR")},
		},
		ShippingAddress: event.Address{Name: "Ada", Line1: "Main Street 1", City: "Berlin", PostalCode: "10115", Country: "DE"},
	}
}

func TestEveryInterleavingKeepsThePromises(t *testing.T) {
	for _, p := range allPlans() {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			f, err := explore(newWorld(&p, newProtocol(), once))
			if err != nil {
				t.Fatalf("%v\n(%v)", err, f)
			}
			if seen := slices.Sorted(maps.Keys(f.endings)); !slices.Equal(seen, slices.Sorted(slices.Values(p.endings))) {
				t.Errorf("orders ended as %v, want %v", seen, p.endings)
			}
			if f.states < p.states || f.steps < f.states {
				t.Errorf("%v: there are at least %d states", f, p.states)
			}
			t.Log(f)
		})
	}
}
