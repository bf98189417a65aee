package main

import (
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

// order is what a customer wants, as every event carries it. Amounts are minor units.
type order struct {
	OrderID         uuid.UUID `json:"order_id"`
	CustomerID      string    `json:"customer_id"`
	Currency        string    `json:"currency"`
	TotalAmount     int64     `json:"total_amount"`
	Items           []item    `json:"items"`
	PaymentMethod   string    `json:"payment_method"`
	ShippingAddress address   `json:"shipping_address"`
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
	ID            uuid.UUID `json:"id"`
	Type          string    `json:"type"`
	Source        string    `json:"source"`
	Time          time.Time `json:"time"`
	CorrelationID uuid.UUID `json:"correlation_id"`
	CausationID   uuid.UUID `json:"causation_id,omitzero"`
	Reference     uuid.UUID `json:"reference,omitzero"` // of the payment, the reservation or the shipment
	Order         order     `json:"order"`
}

// placed is the event that begins an order's way.
func placed(o order) (event, error) {
	id, err := uuid.NewV7()
	return event{ID: id, Type: orderPlaced, Source: orders, Time: time.Now().UTC(), CorrelationID: o.OrderID, Order: o}, err
}

// next is the event that follows from another, with a new id for what was made of it.
func (e event) next(source, kind string) (event, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return e, err
	}
	reference, err := uuid.NewV7()
	return event{
		ID: id, Type: kind, Source: source, Time: time.Now().UTC(), CorrelationID: e.CorrelationID, CausationID: e.ID, Reference: reference, Order: e.Order,
	}, err
}
