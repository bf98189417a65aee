package bench

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"orderflow/pkg/client"
	"orderflow/pkg/event"
)

// Kind is what an order is meant to come to.
type Kind int

// The kinds of orders.
const (
	Shipped    Kind = iota
	Declined        // by the payment gateway
	OutOfStock      // more is ordered than there is
	Cancelled       // by the customer, right after it was placed; it may ship nevertheless
	kindCount
)

var kindNames = [kindCount]string{"shipped", "declined", "out_of_stock", "cancelled"}

// String is the kind's name, as flags and JSON have it.
func (k Kind) String() string { return kindNames[k] }

// Mix is how many percent of the orders are of each kind. What is left is to be shipped.
type Mix [kindCount]float64

// ParseMix reads "declined=5,out_of_stock=2".
func ParseMix(text string) (mix Mix, err error) {
	sum := 0.0
	for part := range strings.SplitSeq(text, ",") {
		if text == "" {
			break
		}
		name, number, _ := strings.Cut(part, "=")
		kind := Kind(slices.Index(kindNames[:], strings.TrimSpace(name)))
		if kind <= Shipped {
			return mix, fmt.Errorf("there is no kind %q; the kinds are %s", name, strings.Join(kindNames[1:], ", "))
		}
		percent, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		if err != nil || !(percent >= 0 && percent <= 100) {
			return mix, fmt.Errorf("%q is not a number of percent from 0 to 100, as in %s=5", number, kind)
		}
		if mix[kind] != 0 {
			return mix, fmt.Errorf("%s is there twice", kind)
		}
		mix[kind] = percent
		sum += percent
	}
	if sum > 100 {
		return mix, fmt.Errorf("the shares are %v %% together, more than 100 %%", sum)
	}
	mix[Shipped] = 100 - sum
	return mix, nil
}

const (
	products     = 1000
	inStock      = 100_000_000 // of each
	leastInStock = inStock / 2 // is put in again where there is less
	itemsEach    = 3
	mostBodies   = 10_000 // that are made before a run; a longer one uses them again
)

func productID(i int) string { return fmt.Sprintf("bench-%d", i+1) }

// order is what is to be ordered.
type order struct {
	kind Kind
	body []byte
}

// newOrders makes as many orders as a run of n orders needs, with exactly the shares of the mix. They are always the same.
func newOrders(n int, mix Mix) []order {
	orders := make([]order, min(n, mostBodies))
	next := 0
	for kind := Declined; kind < kindCount; kind++ {
		for range int(math.Round(float64(len(orders)) * mix[kind] / 100)) {
			if next < len(orders) {
				orders[next].kind = kind
				next++
			}
		}
	}
	chance := rand.New(rand.NewPCG(1, 2))
	chance.Shuffle(len(orders), func(i, j int) { orders[i], orders[j] = orders[j], orders[i] })
	for i := range orders {
		orders[i].body = newBody(chance, i, orders[i].kind)
	}
	return orders
}

// newBody makes an order of a few of many products, so that they do not wait for each other's stock.
func newBody(chance *rand.Rand, customer int, kind Kind) []byte {
	o := client.OrderRequest{
		CustomerID: fmt.Sprintf("bench-customer-%d", customer+1), Currency: "EUR", PaymentMethod: "pm_ok",
		ShippingAddress: client.Address{Name: "Ada Lovelace", Line1: "12 St James Square", City: "London", PostalCode: "SW1Y 4JH", Country: "GB"},
	}
	for len(o.Items) < itemsEach {
		product := productID(chance.IntN(products))
		if slices.ContainsFunc(o.Items, func(i client.Item) bool { return i.ProductID == product }) {
			continue
		}
		cents := 100 + chance.IntN(9900)
		o.Items = append(o.Items, client.Item{ProductID: product, Quantity: int64(1 + chance.IntN(3)), UnitPrice: fmt.Sprintf("%d.%02d", cents/100, cents%100)})
	}
	switch kind {
	case Declined:
		o.PaymentMethod = "pm_declined"
	case OutOfStock:
		o.Items[0].Quantity, o.Items[0].UnitPrice = event.MaxQuantity, "0.01"
	}
	text, err := json.Marshal(o)
	if err != nil {
		panic(err) // strings and numbers can always be encoded
	}
	return text
}
