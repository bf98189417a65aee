package payment

import (
	"orderflow/pkg/event"
	"orderflow/pkg/flow"
)

// Name is the service's name, Schema its schema in the database and its folder of migrations.
const (
	Name   = "payment"
	Schema = "payment"
)

// Subscribe makes the service's subscriptions on a runtime.
func Subscribe(runtime *flow.Service, gateway Gateway, guard *flow.Guard) {
	runtime.Subscribe(subscriptions(reactions{gateway: gateway}, guard)...)
}

// Subscriptions tells which queues the service has, without the means to work on them.
func Subscriptions() []flow.Subscription { return subscriptions(reactions{}, nil) }

func subscriptions(r reactions, guard *flow.Guard) []flow.Subscription {
	return []flow.Subscription{
		{
			Queue: "payment.order-placed", Events: []event.Type{event.TypeOrderPlaced},
			Handler: flow.CallOut(flow.Calls[answer]{Guard: guard, Intend: r.intendCharge, Record: r.recordCharge}),
			Does:    "charges the order's total",
			Stuck: "the order stays `placed`: nothing is reserved, and where the gateway never answered, or its answer could not be noted, only the gateway " +
				"knows whether the card was charged. A replay asks with the same key, so that nothing is charged twice",
		},
		{
			Queue: "payment.inventory-released", Events: []event.Type{event.TypeInventoryRejected, event.TypeInventoryReleased},
			Handler: flow.CallOut(flow.Calls[answer]{Guard: guard, Intend: r.intendUndo, Record: r.recordUndo}),
			Does:    "pays back what was charged, or sees to it that nothing will be",
			Stuck: "the order stays `cancelling`: what was charged is not paid back yet, or where the gateway never answered, or its answer could not " +
				"be noted, only the gateway knows whether it is. A replay asks with the same key, so that nothing is paid back twice; do not pay it back by hand",
		},
	}
}
