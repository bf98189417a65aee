package dlq

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/time/rate"

	"orderflow/pkg/broker"
)

const (
	// inFlight is how many messages may be sent and not yet confirmed.
	inFlight = 256
	// connectLimit is how long the connection for publishing may take. The one for reading stands already.
	connectLimit = 30 * time.Second
	// finishLimit is how long what is in flight is waited for, also when the work was told to stop.
	finishLimit = 15 * time.Second
)

// Job says what is to be done, and with which dead letters.
type Job struct {
	Do   Action
	From []Source

	Where *Filter // chooses dead letters; nil chooses all
	Order string  // chooses those of one order, and takes them in the order in which their events were made; "" does neither
	Max   int     // how many are touched at most, over all queues; 0 means all

	DryRun   bool    // find out the fates as far as they can be foreseen, and change nothing
	Force    bool    // also what no inbox can remember any more
	Rate     float64 // messages a second at most; 0 means as many as go
	Canary   Canary
	Inboxes  Inboxes           // tell what was handled already; nil: nobody can
	History  *History          // is told of each change; nil: nobody is
	Progress func(touched int) // is told how it goes; may be nil
	Tracer   trace.Tracer      // makes the spans of what is sent; nil: there are none

	// See is shown each letter that is about to be touched, or would be, what would be sent instead, and what becomes of it if all goes well;
	// may be nil.
	See func(dlq string, l Letter, instead broker.Message, o Outcome)

	plan *openPlan // chooses those that it names; nil chooses all
}

// Source is a dead-letter queue, and how many of its messages may be taken, from the front; 0 means all that are there when its
// turn comes.
type Source struct {
	Queue string
	Take  int
	Touch int // how many of those taken may be touched, where Take is not 0
	// Foreign tells that package flow has not made the queue: it may have a delivery limit; or it may have none, and put at its end what comes
	// back, so everything is taken before anything is given back.
	Foreign bool
	// Lives is the queue's delivery limit, less than 0 where it has none, 0 where nothing is known; then it is taken for RabbitMQ 4's own, where
	// the queue is Foreign. A message that comes near it is ErrWorn; a queue that is Foreign and has consumers is ErrLive. Force does not mind.
	Lives int
	Force bool
	Wait  time.Duration // for another command that is at work on it; 0: 10 s
}

// sorted is sources in an order in which everybody claims them.
func sorted(from []Source) []Source {
	return slices.SortedFunc(slices.Values(from), func(a, b Source) int { return cmp.Compare(a.Queue, b.Queue) })
}

// Action is what is done with a dead letter: it is sent somewhere, or kept in a file, or both; and then it leaves its queue.
type Action struct {
	Name string
	Done Fate                                                // of what it was done with
	Send func(l *Letter, run string) (broker.Message, error) // makes what is sent instead; nil: nothing is. An error leaves the letter where it is
	Keep *Store                                              // takes the letter as it was, safely, before anything is sent; nil: nothing does
}

// Do does a job. It takes one queue after the other, in their order. When ctx ends it stops taking, and finishes what is in flight. The Run is
// what was done so far, also beside an error; whatever the error is, the way to go on is to do the same again.
func Do(ctx context.Context, b *broker.Broker, j Job) (run Run, err error) {
	w := &task{Job: j, broker: b, id: uuid.NewString(), exists: map[string]bool{}}
	defer func() {
		for _, tally := range w.tallies {
			run.Tallies = append(run.Tallies, *tally)
		}
		run.Canary, err = w.canaries(), cmp.Or(err, w.close())
	}()
	if !j.DryRun {
		run.ID = w.id
		if err := w.connect(ctx); err != nil {
			return run, err
		}
	}
	if j.Order != "" { // all claims are held to the end
		j.From = sorted(j.From)
	}
	for _, source := range j.From {
		if w.full() {
			break
		}
		if err := w.queue(ctx, source); err != nil {
			return run, fmt.Errorf("%s %s: %w", j.Do.Name, source.Queue, err)
		}
	}
	if err := w.finish(ctx); err != nil {
		return run, err
	}
	return run, w.lastCanaries(ctx)
}

// task is a Job under way. One goroutine owns it.
type task struct {
	Job
	broker    *broker.Broker
	publisher *broker.Publisher // nil in a dry run, and where nothing is sent
	limiter   *rate.Limiter
	id        string
	exists    map[string]bool // the targets that were asked for
	chosen    int             // how many are touched, or would be, over all queues
	touched   int             // how many have left their queue
	batch     []*held         // of Order, which touches nothing before all are known
	readers   []*reader       // the same
	tallies   []*Tally        // of the queues so far
	watch     *watch          // of the canary; nil where there is none
}

