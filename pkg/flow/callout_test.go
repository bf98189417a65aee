package flow

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"orderflow/pkg/devstack/devtest"
	"orderflow/pkg/event"
	"orderflow/pkg/postgres"
)

// system is an external system: it remembers what it was asked, by key.
type system struct {
	mu     sync.Mutex
	asked  map[uuid.UUID]int
	answer func(ctx context.Context, e *event.Event, time int) (string, error)
	guard  *Guard       // nil: none
	under  atomic.Int32 // calls under way
	most   atomic.Int32
}

func newSystem(answer func(ctx context.Context, e *event.Event, time int) (string, error)) *system {
	return &system{asked: map[uuid.UUID]int{}, answer: answer}
}

func newGuard(timeout time.Duration, atOnce int) *Guard {
	return NewGuard("system", timeout, atOnce, NewMetrics(prometheus.NewRegistry()), slog.Default())
}

func (s *system) call(e *event.Event) Call[string] {
	return func(ctx context.Context) (string, error) {
		now := s.under.Add(1)
		defer s.under.Add(-1)
		for most := s.most.Load(); now > most && !s.most.CompareAndSwap(most, now); most = s.most.Load() {
		}
		s.mu.Lock()
		s.asked[e.ID]++
		n := s.asked[e.ID]
		s.mu.Unlock()
		return s.answer(ctx, e, n)
	}
}

func (s *system) times(e *event.Event) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[e.ID]
}

// calling is a handler that asks s for each event and then has an effect.
func (h *house) calling(s *system) Handler {
	return CallOut(Calls[string]{
		Guard: s.guard,
		Intend: func(_ context.Context, _ *postgres.Tx, batch []*event.Event) (func() []Call[string], error) {
			h.journal.note(h.journal.tried, batch)
			calls := make([]Call[string], len(batch))
			for i, e := range batch {
				if method(e) != "nothing to do" {
					calls[i] = s.call(e)
				}
			}
			return func() []Call[string] { return calls }, nil
		},
		Record: func(_ context.Context, tx *postgres.Tx, batch []Answered[string]) (follow, again []*event.Event, err error) {
			var ids []uuid.UUID
			var handled []*event.Event
			for _, a := range batch {
				if a.Called == (method(a.Event) == "nothing to do") {
					return nil, nil, fmt.Errorf("called: %t for %s", a.Called, method(a.Event))
				}
				if a.Outcome == "more" {
					again = append(again, a.Event)
					continue
				}
				ids, handled, follow = append(ids, a.ID), append(handled, a.Event), append(follow, voided(a.Event))
			}
			countEffects(tx, ids)
			tx.OnCommit(func() { h.journal.note(h.journal.handled, handled) })
			return follow, again, nil
		},
	})
}

func TestCallsHappenOnceEach(t *testing.T) {
	t.Parallel()
	h := newHouse(t, devtest.New(t))
	h.observe()
	sys := newSystem(func(context.Context, *event.Event, int) (string, error) { return "ok", nil })
	sys.guard = newGuard(time.Minute, 8)
	s := h.run(h.calling(sys), 2)
	events := append(placed(400, "ok"), placed(20, "nothing to do")...)
	h.feed(events...)
	h.journal.until(t, events)
	s.stop()
	h.wantOnce(events)
	h.wantFollowers(events, true)
	if most := sys.most.Load(); most > 8 {
		t.Errorf("%d calls at a time, more than 8", most)
	}
	for _, e := range events {
		want := 1
		if method(e) == "nothing to do" {
			want = 0
		}
		if n := sys.times(e); n != want {
			t.Errorf("%d calls for an event (%s), want %d", n, method(e), want)
		}
	}
}

