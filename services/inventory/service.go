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
		{
			Queue: "inventory.payment-processed", Events: []event.Type{event.TypePaymentProcessed}, Handler: flow.React(reserve),
			Does:  "sets the items aside",
			Stuck: "the order stays `paid`: it is charged, and nothing is set aside",
		},
		{
			Queue: "inventory.shipment-cancelled", Events: []event.Type{event.TypeShipmentFailed, event.TypeShipmentCancelled},
			Handler: flow.React(release),
			Does:    "puts back what was set aside, or sees to it that nothing will be",
			Stuck:   "the order stays `cancelling`: its items are still set aside, and what was charged is not paid back yet",
		},
		{
			Queue: "inventory.shipment-created", Events: []event.Type{event.TypeShipmentCreated}, Handler: flow.React(ship),
			Does:  "takes the items out of the stock, since they leave the house",
			Stuck: "the order ends as `shipped` all the same; the stock counts its items as reserved, though they have left",
		},
	}
}
