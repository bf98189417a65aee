package dlq

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"orderflow/pkg/broker"
)

const (
	// inFlight is how many messages may be sent and not yet confirmed.
	inFlight = 256
	// connectLimit is how long the connection for publishing may take. The one for reading stands already.
	connectLimit = 30 * time.Second
	// finishLimit is how long what is in flight is waited for when a replay ends.
	finishLimit = 15 * time.Second
)

// Fate is what became of a dead letter, or would become of it.
type Fate string

const (
	Replayed   Fate = "replayed"    // it is in its target queue
	NoTarget   Fate = "no_target"   // nothing tells where it died, or it died where it is
	TargetGone Fate = "target_gone" // there is no such queue any more
	Refused    Fate = "refused"     // by the target queue, mostly because that is full
	Unknown    Fate = "unknown"     // the connection was lost before the confirm: it may be in its target queue, too
	Unmatched  Fate = "unmatched"   // the filter does not choose it
)

// Outcome is a fate and the queue that a dead letter was meant for. All but those with the fate Replayed stay where they are.
type Outcome struct {
	Fate   Fate
	Target string // "" where nothing tells it
}

// Tally is what became of the dead letters of one queue. Those that Counts does not have were not touched.
type Tally struct {
	Queue  string // the dead-letter queue
	Absent bool   // it does not exist
	Depth  int    // when the replay began
	Counts map[Outcome]int
	Doubt  error // why the filter could not be applied to the first message that it could not be applied to; it does not match
}

// Total is how many dead letters were looked at.
func (t Tally) Total() (n int) {
	for _, messages := range t.Counts {
		n += messages
	}
	return n
}

// count is how many met a fate.
func (t Tally) count(fate Fate) (n int) {
	for outcome, messages := range t.Counts {
		if outcome.Fate == fate {
			n += messages
		}
	}
	return n
}

// Options say what Replay does.
type Options struct {
	From   []Source
	Where  *Filter // chooses what is replayed; nil chooses everything
	DryRun bool    // find out the fates as far as they can be foreseen, and change nothing
	Max    int     // how many messages are replayed at most, over all queues; 0 means all
}

// Source is a dead-letter queue, and how many of its messages may be taken, from the front; 0 means all that are there when its
// turn comes.
type Source struct {
	Queue string
	Take  int
	Send  int // how many of those taken may be replayed, where Take is not 0
}

// Planned returns the sources of a replay that does no more than a dry run has counted, of each queue, also where the queues
// have changed since.
func (r Run) Planned() (from []Source) {
	for _, tally := range r.Tallies {
		if n := tally.Total(); n > 0 {
			from = append(from, Source{Queue: tally.Queue, Take: n, Send: tally.count(Replayed)})
		}
	}
	return from
}

// Run is a replay that has ended.
type Run struct {
	ID      string // stands in the header orderflow-replay-id of what it sent; "" for a dry run
	Tallies []Tally
}

// Count is how many dead letters met a fate.
func (r Run) Count(fate Fate) (n int) {
	for _, tally := range r.Tallies {
		n += tally.count(fate)
	}
	return n
}

// Total is how many dead letters were looked at.
func (r Run) Total() (n int) {
	for _, tally := range r.Tallies {
		n += tally.Total()
	}
	return n
}

// Replay sends dead letters back to the queues that they died in. It takes one queue after the other, in their order. When ctx
// ends it stops taking, and finishes what is in flight. The Run is what was done so far, also beside an error; whatever the
// error is, the way to go on is another replay.
func Replay(ctx context.Context, b *broker.Broker, o Options) (Run, error) {
	r := &replay{broker: b, options: o, id: uuid.NewString(), exists: map[string]bool{}}
	var run Run
	if !o.DryRun {
		run.ID = r.id
		r.publisher = b.NewPublisher()
		patient, stop := context.WithTimeout(ctx, connectLimit)
		defer stop()
		if err := r.publisher.Await(patient); err != nil {
			return run, err
		}
	}
	for _, source := range o.From {
		if r.enough() {
			break
		}
		tally, err := r.queue(ctx, source)
		run.Tallies = append(run.Tallies, tally)
		if err != nil {
			return run, fmt.Errorf("replay %s: %w", source.Queue, err)
		}
	}
	return run, nil
}

// replay is a Replay under way.
type replay struct {
	broker    *broker.Broker
	publisher *broker.Publisher // nil in a dry run
	options   Options
	id        string
	exists    map[string]bool // the targets that were asked for
	replayed  int             // or chosen to be, over all queues
}

func (r *replay) queue(ctx context.Context, source Source) (Tally, error) {
	tally := Tally{Queue: source.Queue, Counts: map[Outcome]int{}}
	in, err := newReader(ctx, r.broker, source.Queue, source.Take)
	if err != nil {
		return tally, err
	}
	d := &drain{replay: r, source: source, in: in, tally: &tally, answers: make(chan answer, inFlight)}
	err = d.take(ctx)
	err = cmp.Or(d.finish(), err)
	err = cmp.Or(err, in.close()) // after a lost connection, closing tells nothing new
	tally.Depth = in.depth
	if in.taken == 0 && errors.Is(err, broker.ErrNoQueue) {
		tally.Absent, err = true, nil
	}
	return tally, err
}

