package event

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

// anOrder is an order without a fault.
func anOrder() Order {
	return Order{
		OrderID: uuid.MustParse("01890000-0000-7000-8000-000000000001"), CustomerID: "c-1", Currency: "EUR",
		TotalAmount: MinorAmount(4248, "EUR"), PaymentMethod: "pm_ok",
		Items: []Item{
			{ProductID: "demo-1", Quantity: 2, UnitPrice: MinorAmount(1999, "EUR")},
			{ProductID: "demo-2", Quantity: 1, UnitPrice: MinorAmount(250, "EUR")},
		},
		ShippingAddress: Address{Name: "Ada", Line1: "Main Street 1", City: "Berlin", PostalCode: "10115", Country: "DE"},
	}
}

// wantField checks that err says what is wrong with one field, and which it is.
func wantField(t *testing.T, err error, pointer string) {
	t.Helper()
	var f *FieldError
	switch {
	case !errors.As(err, &f):
		t.Errorf("error %v names no field, want %s", err, pointer)
	case f.Pointer != pointer:
		t.Errorf("error %q names %s, want %s", f, f.Pointer, pointer)
	case f.Detail == "":
		t.Errorf("error about %s does not say what is wrong", pointer)
	}
}

func TestWhatIsWrongWithAnOrder(t *testing.T) {
	long := strings.Repeat("é", MaxText+1)
	for _, c := range []struct {
		name    string
		spoil   func(*Order)
		pointer string
	}{
		{"no id", func(o *Order) { o.OrderID = uuid.Nil }, "/order_id"},
		{"no customer", func(o *Order) { o.CustomerID = "" }, "/customer_id"},
		{"blank customer", func(o *Order) { o.CustomerID = " \t" }, "/customer_id"},
		{"long customer", func(o *Order) { o.CustomerID = long }, "/customer_id"},
		{"unstorable customer", func(o *Order) { o.CustomerID = "a\x00b" }, "/customer_id"},
		{"no currency", func(o *Order) { o.Currency = "" }, "/currency"},
		{"unknown currency", func(o *Order) { o.Currency = "XXQ" }, "/currency"},
		{"small letters", func(o *Order) { o.Currency = "eur" }, "/currency"},
		{"no items", func(o *Order) { o.Items = nil }, "/items"},
		{"501 items", func(o *Order) { *o = orderOf(MaxItems + 1) }, "/items"},
		{"no product", func(o *Order) { o.Items[1].ProductID = "" }, "/items/1/product_id"},
		{"long product", func(o *Order) { o.Items[0].ProductID = long }, "/items/0/product_id"},
		{"zero quantity", func(o *Order) { o.Items[1].Quantity = 0 }, "/items/1/quantity"},
		{"negative quantity", func(o *Order) { o.Items[0].Quantity = -1 }, "/items/0/quantity"},
		{"huge quantity", func(o *Order) { o.Items[0].Quantity = MaxQuantity + 1 }, "/items/0/quantity"},
		{"price with one decimal", func(o *Order) { o.Items[1].UnitPrice = Amount{Minor: 25, Decimals: 1} }, "/items/1/unit_price"},
		{"price with three decimals", func(o *Order) { o.Items[0].UnitPrice = Amount{Minor: 19990, Decimals: 3} }, "/items/0/unit_price"},
		{"prices of another currency", func(o *Order) { o.Currency = "JPY" }, "/items/0/unit_price"},
		{"wrong total", func(o *Order) { o.TotalAmount.Minor++ }, "/total_amount"},
		{"total with other decimals", func(o *Order) { o.TotalAmount = Amount{Minor: 42480, Decimals: 3} }, "/total_amount"},
		{"no payment method", func(o *Order) { o.PaymentMethod = "" }, "/payment_method"},
		{"no name", func(o *Order) { o.ShippingAddress.Name = "" }, "/shipping_address/name"},
		{"no line1", func(o *Order) { o.ShippingAddress.Line1 = "" }, "/shipping_address/line1"},
		{"long line2", func(o *Order) { o.ShippingAddress.Line2 = long }, "/shipping_address/line2"},
		{"no city", func(o *Order) { o.ShippingAddress.City = "" }, "/shipping_address/city"},
		{"unstorable region", func(o *Order) { o.ShippingAddress.Region = "\x00" }, "/shipping_address/region"},
		{"no postal code", func(o *Order) { o.ShippingAddress.PostalCode = "" }, "/shipping_address/postal_code"},
		{"no country", func(o *Order) { o.ShippingAddress.Country = "" }, "/shipping_address/country"},
		{"line too large", func(o *Order) {
			o.Items[1] = Item{ProductID: "p", Quantity: 2, UnitPrice: MinorAmount(math.MaxInt64, "EUR")}
		}, "/items/1"},
		{"total too large", func(o *Order) {
			o.Items[1] = Item{ProductID: "p", Quantity: 1, UnitPrice: MinorAmount(math.MaxInt64, "EUR")}
		}, "/items/1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := anOrder()
			c.spoil(&o)
			wantField(t, o.Validate(), c.pointer)
		})
	}
}

