package event

import (
	"testing"
	"time"

	"github.com/go-json-experiment/json"
)

// processed is an event of the usual size: three items.
func processed() *Event {
	order := Order{
		OrderID: NewID(), CustomerID: "customer-4711", Currency: "EUR", PaymentMethod: "pm_ok",
		Items: []Item{
			{ProductID: "product-1", Quantity: 2, UnitPrice: MinorAmount(1999, "EUR")},
			{ProductID: "product-22", Quantity: 1, UnitPrice: MinorAmount(4900, "EUR")},
			{ProductID: "product-333", Quantity: 3, UnitPrice: MinorAmount(250, "EUR")},
		},
		ShippingAddress: Address{Name: "Ada Lovelace", Line1: "12 St James Square", City: "London", PostalCode: "SW1Y 4JH", Country: "GB"},
	}
	order.TotalAmount, _ = order.Sum()
	cause := New("order", time.Now(), order.OrderID.String(), &OrderPlaced{Order: order})
	return cause.Follow("payment", time.Now(), &PaymentProcessed{
		Order: order, Payment: Payment{PaymentID: NewID(), Amount: order.TotalAmount, GatewayReference: "ch_0123456789abcdef"}})
}

func BenchmarkEncode(b *testing.B) {
	e := processed()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Orders.Encode(e); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	body, err := Orders.Encode(processed())
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Orders.Decode(body); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSame is the part of BenchmarkDecode that sees that the schema need not be asked.
func BenchmarkSame(b *testing.B) { benchmarkConform(b, "") }

// BenchmarkSchema is the same for what others have written, in another way, and the schema is asked.
func BenchmarkSchema(b *testing.B) { benchmarkConform(b, " ") }

func benchmarkConform(b *testing.B, more string) {
	e := processed()
	data, err := json.Marshal(e.Data)
	if err != nil {
		b.Fatal(err)
	}
	data = append(data, more...)
	version := Orders.Kind(e.Type()).versions[0]
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if err := version.conform(data, e.Data); err != nil {
			b.Fatal(err)
		}
	}
}
