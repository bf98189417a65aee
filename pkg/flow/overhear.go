package flow

import (
	"context"
	"sync"

	"github.com/google/uuid"

	"orderflow/pkg/broker"
	"orderflow/pkg/event"
)

// Overhear calls hear with the type, id and correlation id of every event that any service publishes, as one more subscriber, until ctx ends.
// It tells opened when it has begun to. An error says why it could not, or that it has lost its connection and may have missed some. It is for
// those who want to look at once, and who look now and then anyway: an event may be heard before the service has handled it.
func (s *Service) Overhear(ctx context.Context, opened func(), hear func(t event.Type, id, correlation uuid.UUID)) error {
	tap, err := s.cfg.Broker.Tap(ctx, s.cfg.Catalog.Exchange, "#")
	if err != nil {
		return err
	}
	opened()
	return tap.Hear(ctx, func(m *broker.Message) {
		id, idErr := uuid.Parse(m.ID)
		correlation, err := uuid.Parse(m.CorrelationID)
		if idErr == nil && err == nil { // else it is none of our events
			hear(event.Type(m.Type), id, correlation)
		}
	})
}

// Behind adds work that Run does beside the subscriptions, from its start on, until nothing else is done any more. It is called before Run.
func (s *Service) Behind(work func(context.Context)) { s.behind = append(s.behind, work) }

// runBehind starts that work, and returns what ends it and waits until it has ended.
func (s *Service) runBehind(ctx context.Context) (stop func()) {
	ctx, end := context.WithCancel(ctx)
	var working sync.WaitGroup
	for _, work := range s.behind {
		working.Go(func() { work(ctx) })
	}
	return func() { end(); working.Wait() }
}
