package order

import (
	"orderflow/pkg/event"
	"orderflow/pkg/flow"
)

// Name is the service's name; Schema its schema in the database and its folder of migrations. They differ because ORDER is a
// reserved word of SQL.
const (
	Name   = "order"
	Schema = "orders"
)

// Subscribe makes the service's subscriptions on a runtime.
func Subscribe(runtime *flow.Service, metrics *Metrics) {
	runtime.Subscribe(subscriptions(reactions{metrics})...)
}

// Subscriptions tells which queues the service has, without the means to work on them.
func Subscriptions() []flow.Subscription { return subscriptions(reactions{}) }

func subscriptions(r reactions) []flow.Subscription {
	return []flow.Subscription{{
		Queue: "order.progress",
		Events: []event.Type{
			event.TypePaymentProcessed, event.TypePaymentFailed, event.TypePaymentRefunded, event.TypePaymentVoided,
			event.TypeInventoryReserved, event.TypeInventoryRejected, event.TypeInventoryReleased,
			event.TypeShipmentCreated, event.TypeShipmentFailed, event.TypeShipmentCancelled, event.TypeCancellationRejected,
		},
		Handler: flow.React(r.progress),
		Does:    "notes it in the order's timeline, moves its status on, and says how it has ended",
		Stuck: "the other services go on, but the order's status stays behind, and nobody hears that it has ended, should this be " +
			"the event that ends it",
	}}
}
