package shipping

import (
	"orderflow/pkg/event"
	"orderflow/pkg/flow"
)

// Name is the service's name, Schema its schema in the database and its folder of migrations.
const (
	Name   = "shipping"
	Schema = "shipping"
)

// Subscribe makes the service's subscriptions on a runtime.
func Subscribe(runtime *flow.Service, carrier Carrier, guard *flow.Guard) {
	runtime.Subscribe(subscriptions(reactions{carrier: carrier}, guard)...)
}

// Subscriptions tells which queues the service has, without the means to work on them.
func Subscriptions() []flow.Subscription { return subscriptions(reactions{}, nil) }

func subscriptions(r reactions, guard *flow.Guard) []flow.Subscription {
	return []flow.Subscription{
		{
			Queue: "shipping.inventory-reserved", Events: []event.Type{event.TypeInventoryReserved},
			Handler: flow.CallOut(flow.Calls[Verdict]{Guard: guard, Intend: r.intendBooking, Record: r.recordBooking}),
			Does:    "books a parcel with the carrier",
			Stuck: "the order stays `reserved`: it is charged and its items are set aside, and where the carrier never answered, only the carrier " +
				"knows of a parcel. A replay asks with the same key, so that there is one at most",
		},
		{
			Queue: "shipping.cancellation-requested", Events: []event.Type{event.TypeCancellationRequested},
			Handler: flow.React(r.cancel),
			Does:    "decides whether it is too late: it is when the parcel is booked",
			Stuck:   "nobody decides: the order goes on as if nobody had asked, and ships if nothing else is in its way",
		},
	}
}