// held is a dead letter that was taken and chosen.
type held struct {
	Letter
	delivery *broker.Delivery
	from     *reader
	tally    *Tally
	outcome  Outcome
	copy     broker.Message // what is sent instead
	eventID  uuid.UUID      // in it; zero where it is no event, and until the inboxes are asked
}

func (w *task) connect(ctx context.Context) error {
	w.limiter = rate.NewLimiter(rate.Inf, 0)
	if w.Rate > 0 {
		w.limiter = rate.NewLimiter(rate.Limit(w.Rate), w.step())
	}
	if w.Do.Send == nil {
		return nil
	}
	w.publisher = w.broker.NewPublisher()
	patient, stop := context.WithTimeout(ctx, connectLimit)
	defer stop()
	return cmp.Or(w.publisher.Await(patient), w.maySend(patient))
}

// maySend finds out whether this user may publish to queues, by a message to one that does not exist. Without the right the connection would
// be closed at the first letter, and leave open what became of it.
func (w *task) maySend(ctx context.Context) error {
	nowhere := broker.Message{RoutingKey: "orderflow." + w.id, Mandatory: true, ID: w.id}
	err := w.publisher.PublishAll(ctx, []broker.Message{nowhere})[0]
	switch {
	case errors.Is(err, broker.ErrUnroutable):
		return nil
	case w.publisher.Refused():
		return fmt.Errorf("nothing was touched, since nothing can be sent: the user needs the right to write to the default exchange, amq.default: %w", err)
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("nothing was touched, since RabbitMQ has not confirmed a message within %s; is it in a memory or disk alarm?", connectLimit)
	}
	return fmt.Errorf("nothing was touched, since nothing can be sent: %w", err)
}

// step is how many letters are touched together at most: few where few a second may be.
func (w *task) step() int {
	if w.Rate > 0 {
		return min(max(int(w.Rate/10), 1), inFlight)
	}
	return inFlight
}

// ahead is how many letters are taken ahead at most: no more than are touched within a minute.
func (w *task) ahead() int {
	if w.Rate > 0 && !w.DryRun {
		return min(max(int(w.Rate*60), 1), step)
	}
	return step
}

// room is how many letters are touched together now: no canary goes together with those that wait for it.
func (w *task) room() int {
	if left := w.Canary.Send - w.sentAhead(); left > 0 {
		return min(left, w.step())
	}
	return w.step()
}

func (w *task) full() bool { return w.Max > 0 && w.chosen >= w.Max }

// queue does the work with one queue. Where an order is wanted, it only finds out what there is.
func (w *task) queue(ctx context.Context, source Source) error {
	tally := &Tally{Queue: source.Queue, Counts: map[Outcome]int{}}
	w.tallies = append(w.tallies, tally)
	in, err := newReader(ctx, w.broker, source, w.ahead(), false)
	if err != nil {
		tally.Unread = true
		return err
	}
	err = w.take(ctx, source, in, tally)
	tally.Depth, tally.Unread = in.depth, !in.reached
	if in.taken == 0 && errors.Is(err, broker.ErrNoQueue) {
		in.close() // it is closed already
		tally.Absent, tally.Unread = true, false
		return nil
	}
	if w.Order != "" {
		w.readers = append(w.readers, in)
		return err
	}
	return cmp.Or(err, in.close()) // after a lost connection, closing tells nothing new
}