// Calls that hang do not hold up the events beside and behind them.
func TestSlowCallsHoldUpNobody(t *testing.T) {
	t.Parallel()
	h := newHouse(t, devtest.New(t))
	release := make(chan struct{})
	sys := newSystem(func(ctx context.Context, e *event.Event, _ int) (string, error) {
		if method(e) == "slow" {
			select {
			case <-release:
			case <-ctx.Done():
				return "", ctx.Err()
			}
		}
		return "ok", nil
	})
	s := h.run(h.calling(sys), 1)
	slow, fast := placed(20, "slow"), placed(300, "ok")
	h.feed(append(slow[:10:10], fast[:100]...)...)
	h.feed(append(slow[10:20:20], fast[100:]...)...)
	h.journal.until(t, fast)
	for _, e := range slow {
		if h.journal.count(h.journal.handled, e.ID) > 0 {
			t.Fatal("a slow call was answered too early: the test shows nothing")
		}
	}
	close(release)
	h.journal.until(t, slow)
	s.stop()
	h.wantOnce(append(slow, fast...))
	if n := h.depth(queue); n != 0 {
		t.Errorf("%d messages are in the queue", n)
	}
}

// While the system is away nothing is lost, dead-lettered or counted as an attempt; when it is back everything goes on.
func TestUnavailableSystem(t *testing.T) {
	t.Parallel()
	h := newHouse(t, devtest.New(t))
	var away atomic.Bool
	away.Store(true)
	sys := newSystem(func(_ context.Context, e *event.Event, _ int) (string, error) {
		if away.Load() {
			return "", Unavailable(errors.New("breaker open"))
		}
		return "ok", nil
	})
	h.cfg.Batch, h.cfg.Prefetch = 50, 100
	s := h.run(h.calling(sys), 1)
	events := placed(300, "ok")
	h.feed(events...)
	h.eventually("an event was refused several times", func() bool { return sys.times(events[0]) > 3 })
	if n := h.depth(queue); n < 200 {
		t.Errorf("the queue holds %d messages while the system is away, want at least 200", n)
	}
	sys.mu.Lock()
	if n := len(sys.asked); n > 50 {
		t.Errorf("%d events were asked for while the system is away, want one batch at most", n)
	}
	sys.mu.Unlock()
	away.Store(false)
	h.journal.until(t, events)
	s.stop()
	h.wantOnce(events)
	if n := h.depth(dlq); n != 0 {
		t.Errorf("%d dead letters", n)
	}
}

// A slow call that then says that the system is away starts over, too.
func TestSlowRefusals(t *testing.T) {
	t.Parallel()
	h := newHouse(t, devtest.New(t))
	sys := newSystem(func(ctx context.Context, _ *event.Event, n int) (string, error) {
		if n <= 2 {
			sleep(ctx, 2*patience)
			return "", Unavailable(errors.New("timeout"))
		}
		return "ok", nil
	})
	s := h.run(h.calling(sys), 1)
	events := placed(40, "ok")
	h.feed(events...)
	h.journal.until(t, events)
	s.stop()
	h.wantOnce(events)
}

// An event's own failures of its call are tried again by the delay queues, and then it dies; the others are not concerned.
func TestFailedCalls(t *testing.T) {
	t.Parallel()
	h := newHouse(t, devtest.New(t))
	sys := newSystem(func(_ context.Context, e *event.Event, n int) (string, error) {
		switch {
		case method(e) == "poison", method(e) == "flaky" && n < 3:
			return "", errors.New("no answer")
		case method(e) == "panic":
			panic("what now?")
		case method(e) == "reject":
			return "", Reject("never")
		}
		return "ok", nil
	})
	s := h.run(h.calling(sys), 1)
	good, flaky := placed(50, "ok"), placed(3, "flaky")
	poison, panics, reject := placed(1, "poison"), placed(1, "panic"), placed(1, "reject")
	h.feed(append(append(append(append(good, flaky...), poison...), panics...), reject...)...)
	handled := append(good, flaky...)
	h.journal.until(t, handled)
	byID := map[string]string{}
	for _, d := range h.deadLetters(3) {
		byID[d.ID], _ = d.Headers[HeaderReason].(string)
	}
	s.stop()
	h.wantOnce(handled)
	for id, want := range map[string]string{
		poison[0].ID.String(): ReasonExhausted, panics[0].ID.String(): ReasonExhausted, reject[0].ID.String(): ReasonRejected,
	} {
		if byID[id] != want {
			t.Errorf("dead letter %s: reason %q, want %q", id, byID[id], want)
		}
	}
	if n := sys.times(poison[0]); n != 3 {
		t.Errorf("%d calls for the poison, want 3", n)
	}
}

