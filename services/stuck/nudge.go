package stuck

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/google/uuid"

	"orderflow/pkg/dlq"
	"orderflow/pkg/event"
	"orderflow/pkg/flow"
)

// Event is the event that is waited for, as it was said but for its cause, which nobody keeps. In a trace it hangs below its order's request.
func (w *Wait) Event() *event.Event {
	return &event.Event{
		ID: w.ID, Source: w.Owner, Time: w.At.UTC(), CorrelationID: w.Data.Subject().String(), TraceParent: w.trace, Data: w.Data,
	}
}

// Nudge has the services publish the events of waits again, each once, with their old ids, and writes that into the history first.
func (l *Looker) Nudge(ctx context.Context, run uuid.UUID, waits []*Wait) error {
	byOwner := map[string]map[uuid.UUID]*event.Event{}
	var lost []dlq.Lost
	for _, w := range waits {
		e := w.Event()
		body, err := event.Orders.Encode(e)
		if err != nil {
			return fmt.Errorf("order %s: %w", e.Subject(), err)
		}
		lost = append(lost, dlq.Lost{ID: e.ID, Type: string(e.Type()), OrderID: e.Subject().String(), Queue: w.Queue, Body: body})
		if byOwner[w.Owner] == nil {
			byOwner[w.Owner] = map[uuid.UUID]*event.Event{}
		}
		byOwner[w.Owner][e.ID] = e
	}
	if l.History != nil {
		if err := l.History.Nudged(ctx, run, lost); err != nil {
			return fmt.Errorf("nothing was published, since it could not be written into the history: %w", err)
		}
	}
	for _, owner := range slices.SortedFunc(maps.Keys(byOwner), cmp.Compare) {
		if err := flow.PublishAgain(ctx, l.Databases[owner], event.Orders, slices.Collect(maps.Values(byOwner[owner]))); err != nil {
			return fmt.Errorf("service %s: %w", owner, err)
		}
	}
	return nil
}
