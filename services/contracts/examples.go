package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"orderflow/pkg/event"
)

// exampleAt is when the order of the examples was placed.
var exampleAt = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// exampleID is the nth id of the story that the examples tell: a UUIDv7 that is always the same.
func exampleID(n byte) uuid.UUID {
	id := event.FirstID(exampleAt)
	id[6], id[8], id[15] = 0x70, 0x80, n
	return id
}

// The ids of the things in the examples.
var (
	theOrder       = exampleID(1)
	thePayment     = exampleID(2)
	theReservation = exampleID(3)
	theShipment    = exampleID(4)
)

func exampleOrder() event.Order {
	o := event.Order{
		OrderID: theOrder, CustomerID: "customer-1", Currency: "EUR", PaymentMethod: "pm_ok",
		Items: []event.Item{
			{ProductID: "demo-1", Quantity: 2, UnitPrice: event.MinorAmount(1999, "EUR")},
			{ProductID: "demo-2", Quantity: 1, UnitPrice: event.MinorAmount(250, "EUR")},
		},
		ShippingAddress: event.Address{Name: "Ada Lovelace", Line1: "12 St James Square", City: "London", PostalCode: "SW1Y 4JH", Country: "GB"},
	}
	o.TotalAmount, _ = o.Sum()
	return o
}

// fact is an example's data, and the type of the event that it answers; "" is none, but a customer.
type fact struct {
	cause event.Type
	data  event.Payload
}

// facts are what might be said of that order, on its way and on the way back. What answers comes after what it answers.
func facts() []fact {
	o := exampleOrder()
	paid := event.Payment{PaymentID: thePayment, Amount: o.TotalAmount, GatewayReference: "ch_4f9a1c"}
	parcel := event.Shipment{ShipmentID: theShipment, Carrier: "Simulated Parcels", TrackingNumber: "SP-0000000001"}
	const request = event.ReasonCustomerRequest
	return []fact{
		{"", &event.OrderPlaced{Order: o}},
		{event.TypeOrderPlaced, &event.PaymentProcessed{Order: o, Payment: paid}},
		{event.TypeOrderPlaced, &event.PaymentFailed{Order: o, PaymentID: thePayment, Reason: event.ReasonPaymentFailed, Detail: "card declined"}},
		{event.TypePaymentProcessed, &event.InventoryReserved{Order: o, ReservationID: theReservation}},
		{event.TypePaymentProcessed, &event.InventoryRejected{
			Order: o, ReservationID: theReservation, Reason: event.ReasonOutOfStock, ProductIDs: []string{"demo-2"}}},
		{event.TypeInventoryReserved, &event.ShipmentCreated{Order: o, Shipment: parcel}},
		{event.TypeInventoryReserved, &event.ShipmentFailed{
			Order: o, ShipmentID: theShipment, Reason: event.ReasonShipmentFailed, Detail: "the address does not exist"}},
		{"", &event.CancellationRequested{Order: o, Reason: request}},
		{event.TypeCancellationRequested, &event.CancellationRejected{Order: o, Shipment: parcel}},
		{event.TypeCancellationRequested, &event.ShipmentCancelled{Order: o, ShipmentID: theShipment, Reason: request}},
		{event.TypeShipmentCancelled, &event.InventoryReleased{Order: o, ReservationID: theReservation, Reason: request}},
		{event.TypeInventoryReleased, &event.PaymentRefunded{Order: o, Payment: paid, Reason: request}},
		{event.TypeInventoryReleased, &event.PaymentVoided{Order: o, PaymentID: thePayment, Reason: request}},
		{event.TypeShipmentCreated, &event.OrderShipped{Order: o}},
		{event.TypePaymentRefunded, &event.OrderCancelled{Order: o, Reason: request}},
	}
}

// examples are events of each type as they are sent.
func examples() (map[event.Type]json.RawMessage, error) {
	said := map[event.Type]*event.Event{}
	all := map[event.Type]json.RawMessage{}
	for i, f := range facts() {
		t := f.data.Type()
		e := &event.Event{
			ID: exampleID(byte(0x10 + i)), Source: event.Orders.Kind(t).Source, Time: exampleAt.Add(time.Duration(i) * 20 * time.Millisecond),
			CorrelationID: f.data.Subject().String(), Data: f.data,
		}
		if cause := said[f.cause]; cause != nil {
			e.CausationID = cause.ID.String()
		}
		body, err := event.Orders.Encode(e)
		if err != nil {
			return nil, err
		}
		said[t], all[t] = e, body
	}
	for _, k := range event.Orders.Kinds() {
		if all[k.Type] == nil {
			return nil, fmt.Errorf("there is no example of %s", k.Type)
		}
	}
	return all, nil
}

// indented is JSON as people read it.
func indented(text json.RawMessage) (string, error) {
	var b bytes.Buffer
	err := json.Indent(&b, text, "", "  ")
	return b.String(), err
}
