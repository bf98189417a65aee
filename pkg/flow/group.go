package flow

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/trace"

	"orderflow/pkg/broker"
	"orderflow/pkg/event"
	"orderflow/pkg/postgres"
	"orderflow/pkg/telemetry"
)

const (
	groupWorkers = 2    // transactions of one group at a time; while they commit, the next requests gather
	groupBatch   = 128  // requests in one transaction, at most
	groupWaiting = 1024 // requests that may wait; more of them would only wait longer than anybody does

	// groupTimeout bounds a transaction. A request that has less time left is refused, so that nobody who was told that it had failed
	// for want of time finds it done later.
	groupTimeout  = 8 * time.Second
	groupPatience = time.Second // with a broker that takes messages slowly, for one batch
)

var (
	// ErrBusy says that too many requests wait already, or that this one has waited for too long. Nothing was done, and nothing will be.
	ErrBusy = errors.New("too many requests wait to be committed")
	// ErrStopped says that the service has stopped before it came to the request. Nothing was done.
	ErrStopped = errors.New("the service has stopped")
)

// Group lets requests that come at the same time share a transaction (group commit). A request that comes alone does not wait for
// others. It is for events that are born outside of reactions, in HTTP requests.
type Group[R any] struct {
	service *Service
	react   func(context.Context, *postgres.Tx, []R) ([]*event.Event, error)
	waiting chan *request[R]
	gone    chan struct{} // closed when nobody will take what waits
}

// request is one of a group and the one who waits for it.
type request[R any] struct {
	ctx  context.Context
	what R
	done chan error // gets what became of it
}

// NewGroup adds a group to a service, before Run. react does what the requests of a batch ask for and returns the events that
// follow; it may be called again with a part of the batch.
func NewGroup[R any](s *Service, react func(context.Context, *postgres.Tx, []R) ([]*event.Event, error)) *Group[R] {
	g := &Group[R]{service: s, react: react, waiting: make(chan *request[R], groupWaiting), gone: make(chan struct{})}
	s.groups = append(s.groups, g)
	return g
}

// Do returns nil when what was committed with the events that follow from it, and otherwise why it was not: ErrBusy at once. When ctx
// ends before that, or the database does not answer, what becomes of it is not known.
func (g *Group[R]) Do(ctx context.Context, what R) error {
	r := &request[R]{ctx: ctx, what: what, done: make(chan error, 1)}
	select {
	case g.waiting <- r:
	default:
		return ErrBusy
	}
	select {
	case err := <-r.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-g.gone:
	}
	select {
	case err := <-r.done:
		return err
	default:
		return ErrStopped
	}
}

// work commits what waits until soft ends, and what is in hand until hard ends.
func (g *Group[R]) work(soft, hard context.Context) {
	for {
		select {
		case first := <-g.waiting:
			g.commit(hard, g.gather(first))
		case <-soft.Done():
			return
		}
	}
}

// spansOf are those that the requests come from.
func spansOf[R any](requests []*request[R]) []trace.Span {
	spans := make([]trace.Span, len(requests))
	for i, r := range requests {
		spans[i] = trace.SpanFromContext(r.ctx)
	}
	return spans
}

// close is called when nobody works any more.
func (g *Group[R]) close() { close(g.gone) }

// gather takes what else waits, up to a batch.
func (g *Group[R]) gather(first *request[R]) []*request[R] {
	batch := append(make([]*request[R], 0, min(groupBatch, len(g.waiting)+1)), first)
	for len(batch) < groupBatch {
		select {
		case r := <-g.waiting:
			batch = append(batch, r)
		default:
			return batch
		}
	}
	return batch
}

// commit runs one transaction for a batch and, where one of them may be at fault, for smaller and smaller parts of it.
func (g *Group[R]) commit(ctx context.Context, batch []*request[R]) {
	what := make([]R, 0, len(batch))
	waiting := make([]*request[R], 0, len(batch))
	for _, r := range batch {
		if err := r.ctx.Err(); err != nil { // nobody waits any more
			r.done <- err
			continue
		}
		if deadline, limited := r.ctx.Deadline(); limited && time.Until(deadline) < groupTimeout {
			r.done <- ErrBusy
			continue
		}
		what, waiting = append(what, r.what), append(waiting, r)
	}
	if len(waiting) == 0 {
		return
	}
	var messages []broker.Message
	err := protect(func() (err error) {
		limited, stop := context.WithTimeout(ctx, groupTimeout)
		defer stop()
		limited, span := telemetry.Together(limited, g.service.cfg.Tracer, "commit requests", spansOf(waiting))
		defer func() { telemetry.End(span, err) }()
		messages, err = g.service.transact(limited, func(tx *postgres.Tx) ([]*event.Event, error) { return g.react(limited, tx, what) })
		return err
	})
	if err != nil && len(waiting) > 1 && (Classify(err) != World || postgres.Contended(err)) {
		half := len(waiting) / 2
		g.commit(ctx, waiting[:half])
		g.commit(ctx, waiting[half:])
		return
	}
	for _, r := range waiting {
		r.done <- err
	}
	if err != nil {
		return
	}
	// Those who have their answer do not wait for the broker, but those who come now do, while it takes messages at all: what is left to
	// the sweep is published much later.
	patient, stop := context.WithTimeout(ctx, groupPatience)
	defer stop()
	g.service.outbox.offerWhileReady(patient, messages)
}
