package order

import (
	"context"
	"time"

	"orderflow/pkg/event"
	"orderflow/pkg/flow"
	"orderflow/pkg/postgres"
)

// reactions is what the service does with events.
type reactions struct{ metrics *Metrics }

// progress folds what the other services say into the orders, and says so when an order has ended.
func (r reactions) progress(ctx context.Context, tx *postgres.Tx, batch []*event.Event) (follow []*event.Event, err error) {
	orders, err := lock(ctx, tx, batch)
	if err != nil {
		return nil, err
	}
	now := time.Now().UTC()
	for _, e := range batch {
		o := orders[e.Subject()]
		if o == nil {
			return nil, flow.Reject("there is no order %s", e.Subject())
		}
		o.Order = *event.OrderOf(e)
		next, end := o.Learn(e.Data, now)
		if end != nil {
			tx.OnCommit(func() { r.metrics.ended(next.Status, now.Sub(next.PlacedAt), e.TraceParent) })
		}
		follow = event.Respond(follow, e, Name, now, end)
		*o = next
	}
	update(tx, orders)
	return follow, note(tx, append(batch[:len(batch):len(batch)], follow...))
}
