package main

import (
	"fmt"
	"slices"

	"orderflow/pkg/event"
	"orderflow/pkg/flow"
	"orderflow/services/inventory"
	"orderflow/services/order"
	"orderflow/services/payment"
	"orderflow/services/shipping"
)

// reader is a queue and the service that works on it.
type reader struct {
	Service string
	flow.Subscription
}

// readers are those of all services. It is an error where one does not say what it does.
func readers() (all []reader, err error) {
	for _, s := range []struct {
		name          string
		subscriptions []flow.Subscription
	}{
		{order.Name, order.Subscriptions()}, {payment.Name, payment.Subscriptions()},
		{inventory.Name, inventory.Subscriptions()}, {shipping.Name, shipping.Subscriptions()},
	} {
		for _, sub := range s.subscriptions {
			if sub.Does == "" || sub.Stuck == "" {
				return nil, fmt.Errorf("subscription %s does not say what it does, or what becomes of an order when it is stuck", sub.Queue)
			}
			all = append(all, reader{s.name, sub})
		}
	}
	return all, nil
}

// of are the readers of one type of event.
func of(all []reader, t event.Type) (some []reader) {
	for _, r := range all {
		if slices.Contains(r.Events, t) {
			some = append(some, r)
		}
	}
	return some
}