func TestOrdersAreFineUpToTheLimits(t *testing.T) {
	edge := anOrder()
	edge.CustomerID = strings.Repeat("é", MaxText)
	edge.Items = []Item{{ProductID: "p", Quantity: 1, UnitPrice: MinorAmount(math.MaxInt64, "EUR")}}
	edge.TotalAmount = MinorAmount(math.MaxInt64, "EUR")
	free := anOrder()
	free.Items = []Item{{ProductID: "p", Quantity: MaxQuantity, UnitPrice: MinorAmount(0, "EUR")}}
	free.TotalAmount = MinorAmount(0, "EUR")
	for name, o := range map[string]Order{"plain": anOrder(), "500 items": orderOf(MaxItems), "largest total": edge, "free": free} {
		if err := o.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for currency, price := range map[string]string{"JPY": "5", "EUR": "0.05", "KWD": "0.005", "CLF": "0.0005"} {
		o := anOrder()
		amount, _ := ParseAmount(price)
		o.Currency, o.TotalAmount, o.Items = currency, amount, []Item{{ProductID: "p", Quantity: 1, UnitPrice: amount}}
		if err := o.Validate(); err != nil {
			t.Errorf("%s %s: %v", currency, price, err)
		}
	}
}

// orderOf is an order of n items.
func orderOf(n int) Order {
	o := anOrder()
	o.Items = slices.Repeat(o.Items[:1], n)
	o.TotalAmount, _ = o.Sum()
	return o
}

// The largest events must still be readable, or an order that was accepted could not end.
func TestTheLargestEventsFit(t *testing.T) {
	for name, char := range map[string]string{"four bytes each": "😀", "escaped": `"`} {
		o := anOrder()
		o.Items = nil
		var ids []string
		for i := range MaxItems {
			id := fmt.Sprintf("%03d", i) + strings.Repeat(char, MaxText-3)
			ids = append(ids, id)
			o.Items = append(o.Items, Item{ProductID: id, Quantity: 1_000_000, UnitPrice: MinorAmount(1_000_000_000, "EUR")})
		}
		o.TotalAmount, _ = o.Sum()
		rejected := &InventoryRejected{Order: o, ReservationID: NewID(), Reason: ReasonUnknownProduct, ProductIDs: ids}
		body, err := Orders.Encode(New("inventory", time.Now(), "c", rejected))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Orders.Decode(body); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	o := anOrder()
	o.Items[0].ProductID = "tab\tor newline\n" // these would take six bytes each
	wantField(t, o.Validate(), "/items/0/product_id")
}

func TestOrderIDsAreSortedAndUnique(t *testing.T) {
	event := func(last byte) *Event {
		o := anOrder()
		o.OrderID[15] = last
		return New("order", time.Now(), "", &OrderPlaced{Order: o})
	}
	ids := OrderIDs([]*Event{event(3), event(1), event(3), event(2), event(1)})
	if len(ids) != 3 || ids[0][15] != 1 || ids[1][15] != 2 || ids[2][15] != 3 {
		t.Errorf("got %v", ids)
	}
}
