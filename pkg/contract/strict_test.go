package contract

import (
	"strings"
	"testing"
	"time"

	"orderflow/pkg/event"
)

func TestStrict(t *testing.T) {
	price := event.MinorAmount(100, "EUR")
	body, err := event.Orders.Encode(event.New("order", time.Now(), "c", &event.OrderShipped{Order: event.Order{
		OrderID: event.NewID(), CustomerID: "c", Currency: "EUR", TotalAmount: price, PaymentMethod: "pm_ok",
		Items:           []event.Item{{ProductID: "p", Quantity: 1, UnitPrice: price}},
		ShippingAddress: event.Address{Name: "n", Line1: "l", City: "c", PostalCode: "p", Country: "DE"},
	}}))
	if err != nil {
		t.Fatal(err)
	}
	check, err := Strict(read(t, schemas)["OrderShipped.v1.json"])
	if err != nil {
		t.Fatal(err)
	}
	if err := check(body); err != nil {
		t.Errorf("what is sent: %v in %s", err, body)
	}
	for name, more := range map[string]string{
		`"data":{`: "data", `"shipping_address":{`: "an address", `"items":[{`: "an item", `{"specversion"`: "the envelope",
	} {
		spoilt := strings.Replace(string(body), name, name[:strings.Index(name, "{")+1]+`"new":1,`+name[strings.Index(name, "{")+1:], 1)
		if _, err := event.Orders.Decode([]byte(spoilt)); err != nil {
			t.Errorf("a field that is new in %s: %v", more, err)
		}
		if err := check([]byte(spoilt)); err == nil || !strings.Contains(err.Error(), `"new"`) {
			t.Errorf("a field too many in %s: %v", more, err)
		}
	}
	if check([]byte("{")) == nil || check([]byte(strings.Replace(string(body), `"EUR"`, `"eur"`, 1))) == nil {
		t.Error("anything goes")
	}
}