// take takes one letter after the other, and goes on with some at a time. It returns at the end of the queue or at the first error.
func (w *task) take(ctx context.Context, source Source, in *reader, tally *Tally) error {
	var some []*held
	sent, bytes := 0, 0
	for {
		if len(some) >= w.room() || bytes >= room || w.Max > 0 && w.chosen+len(some) >= w.Max {
			if err := w.proceed(ctx, some); err != nil {
				return err
			}
			some, bytes = nil, 0
		}
		if w.full() || source.Take > 0 && in.taken >= source.Take || w.plan != nil && w.plan.done(source.Queue) {
			break
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		delivery, err := in.next()
		if err != nil {
			return err
		}
		if delivery == nil {
			break
		}
		h := &held{Letter: Read(delivery.Message), delivery: delivery, from: in, tally: tally}
		if h.ReplayID == w.id { // it has died again already
			break
		}
		if err := w.foresee(ctx, h); err != nil {
			return err
		}
		if h.outcome.Fate != w.Do.Done {
			h.tally.Counts[h.outcome]++
			continue
		}
		if source.Take > 0 && sent == source.Touch { // the queue is not what it was
			break
		}
		sent++
		bytes += len(h.Body)
		some = append(some, h)
	}
	return w.proceed(ctx, some)
}

// foresee tells what will become of a letter, as far as it can be told without its inbox, and unless its target refuses it.
func (w *task) foresee(ctx context.Context, h *held) (err error) {
	if fate := w.chooses(h); fate != w.Do.Done {
		h.outcome = Outcome{Fate: fate}
		return nil
	}
	if w.Do.Send == nil {
		h.outcome = Outcome{Fate: w.Do.Done}
		return nil
	}
	h.outcome = Outcome{Fate: w.Do.Done, Target: h.Queue}
	if h.Queue == "" || h.Queue == h.tally.Queue {
		h.outcome.Fate = NoTarget
		return nil
	}
	there, err := w.there(ctx, h.Queue)
	if err != nil {
		return err
	}
	if !there {
		h.outcome.Fate = TargetGone
		return nil
	}
	if h.copy, err = w.Do.Send(&h.Letter, w.id); err != nil {
		h.unfit(err)
	}
	return nil
}

// unfit takes note of why a letter cannot be sent.
func (h *held) unfit(err error) {
	h.outcome.Fate = Unfit
	if h.tally.Unfit == nil {
		h.tally.Unfit = fmt.Errorf("message %q: %w", h.ID, err)
	}
}

// chooses tells the fate of a letter that is not meant, and of one that is, what is to be done.
func (w *task) chooses(h *held) Fate {
	if w.Order != "" && h.CorrelationID != w.Order {
		return Unmatched
	}
	if w.plan != nil {
		return w.plan.take(h.tally.Queue, &h.Letter)
	}
	if w.Where == nil {
		return w.Do.Done
	}
	matches, doubt := w.Where.Match(h.Letter)
	if doubt != nil {
		h.tally.Doubts++
		h.tally.Doubt = cmp.Or(h.tally.Doubt, doubt)
	}
	if !matches {
		return Unmatched
	}
	return w.Do.Done
}

func (w *task) there(ctx context.Context, queue string) (bool, error) {
	there, known := w.exists[queue]
	if known {
		return there, nil
	}
	there, err := w.broker.Exists(ctx, queue)
	if err != nil {
		return false, fmt.Errorf("look for the target: %w", err)
	}
	w.exists[queue] = there
	return there, nil
}

// proceed asks the inboxes what they know of letters, and touches those that may be, at once or, where an order is wanted, at the end.
func (w *task) proceed(ctx context.Context, some []*held) error {
	if err := w.ask(ctx, some); err != nil {
		return err
	}
	var fit []*held
	for _, h := range some {
		if h.outcome.Verdict == Forgotten && !w.Force {
			h.outcome.Fate = Held
		}
		if h.outcome.Fate != w.Do.Done || w.DryRun {
			h.tally.Counts[h.outcome]++
		}
		if h.outcome.Fate == w.Do.Done {
			fit = append(fit, h)
			if w.See != nil {
				w.See(h.tally.Queue, h.Letter, h.copy, h.outcome)
			}
		}
	}
	w.chosen += len(fit)
	switch {
	case w.DryRun || len(fit) == 0:
		return nil
	case w.Order != "":
		w.batch = append(w.batch, fit...)
		return nil
	}
	return w.touch(ctx, fit)
}

// finish touches what was gathered of an order.
func (w *task) finish(ctx context.Context) error {
	slices.SortStableFunc(w.batch, func(a, b *held) int { return cmp.Compare(a.ID, b.ID) }) // UUIDv7: by the time they were made
	for len(w.batch) > 0 {
		n := min(len(w.batch), w.room())
		if err := w.touch(ctx, w.batch[:n]); err != nil {
			return fmt.Errorf("%s order %s: %w", w.Do.Name, w.Order, err)
		}
		w.batch = w.batch[n:]
	}
	return nil
}

func (w *task) close() (err error) {
	for _, r := range w.readers {
		err = cmp.Or(err, r.close())
	}
	if w.watch != nil {
		w.watch.close()
	}
	return err
}
