package flow

import (
	"context"
	"math"
	"slices"
	"time"

	"orderflow/pkg/event"
	"orderflow/pkg/postgres"
	"orderflow/pkg/telemetry"
)

// patience is how long a batch waits for the last of its calls before it goes on without them.
const patience = 50 * time.Millisecond

// Calls describes a reaction that talks to another system between two transactions. O is what a call brings back.
type Calls[O any] struct {
	// Intend commits what is about to be done. What it returns is called when that is committed, so what it has queued in tx is
	// answered then, and gives a call for each event of the batch, in its order; nil where there is nothing to do. It may be called
	// again for the same event, and then continues where it was.
	Intend func(ctx context.Context, tx *postgres.Tx, batch []*event.Event) (func() []Call[O], error)
	// Record commits what came of it, and returns the events that follow. Events that it lists in again are not finished: they
	// start over with Intend at once.
	Record func(ctx context.Context, tx *postgres.Tx, batch []Answered[O]) (follow, again []*event.Event, err error)
	// Guard stands before the system that is called, and may be shared with other subscriptions; nil: none.
	Guard *Guard
}

// Call asks another system to do something, by a key that makes it harmless to ask twice. Its context has no deadline of its own.
// An error says that the answer is not known. The calls of a batch, and of batches that are not over yet, are made side by side, as
// many as the guard lets through.
type Call[O any] func(context.Context) (O, error)

// Answered is an event and what came of its call.
type Answered[O any] struct {
	*event.Event
	Called  bool // there was something to do
	Outcome O
}

// CallOut is the handler of a reaction with external calls.
func CallOut[O any](c Calls[O]) Handler {
	return &callOut[O]{c}
}

type callOut[O any] struct {
	Calls[O]
}

// called is a job and the outcome of its call.
type called[O any] struct {
	*job
	call    Call[O]
	outcome O
	err     error
}

// perSlot is how many events are held for each call that may be under way: some are in the transactions before and after it. With more,
// the last of them would wait for longer than the broker leaves a message with a consumer.
const perSlot = 4

func (h *callOut[O]) holds() int {
	if h.Guard == nil {
		return math.MaxInt
	}
	return perSlot * cap(h.Guard.slots)
}

func (h *callOut[O]) handle(w *worker, jobs []*job) {
	for len(jobs) > 0 {
		jobs = h.round(w, jobs)
	}
}

// round goes through all three steps once. It returns the jobs that start over; those that are slow go on in w.later.
func (h *callOut[O]) round(w *worker, jobs []*job) (again []*job) {
	var refused []*job
	calls := h.intend(w, jobs)
	answers := h.callAll(w, calls)
	began := time.Now()
	for left := len(calls); left > 0; {
		group := gather(answers, time.Until(began.Add(patience)))
		if len(group) == 0 { // the rest is slow
			w.later.Go(func() { h.await(w, answers, left) })
			break
		}
		left -= len(group)
		more, no := h.finish(w, group)
		again, refused = append(again, more...), append(refused, no...)
	}
	return append(again, w.waitOut(refused)...)
}

// await brings slow jobs to their end, each as soon as it is answered.
func (h *callOut[O]) await(w *worker, answers <-chan *called[O], left int) {
	for left > 0 {
		group := gather(answers, never)
		left -= len(group)
		if again, refused := h.finish(w, group); len(again)+len(refused) > 0 {
			w.later.Go(func() { h.handle(w, append(again, w.waitOut(refused)...)) })
		}
	}
}

const never = 1<<63 - 1

// intend runs the first transaction. Jobs that fail in it are at their end.
func (h *callOut[O]) intend(w *worker, jobs []*job) []*called[O] {
	var calls []*called[O]
	w.isolate(jobs, func(part []*job) error {
		ctx, stop := context.WithTimeout(w.hard, statementTimeout)
		defer stop()
		ctx, span := w.together(ctx, "intend ", part)
		var plan func() []Call[O]
		err := postgres.Transact(ctx, w.service.cfg.DB, func(tx *postgres.Tx) (err error) {
			plan, err = h.Intend(ctx, tx, eventsOf(part))
			return err
		})
		telemetry.End(span, err)
		if err != nil {
			return err
		}
		for i, call := range plan() {
			calls = append(calls, &called[O]{job: part[i], call: call})
		}
		return nil
	})
	w.end(slices.DeleteFunc(slices.Clone(jobs), func(j *job) bool { return j.state == open }))
	return calls
}

