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

// Event is the event that is waited for, as the row has it, with the terms that the order was placed on. Its cause nobody keeps, nor what somebody
// has edited on its way. In a trace it hangs below its order's request.
func (w *Wait) Event() *event.Event {
	return &event.Event{
		ID: w.ID, Source: w.Owner, Time: w.At.UTC(), CorrelationID: w.Data.Subject().String(), TraceParent: w.trace, Data: w.Data,
	}
}

// Nudge has the services publish the events of waits again, each once, with their old ids, and writes that into the history first. It returns
// the waits that it can do nothing for, since what they wait for is no valid event.
func (l *Looker) Nudge(ctx context.Context, run uuid.UUID, waits []*Wait) (invalid []*Wait, err error) {
	byOwner := map[string]map[uuid.UUID]*event.Event{}
	var lost []dlq.Lost
	for _, w := range waits {
		e := w.Event()
		body, err := event.Orders.Encode(e)
		if err != nil {
			w.put(Unnamed, w.At, true, "what the row of %s has is no event: %v", w.Owner, err)
			invalid = append(invalid, w)
			continue
		}
		lost = append(lost, dlq.Lost{ID: e.ID, Type: string(e.Type()), OrderID: e.Subject().String(), Queue: w.Queue, Body: body})
		if byOwner[w.Owner] == nil {
			byOwner[w.Owner] = map[uuid.UUID]*event.Event{}
		}
		byOwner[w.Owner][e.ID] = e
	}
	owners := slices.SortedFunc(maps.Keys(byOwner), cmp.Compare)
	for _, owner := range owners {
		if err := flow.MayPublishAgain(ctx, l.Databases[owner]); err != nil {
			return nil, fmt.Errorf("nothing was published: service %s: %w", owner, err)
		}
	}
	if l.History != nil {
		if err := l.History.Nudged(ctx, run, lost); err != nil {
			return nil, fmt.Errorf("nothing was published, since it could not be written into the history: %w", err)
		}
	}
	for _, owner := range owners {
		if err := flow.PublishAgain(ctx, l.Databases[owner], event.Orders, slices.Collect(maps.Values(byOwner[owner]))); err != nil {
			return nil, fmt.Errorf("service %s: %w", owner, err)
		}
	}
	return invalid, nil
}