func (r *replay) enough() bool { return r.options.Max > 0 && r.replayed >= r.options.Max }

// foresee tells what will become of a dead letter that lies in queue, unless its target refuses it.
func (r *replay) foresee(ctx context.Context, l *Letter, queue string) (Outcome, error) {
	if l.Queue == "" || l.Queue == queue {
		return Outcome{NoTarget, l.Queue}, nil
	}
	there, known := r.exists[l.Queue]
	if !known {
		_, err := r.broker.Depth(ctx, l.Queue)
		if err != nil && !errors.Is(err, broker.ErrNoQueue) {
			return Outcome{}, fmt.Errorf("look for the target: %w", err)
		}
		there = err == nil
		r.exists[l.Queue] = there
	}
	if !there {
		return Outcome{TargetGone, l.Queue}, nil
	}
	return Outcome{Replayed, l.Queue}, nil
}

// drain is the replay of one queue. One goroutine owns it; only answers is filled by the publisher's.
type drain struct {
	*replay
	source  Source
	in      *reader
	tally   *Tally
	answers chan answer // has room for everything that is in flight
	flying  int
	sent    int // or would have been, in a dry run
}

// answer is what the broker said to one message.
type answer struct {
	delivery *broker.Delivery
	target   string
	err      error
}

// take sends one message after the other and settles what is confirmed meanwhile. It returns at the end of the queue or at the
// first error; messages may be in flight then.
func (d *drain) take(ctx context.Context) error {
	for !d.enough() && (d.source.Take <= 0 || d.in.taken < d.source.Take) {
		if err := d.makeRoom(ctx); err != nil {
			return err
		}
		delivery, err := d.in.next()
		if delivery == nil || err != nil {
			return err
		}
		letter := Read(delivery.Message)
		if letter.ReplayID == d.id { // it has died again already
			return nil
		}
		if !d.chosen(letter) {
			d.tally.Counts[Outcome{Fate: Unmatched}]++
			continue
		}
		outcome, err := d.foresee(ctx, &letter, d.source.Queue)
		if err != nil {
			return err
		}
		if outcome.Fate == Replayed && d.source.Take > 0 && d.sent == d.source.Send { // the queue is not what it was
			return nil
		}
		if err := d.send(ctx, delivery, &letter, outcome); err != nil {
			return err
		}
	}
	return nil
}

// chosen applies the filter.
func (d *drain) chosen(l Letter) bool {
	if d.options.Where == nil {
		return true
	}
	matches, doubt := d.options.Where.Match(l)
	d.tally.Doubt = cmp.Or(d.tally.Doubt, doubt)
	return matches
}

// send replays a message if that is its outcome. What stays is held until the queue is done, so that it is not met twice.
func (d *drain) send(ctx context.Context, delivery *broker.Delivery, l *Letter, outcome Outcome) error {
	if outcome.Fate == Replayed {
		d.replayed++
		d.sent++
	}
	if outcome.Fate != Replayed || d.options.DryRun {
		d.tally.Counts[outcome]++
		return nil
	}
	err := d.publisher.Publish(ctx, []broker.Message{l.again(d.id)}, func(_ int, err error) {
		d.answers <- answer{delivery, outcome.Target, err}
	})
	if err == nil {
		d.flying++
	}
	return err
}

// makeRoom settles what has been answered, and waits for answers while too much is in flight.
func (d *drain) makeRoom(ctx context.Context) error {
	if d.flying == inFlight {
		select {
		case a := <-d.answers:
			return d.settle(a)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	select {
	case a := <-d.answers:
		return d.settle(a)
	default:
		return ctx.Err()
	}
}

// finish waits for everything in flight, also when the replay was told to stop.
func (d *drain) finish() (err error) {
	timeout := time.NewTimer(finishLimit)
	defer timeout.Stop()
	for d.flying > 0 {
		select {
		case a := <-d.answers:
			err = cmp.Or(err, d.settle(a)) // of a lost connection each message in flight tells the same
		case <-timeout.C:
			d.tally.Counts[Outcome{Fate: Unknown}] += d.flying
			return fmt.Errorf("RabbitMQ has not confirmed %d messages within %s", d.flying, finishLimit)
		}
	}
	return err
}

// settle takes an answer, and with it all others that are there, and acknowledges what was confirmed.
func (d *drain) settle(a answer) error {
	var confirmed []*broker.Delivery
	var lost error
	for more := true; more; {
		d.flying--
		outcome := Outcome{fateOf(a.err), a.target}
		d.tally.Counts[outcome]++
		switch outcome.Fate {
		case Replayed:
			confirmed = append(confirmed, a.delivery)
		case Unknown:
			lost = a.err
		}
		select {
		case a = <-d.answers:
		default:
			more = false
		}
	}
	if err := broker.Ack(confirmed); err != nil {
		return fmt.Errorf("%d messages are in their target queue and stay in the dead-letter queue, too: %w", len(confirmed), err)
	}
	d.in.settle(confirmed)
	return lost
}

func fateOf(err error) Fate {
	switch {
	case err == nil:
		return Replayed
	case errors.Is(err, broker.ErrUnroutable):
		return TargetGone
	case errors.Is(err, broker.ErrNacked):
		return Refused
	}
	return Unknown
}