// Events that have more to do start over with Intend, without a redelivery, and have their effect at the end.
func TestAgain(t *testing.T) {
	t.Parallel()
	h := newHouse(t, devtest.New(t))
	h.observe()
	sys := newSystem(func(ctx context.Context, e *event.Event, n int) (string, error) {
		if method(e) == "slow" {
			sleep(ctx, 2*patience)
		}
		if n < 4 {
			return "more", nil
		}
		return "ok", nil
	})
	s := h.run(h.calling(sys), 1)
	events := append(placed(100, "ok"), placed(10, "slow")...)
	h.feed(events...)
	h.journal.until(t, events)
	s.stop()
	h.wantOnce(events)
	h.wantFollowers(events, true)
	for _, e := range events {
		if n := sys.times(e); n != 4 {
			t.Errorf("%d calls, want 4", n)
		}
	}
}

// An event that was handled before is at its end, even where Record, before that was known, had more to do for it.
func TestAgainOfARepeatedEvent(t *testing.T) {
	t.Parallel()
	h := newHouse(t, devtest.New(t))
	h.observe()
	sys := newSystem(func(_ context.Context, _ *event.Event, n int) (string, error) {
		if n == 1 {
			return "ok", nil
		}
		return "more", nil
	})
	s := h.run(h.calling(sys), 1)
	first, last := placed(1, "ok"), placed(1, "ok")
	h.feed(first...)
	h.journal.until(t, first)
	h.feed(first...)
	h.feed(last...)
	h.journal.until(t, last)
	h.eventually("the queue is empty", func() bool { return h.depth(queue) == 0 })
	s.stop()
	h.wantOnce(append(first, last...))
	if n := sys.times(first[0]); n != 2 {
		t.Errorf("%d calls for an event that came twice, want 2", n)
	}
}

// The service is stopped by force between Intend and Record, as by a crash: the event comes again and the call is made again.
func TestStopBetweenIntendAndRecord(t *testing.T) {
	t.Parallel()
	h := newHouse(t, devtest.New(t))
	h.observe()
	h.cfg.DrainTimeout = 200 * time.Millisecond
	asked := make(chan struct{}, 100)
	hang := newSystem(func(ctx context.Context, _ *event.Event, _ int) (string, error) {
		asked <- struct{}{}
		<-ctx.Done()
		return "", ctx.Err()
	})
	first := h.run(h.calling(hang), 1)
	events := placed(20, "ok")
	h.feed(events...)
	for range events {
		receive(t, "a call", asked)
	}
	first.stop()
	if n := h.number("SELECT count(*) FROM effects"); n != 0 {
		t.Errorf("%d effects without an answer", n)
	}
	sys := newSystem(func(context.Context, *event.Event, int) (string, error) { return "ok", nil })
	s := h.run(h.calling(sys), 1)
	h.journal.until(t, events)
	s.stop()
	h.wantOnce(events)
	h.wantFollowers(events, true)
	if n := h.depth(dlq); n != 0 {
		t.Errorf("%d dead letters", n)
	}
}

// On stop, slow calls that are under way are waited for.
func TestStopWaitsForSlowCalls(t *testing.T) {
	t.Parallel()
	h := newHouse(t, devtest.New(t))
	release := make(chan struct{})
	asked := make(chan struct{}, 10)
	sys := newSystem(func(ctx context.Context, _ *event.Event, _ int) (string, error) {
		asked <- struct{}{}
		select {
		case <-release:
			return "ok", nil
		case <-ctx.Done():
			return "", ctx.Err()
		}
	})
	s := h.run(h.calling(sys), 1)
	events := placed(5, "ok")
	h.feed(events...)
	for range events {
		receive(t, "a call", asked)
	}
	stopped := make(chan struct{})
	go func() { s.stop(); close(stopped) }()
	close(release)
	receive(t, "the end of the service", stopped)
	h.wantOnce(events)
	if n := h.depth(queue); n != 0 {
		t.Errorf("%d messages came back to the queue", n)
	}
}
