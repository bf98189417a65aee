package flow

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/trace"

	"orderflow/pkg/broker"
	"orderflow/pkg/event"
	"orderflow/pkg/postgres"
	"orderflow/pkg/telemetry"
)

// Subscription is one durable queue and what is done with its events.
type Subscription struct {
	Queue   string       // "payment.order-placed"
	Events  []event.Type // what is routed to it; anything else in it is dead-lettered as invalid
	Handler Handler      // made by React or CallOut
	Workers int          // batches that are worked on at a time; 1

	// For people, in the documents of the events: what is done with one ("charges the order's total"), and what becomes of an order meanwhile
	// if its event is dead-lettered.
	Does, Stuck string
}

// Handler is what is done with a batch of events; React and CallOut make one.
type Handler interface {
	// handle brings every job to its end: done, failed or given up. It may return before the last of them has ended, and then
	// goes on in w.later.
	handle(w *worker, jobs []*job)
	// holds tells how many events it has use for at a time.
	holds() int
}

// Reaction handles the new events of a batch inside a transaction, and returns the events that follow from it. Several
// transactions of one service may run at a time; a reaction locks rows in the order of their keys. It must not change the
// events, and it may be called again with a part of the batch.
type Reaction func(ctx context.Context, tx *postgres.Tx, batch []*event.Event) ([]*event.Event, error)

// React is the handler of a reaction that needs nothing but its database.
func React(f Reaction) Handler { return f }

func (f Reaction) holds() int { return math.MaxInt }

func (f Reaction) handle(w *worker, jobs []*job) {
	w.isolate(jobs, func(part []*job) error {
		return w.commit(part, func(ctx context.Context, tx *postgres.Tx, fresh []*job) ([]*event.Event, []*job, error) {
			follow, err := f(ctx, tx, eventsOf(fresh))
			return follow, nil, err
		})
	})
	w.end(jobs)
}

// subscription is a Subscription in a running service.
type subscription struct {
	Subscription
	service *Service
	takes   map[event.Type]bool
}

func newSubscription(s *Service, sub Subscription) *subscription {
	sub.Workers = max(sub.Workers, 1)
	s.cfg.Metrics.expect(s.cfg.Service, sub.Queue)
	takes := make(map[event.Type]bool, len(sub.Events))
	for _, t := range sub.Events {
		if s.cfg.Catalog.Kind(t) == nil {
			panic(fmt.Sprintf("flow: subscription %s names the event %s, which the catalog does not have", sub.Queue, t))
		}
		takes[t] = true
	}
	return &subscription{Subscription: sub, service: s, takes: takes}
}

// work consumes until soft ends, and finishes what is in hand until hard ends.
func (s *subscription) work(soft, hard context.Context) {
	w := &worker{subscription: s, soft: soft, hard: hard}
	cfg := s.service.cfg
	prefetch := min(cfg.Prefetch, s.Handler.holds())
	cfg.Broker.Consume(soft, broker.ConsumerConfig{
		// A batch waits for no more messages than the broker may send.
		Queue: s.Queue, Prefetch: prefetch, Batch: min(cfg.Batch, prefetch), Linger: cfg.linger, Drain: w.later.Wait,
	}, w.take)
}

// worker works on the batches of one consumer.
type worker struct {
	*subscription
	soft  context.Context // ends when no more is to be begun
	hard  context.Context // ends when everything is to be dropped
	later sync.WaitGroup  // jobs that have been left behind by their batch

	refusals atomic.Int32 // of external calls, since the last that went well
	repeated atomic.Bool  // the last batch had events that were handled before
}

// job is one delivery on its way through a worker.
type job struct {
	delivery *broker.Delivery
	event    *event.Event
	state    state
	err      error      // why it failed, or why it is waiting
	span     trace.Span // nil where nobody records it
	passing  trace.Span // of sending its copy; the same
}

type state int

const (
	open    state = iota
	done          // handled, now or earlier
	failed        // to be tried again later or given up
	dropped       // the worker is stopping; the message comes again
)

