package inventory

import (
	"orderflow/pkg/event"
	"orderflow/pkg/flow"
)

// Name is the service's name, Schema its schema in the database and its folder of migrations.
const (
	Name   = "inventory"
	Schema = "inventory"
)

// Subscribe makes the service's subscriptions on a runtime.
func Subscribe(runtime *flow.Service) { runtime.Subscribe(Subscriptions()...) }

// Subscriptions tells which queues the service has, and what it does with their events.
func Subscriptions() []flow.Subscription {
	return []flow.Subscription{
		{Queue: "inventory.payment-processed", Events: []event.Type{event.TypePaymentProcessed}, Handler: flow.React(reserve)},
		{
			Queue: "inventory.shipment-cancelled", Events: []event.Type{event.TypeShipmentFailed, event.TypeShipmentCancelled},
			Handler: flow.React(release),
		},
		{Queue: "inventory.shipment-created", Events: []event.Type{event.TypeShipmentCreated}, Handler: flow.React(ship)},
	}
}
