package dlq

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"

	"orderflow/pkg/broker"
	"orderflow/pkg/flow"
)

// Canary says how many letters go ahead of the others, and when the others follow.
type Canary struct {
	Send        int           // 0: none does
	MaxFailures int           // so many of them may die again, and the others still follow
	Patience    time.Duration // for how long it is waited until it is known what became of each; retries take their time
	Tell        func(Canaries)
}

// Canaries are those that went ahead.
type Canaries struct {
	Sent    int `json:"sent"`
	Handled int `json:"handled"`
	Died    int `json:"died_again"`
	Waiting int `json:"waiting"` // nothing is known of them
}

// CanaryError is why the others did not follow.
type CanaryError struct {
	Canaries
	Patience time.Duration // 0 where too many have died before it was over
}

// Error says what became of the canaries.
func (e *CanaryError) Error() string {
	if e.Patience > 0 {
		return fmt.Sprintf("sent ahead: %d, of which %d were handled, %d died again, and of %d nothing is known after %s; the others stay",
			e.Sent, e.Handled, e.Died, e.Waiting, e.Patience)
	}
	return fmt.Sprintf("sent ahead: %d, of which %d died again; the others stay", e.Sent, e.Died)
}

// canaryPoll is how often the inboxes are asked what became of canaries.
const canaryPoll = 100 * time.Millisecond

// watch waits for what becomes of canaries: an inbox knows those that were handled, the dead-letter exchange hands out those that die again.
type watch struct {
	run    string
	ctx    context.Context // of the taps
	stop   context.CancelFunc
	tapped map[string]bool // targets
	taps   sync.WaitGroup
	dead   chan broker.Message // what dies anew
	lost   chan error          // a tap
	sent   map[canary]bool
	open   map[canary]uuid.UUID // those that nothing is known of, and the ids of their events
	seen   Canaries
}

func newWatch(run string) *watch {
	w := &watch{run: run, tapped: map[string]bool{}, dead: make(chan broker.Message, 64), lost: make(chan error, 1), sent: map[canary]bool{},
		open: map[canary]uuid.UUID{}}
	w.ctx, w.stop = context.WithCancel(context.Background())
	return w
}

// tap hears what dies of a queue.
func (c *watch) tap(ctx context.Context, b *broker.Broker, queue string) error {
	tap, err := b.Tap(ctx, broker.DeadLetterExchange(queue), "#", queue) // by any key, and by that of what died there where the exchange takes no #
	if err != nil {
		return fmt.Errorf("whether canaries die again is seen at the exchange that dead letters of %s go through: %w", queue, err)
	}
	c.tapped[queue] = true
	c.taps.Go(func() {
		if err := tap.Hear(c.ctx, c.hear); err != nil {
			select {
			case c.lost <- err:
			default: // one is enough
			}
		}
	})
	return nil
}

// hear passes on what this run has sent. What else dies meanwhile is no canary.
func (c *watch) hear(m *broker.Message) {
	if m.Headers[flow.HeaderReplayID] != c.run {
		return
	}
	select {
	case c.dead <- *m:
	case <-c.ctx.Done():
	}
}

// canary is one that went ahead, by what its death and its inbox know it by.
type canary struct {
	id    string // of the message
	queue string
}

// sentAhead is how many canaries have been sent.
func (w *task) sentAhead() int {
	if w.watch == nil {
		return 0
	}
	return w.watch.seen.Sent
}

// beforeCanary sees to it that nothing that becomes of canaries is missed.
func (w *task) beforeCanary(ctx context.Context, some []*held) error {
	if w.sentAhead() >= w.Canary.Send {
		return nil
	}
	if w.watch == nil {
		w.watch = newWatch(w.id)
	}
	for _, h := range some {
		if h.ID == "" {
			return errors.New("a message without an id cannot go ahead: nobody could tell what becomes of it")
		}
		if target := h.outcome.Target; !w.watch.tapped[target] {
			if err := w.watch.tap(ctx, w.broker, target); err != nil {
				return err
			}
		}
	}
	return nil
}