func (w *worker) take(batch []*broker.Delivery) {
	w.service.cfg.Metrics.batchSize.WithLabelValues(w.Queue).Observe(float64(len(batch)))
	var good, bad []*job
	for _, d := range batch {
		j := &job{delivery: d}
		j.event, j.err = w.decode(d)
		w.beginSpan(j)
		if j.err != nil {
			if j.state = failed; errors.Is(j.err, errStopping) {
				j.state = dropped
			}
			bad = append(bad, j)
		} else {
			good = append(good, j)
		}
	}
	if len(bad) > 0 {
		w.end(bad)
	}
	if len(good) > 0 {
		w.Handler.handle(w, good)
	}
}

func (w *worker) decode(d *broker.Delivery) (*event.Event, error) {
	e, err := w.service.cfg.Catalog.Decode(d.Body)
	if err != nil {
		return nil, err
	}
	if !w.takes[e.Type()] {
		return nil, fmt.Errorf("%w: %s does not belong into queue %s", event.ErrInvalid, e.Type(), w.Queue)
	}
	if w.service.inbox.behind(e) {
		err := w.persist(forever, func() error { return w.service.inbox.prepare(w.hard, w.service.cfg) })
		if err != nil {
			return e, err
		}
	}
	return e, w.service.inbox.accepts(e)
}

// How often what the world refuses is tried. A batch is halved then too, since it may be one of its messages, or its size, that the
// world cannot take; a message that is alone is tried until it is through.
const (
	batchAttempts = 3
	forever       = 0
)

// isolate calls f with jobs and, where it fails, with smaller and smaller parts, until the culprits are alone.
func (w *worker) isolate(jobs []*job, f func([]*job) error) {
	if len(jobs) == 0 {
		return
	}
	attempts := batchAttempts
	if len(jobs) == 1 {
		attempts = forever
	}
	err := w.persist(attempts, func() error { return f(jobs) })
	if err != nil && len(jobs) > 1 {
		tell(jobs, "the batch failed, and is halved", err)
	}
	switch {
	case err == nil:
	case errors.Is(err, errStopping):
		mark(jobs, dropped, err)
	case len(jobs) == 1:
		mark(jobs, failed, err)
	default:
		half := len(jobs) / 2
		w.isolate(jobs[:half], f)
		w.isolate(jobs[half:], f)
	}
}

var errStopping = errors.New("stopping")

// persist calls f until it does not fail by the world's fault, or has done so a number of times, or the worker is stopping.
func (w *worker) persist(attempts int, f func() error) error {
	for attempt := 1; ; attempt++ {
		err := protect(f)
		if err == nil && attempt > 1 {
			w.service.cfg.Log.Info("going on", "queue", w.Queue, "attempts", attempt)
		}
		if err == nil || Classify(err) != World || attempt == attempts && w.soft.Err() == nil {
			return err
		}
		if w.hard.Err() == nil && (attempt == 1 || attempt%10 == 0) {
			w.service.cfg.Log.Warn("waiting for what is around", "queue", w.Queue, "attempt", attempt, "error", err)
		}
		if !sleep(w.soft, backoff(attempt)) {
			return fmt.Errorf("%w: %w", errStopping, err)
		}
	}
}

// protect turns a panic of a reaction into an error, so that it costs one message and not the process.
func protect(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
		}
	}()
	return f()
}

// transaction is the part of a reaction that is special: what to do with the jobs that are new. It returns the events that
// follow, and the jobs that are not finished by it: what it did for them is committed, but they will be handled again.
type transaction func(ctx context.Context, tx *postgres.Tx, fresh []*job) (follow []*event.Event, again []*job, err error)

// commit runs one transaction for jobs: inbox, reaction, outbox. The jobs that it finishes are done.
func (w *worker) commit(jobs []*job, react transaction) error {
	ctx, stop := context.WithTimeout(w.hard, statementTimeout)
	defer stop()
	began := time.Now()
	ctx, span := w.together(ctx, "commit ", jobs)
	var r result
	err := errRepeated
	if !w.repeated.Load() {
		r, err = w.commitAll(ctx, jobs, react)
	}
	if errors.Is(err, errRepeated) {
		r, err = w.commitFresh(ctx, jobs, react)
	}
	telemetry.End(span, err)
	if err != nil {
		return err
	}
	w.repeated.Store(len(r.duplicates) > 0)
	metrics := w.service.cfg.Metrics
	metrics.reaction.WithLabelValues(w.Queue).Observe(time.Since(began).Seconds())
	tell(r.duplicates, "was handled before", nil)
	lag := metrics.lag.WithLabelValues(w.Queue)
	for _, j := range jobs {
		if !slices.Contains(r.unfinished, j) {
			j.state, j.err = done, nil
			telemetry.Observe(lag, time.Since(j.event.Time).Seconds(), j.event.TraceParent)
		}
	}
	w.count(outcomeHandled, len(jobs)-len(r.unfinished)-len(r.duplicates))
	w.count(outcomeDuplicate, len(r.duplicates))
	w.service.outbox.offerWait(w.soft, r.messages)
	return nil
}

