package main

import (
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

// order is what a customer wants, as every event carries it. Amounts are minor units.
type order struct {
	OrderID         string  `json:"order_id"`
	CustomerID      string  `json:"customer_id"`
	Currency        string  `json:"currency"`
	TotalAmount     int64   `json:"total_amount"`
	Items           []item  `json:"items"`
	PaymentMethod   string  `json:"payment_method"`
	ShippingAddress address `json:"shipping_address"`
}

type item struct {
	ProductID string `json:"product_id"`
	Quantity  int64  `json:"quantity"`
	UnitPrice int64  `json:"unit_price"`
}

type address struct {
	Name       string `json:"name"`
	Line1      string `json:"line1"`
	City       string `json:"city"`
	PostalCode string `json:"postal_code"`
	Country    string `json:"country"`
}

// byProduct returns the items in the order in which their stock is locked, which is everybody's, so that nobody deadlocks.
func (o order) byProduct() []item {
	return slices.SortedFunc(slices.Values(o.Items), func(a, b item) int { return strings.Compare(a.ProductID, b.ProductID) })
}

func (o order) total() (sum int64) {
	for _, i := range o.Items {
		sum += i.Quantity * i.UnitPrice
	}
	return sum
}

// The events, which are also Watermill's topics and the routing keys.
const (
	orderPlaced       = "order.placed"
	paymentProcessed  = "payment.processed"
	inventoryReserved = "inventory.reserved"
	shipmentCreated   = "shipment.created"
)

// event is what happened to an order.
type event struct {
	ID            string    `json:"id"`
	Type          string    `json:"type"`
	Source        string    `json:"source"`
	Time          time.Time `json:"time"`
	CorrelationID string    `json:"correlation_id"`
	CausationID   string    `json:"causation_id,omitempty"`
	Reference     string    `json:"reference,omitempty"` // of the payment, the reservation or the shipment
	Order         order     `json:"order"`
}

// placed is the event that begins an order's way.
func placed(o order) event {
	return event{ID: newID(), Type: orderPlaced, Source: orders, Time: time.Now().UTC(), CorrelationID: o.OrderID, Order: o}
}

// next is the event that follows from another, with a new id for what was made of it.
func (e event) next(source, kind string) event {
	return event{
		ID: newID(), Type: kind, Source: source, Time: time.Now().UTC(), CorrelationID: e.CorrelationID, CausationID: e.ID, Reference: newID(), Order: e.Order,
	}
}

// newID makes an id that sorts by time. Ids are kept as text, which costs JSON and pgx less than the bytes do.
func newID() string { return uuid.Must(uuid.NewV7()).String() } // it fails only where the system's source of randomness does