// callAll makes the calls, side by side, and returns a channel that will give every one of them back.
func (h *callOut[O]) callAll(w *worker, calls []*called[O]) <-chan *called[O] {
	answers := make(chan *called[O], len(calls))
	for _, c := range calls {
		if c.call == nil {
			answers <- c
			continue
		}
		w.later.Go(func() {
			c.err = protect(func() (err error) {
				c.outcome, err = guarded(c.within(w.hard), h.Guard, c.call)
				return err
			})
			answers <- c
		})
	}
	return answers
}

// gather waits for an answer, at most for d, and takes what else is there.
func gather[T any](answers <-chan T, d time.Duration) (group []T) {
	take := func() {
		for {
			select {
			case a := <-answers:
				group = append(group, a)
			default:
				return
			}
		}
	}
	if take(); len(group) > 0 {
		return group
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case a := <-answers:
		group = append(group, a)
		take()
	case <-timer.C:
	}
	return group
}

// finish brings answered jobs to their end. It returns those that have more to do, and those that the world has refused.
func (h *callOut[O]) finish(w *worker, group []*called[O]) (again, refused []*job) {
	var answered []*called[O]
	var over []*job
	for _, c := range group {
		switch {
		case c.err == nil:
			if c.call != nil {
				w.refusals.Store(0)
			}
			answered = append(answered, c)
		case Classify(c.err) == World:
			c.job.err = c.err
			refused = append(refused, c.job)
		default:
			c.job.state, c.job.err = failed, c.err
			over = append(over, c.job)
		}
	}
	again = h.record(w, answered)
	for _, c := range answered {
		if c.state != open {
			over = append(over, c.job)
		}
	}
	w.end(over)
	return again, refused
}

// record runs the second transaction and returns the jobs that have more to do.
func (h *callOut[O]) record(w *worker, answered []*called[O]) (again []*job) {
	outcomes := make(map[*job]*called[O], len(answered))
	jobs := make([]*job, len(answered))
	for i, c := range answered {
		outcomes[c.job], jobs[i] = c, c.job
	}
	w.isolate(jobs, func(part []*job) error {
		err := w.commit(part, func(ctx context.Context, tx *postgres.Tx, fresh []*job) ([]*event.Event, []*job, error) {
			batch := make([]Answered[O], len(fresh))
			for i, j := range fresh {
				batch[i] = Answered[O]{Event: j.event, Called: outcomes[j].call != nil, Outcome: outcomes[j].outcome}
			}
			follow, more, err := h.Record(ctx, tx, batch)
			unfinished := slices.DeleteFunc(slices.Clone(fresh), func(j *job) bool { return !slices.Contains(more, j.event) })
			return follow, unfinished, err
		})
		if err == nil { // those that are not done have more to do; what Record said is not asked, as it may have been taken back
			again = append(again, slices.DeleteFunc(slices.Clone(part), func(j *job) bool { return j.state != open })...)
		}
		return err
	})
	return again
}

// waitOut lets some time pass before refused calls are made again. While it waits, the worker takes no new messages, so the
// queue holds them. It returns nothing when the worker is stopping.
func (w *worker) waitOut(refused []*job) []*job {
	if len(refused) == 0 {
		return nil
	}
	n := int(w.refusals.Add(1))
	if n == 1 || n%10 == 0 {
		w.service.cfg.Log.Warn("waiting for an external system", "queue", w.Queue, "messages", len(refused), "error", refused[0].err)
	}
	tell(refused, "waits for an external system", refused[0].err)
	if !sleep(w.soft, backoff(n)) {
		mark(refused, dropped, errStopping)
		endSpans(refused)
		return nil
	}
	return refused
}

// EventsOf returns the events of a batch that was answered.
func EventsOf[O any](batch []Answered[O]) []*event.Event {
	events := make([]*event.Event, len(batch))
	for i, a := range batch {
		events[i] = a.Event
	}
	return events
}