// result is what became of jobs in a transaction that was committed.
type result struct {
	messages               []broker.Message // to be offered
	unfinished, duplicates []*job
}

// errRepeated says that not all events of a batch are new.
var errRepeated = errors.New("the batch has events that were handled before")

// commitAll supposes that all jobs are new, as they nearly always are: it asks the inbox together with the first question of the
// reaction, which spares a round trip, and takes everything back where the inbox says otherwise.
func (w *worker) commitAll(ctx context.Context, jobs []*job, react transaction) (r result, err error) {
	r.messages, err = w.service.transact(ctx, func(tx *postgres.Tx) ([]*event.Event, error) {
		claim := w.service.inbox.claim(tx, w.Queue, idsOf(jobs))
		follow, unfinished, failed := react(ctx, tx, jobs)
		if !claim.answered() {
			if err := tx.Send(ctx); !claim.answered() {
				return nil, claim.explain(err)
			}
		}
		if len(claim.fresh()) < len(jobs) {
			return nil, errRepeated
		}
		if failed != nil {
			return nil, failed
		}
		w.forget(tx, unfinished)
		r.unfinished = unfinished
		return follow, nil
	})
	return r, err
}

// commitFresh asks the inbox first, and leaves out what is not new. Of two jobs with the same event in one batch, one is.
func (w *worker) commitFresh(ctx context.Context, jobs []*job, react transaction) (r result, err error) {
	r.messages, err = w.service.transact(ctx, func(tx *postgres.Tx) (follow []*event.Event, err error) {
		claim := w.service.inbox.claim(tx, w.Queue, idsOf(jobs))
		if err := tx.Send(ctx); err != nil {
			return nil, claim.explain(err)
		}
		var fresh []*job
		isNew := claim.fresh()
		for _, j := range jobs {
			if isNew[j.event.ID] {
				delete(isNew, j.event.ID)
				fresh = append(fresh, j)
			} else {
				r.duplicates = append(r.duplicates, j)
			}
		}
		if len(fresh) == 0 {
			return nil, nil
		}
		follow, r.unfinished, err = react(ctx, tx, fresh)
		w.forget(tx, r.unfinished)
		return follow, err
	})
	return r, err
}

// forget takes the claim of unfinished jobs back.
func (w *worker) forget(tx *postgres.Tx, unfinished []*job) {
	if len(unfinished) > 0 {
		w.service.inbox.forget(tx, w.Queue, idsOf(unfinished))
	}
}

// end settles jobs: those that are done are acknowledged, those that failed are passed on first.
func (w *worker) end(jobs []*job) {
	var settled []*broker.Delivery
	var unhappy []*job
	for _, j := range jobs {
		switch j.state {
		case done:
			settled = append(settled, j.delivery)
		case failed:
			unhappy = append(unhappy, j)
		}
	}
	if len(unhappy) > 0 {
		settled = append(settled, w.passOn(unhappy)...)
	}
	defer endSpans(jobs)
	if len(settled) == 0 {
		return
	}
	if err := broker.Ack(settled); err != nil {
		w.service.cfg.Log.Debug("not acknowledged, will come again", "queue", w.Queue, "messages", len(settled), "error", err)
	}
}

func (w *worker) count(outcome string, n int) {
	w.service.cfg.Metrics.events.WithLabelValues(w.service.cfg.Service, w.Queue, outcome).Add(float64(n))
}

func mark(jobs []*job, s state, err error) {
	for _, j := range jobs {
		j.state, j.err = s, err
	}
}

func eventsOf(jobs []*job) []*event.Event {
	events := make([]*event.Event, len(jobs))
	for i, j := range jobs {
		events[i] = j.event
	}
	return events
}

func idsOf(jobs []*job) []uuid.UUID {
	ids := make([]uuid.UUID, len(jobs))
	for i, j := range jobs {
		ids[i] = j.event.ID
	}
	return ids
}