// afterCanary waits, when the last canary is sent, and tells whether the others may follow. What the inbox has handled before is none: it
// has no effect; and neither is the same event once more: it shares its fate.
func (w *task) afterCanary(ctx context.Context, done []*held) error {
	if w.watch == nil || w.watch.seen.Sent >= w.Canary.Send {
		return nil
	}
	for _, h := range done {
		one := canary{h.copy.ID, h.outcome.Target}
		if h.outcome.Verdict == Handled || w.watch.sent[one] {
			continue
		}
		w.watch.sent[one], w.watch.open[one] = true, h.eventID
		w.watch.seen.Sent++
	}
	if w.watch.seen.Sent < w.Canary.Send {
		return w.watch.early(w.Canary.MaxFailures)
	}
	return w.await(ctx)
}

// early takes note of those that have died already, and is an error where these are too many.
func (c *watch) early(most int) error {
	for {
		select {
		case m := <-c.dead:
			c.died(Read(m))
		default:
			if c.seen.Died > most {
				return &CanaryError{Canaries: c.seen}
			}
			return nil
		}
	}
}

// lastCanaries waits for those that were sent where there were no others to follow.
func (w *task) lastCanaries(ctx context.Context) error {
	if sent := w.sentAhead(); sent == 0 || sent >= w.Canary.Send {
		return nil
	}
	return w.await(ctx)
}

// await waits until it is known what became of the canaries.
func (w *task) await(ctx context.Context) error {
	c := w.watch
	defer c.close()
	patience := time.NewTimer(w.Canary.Patience)
	defer patience.Stop()
	poll := time.NewTicker(canaryPoll)
	defer poll.Stop()
	for {
		if err := w.askFor(ctx); err != nil {
			return err
		}
		c.seen.Waiting = len(c.open)
		if w.Canary.Tell != nil {
			w.Canary.Tell(c.seen)
		}
		switch {
		case c.seen.Died > w.Canary.MaxFailures:
			return &CanaryError{Canaries: c.seen}
		case len(c.open) == 0:
			return nil
		}
		select {
		case m := <-c.dead:
			c.died(Read(m))
		case err := <-c.lost:
			return fmt.Errorf("what becomes of the canaries is not known: %w", err)
		case <-poll.C:
		case <-patience.C:
			return w.outOfPatience()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// died takes note of a canary that has died again.
func (c *watch) died(l Letter) {
	one := canary{l.ID, l.Queue}
	if _, open := c.open[one]; open {
		delete(c.open, one)
		c.seen.Died++
	}
}

// askFor takes note of the canaries that were handled.
func (w *task) askFor(ctx context.Context) error {
	ids := map[string][]uuid.UUID{}
	for one, id := range w.watch.open {
		if id != uuid.Nil && w.Inboxes[one.queue] != nil {
			ids[one.queue] = append(ids[one.queue], id)
		}
	}
	for queue, some := range ids {
		handled, err := w.Inboxes[queue].Handled(ctx, queue, some)
		if err != nil {
			return err
		}
		for one, id := range w.watch.open {
			if one.queue == queue && handled[id] {
				delete(w.watch.open, one)
				w.watch.seen.Handled++
			}
		}
	}
	return nil
}

// outOfPatience decides about the canaries of which nothing is known. Where there is no inbox nobody could tell that they were handled: with
// Force, those that have not died are well.
func (w *task) outOfPatience() error {
	c := w.watch
	for one := range c.open {
		if w.Inboxes[one.queue] == nil && w.Force {
			delete(c.open, one)
		}
	}
	c.seen.Waiting = c.seen.Sent - c.seen.Handled - c.seen.Died
	if len(c.open) > 0 {
		return &CanaryError{Canaries: c.seen, Patience: w.Canary.Patience}
	}
	return nil
}

// close may be called more than once.
func (c *watch) close() {
	c.stop()
	c.taps.Wait()
}

// canaries is what became of those that were sent; nil where none was.
func (w *task) canaries() *Canaries {
	if w.watch == nil {
		return nil
	}
	return &w.watch.seen
}
