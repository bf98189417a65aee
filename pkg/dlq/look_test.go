package dlq

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"orderflow/pkg/broker"
	"orderflow/pkg/flow"
)

// withoutCount is a letter without the broker's count of deliveries, which a look may raise.
func withoutCount(letters []Letter) []Letter {
	for i, l := range letters {
		headers := maps.Clone(l.Headers)
		delete(headers, "x-delivery-count")
		delete(headers, "x-acquired-count")
		letters[i].Headers = headers
	}
	return letters
}

// Looks at the same time wait for each other: each sees everything, in its order.
func TestLooksAtTheSameTime(t *testing.T) {
	b := newBench(t)
	ids := b.die(2000)
	var looks sync.WaitGroup
	for range 4 {
		other := open(t, b.env.AMQPURL)
		looks.Go(func() {
			for range 3 {
				var seen []string
				depth, err := Look(t.Context(), other, Source{Queue: dead}, func(l Letter) error {
					seen = append(seen, l.ID)
					return nil
				})
				if err != nil || depth != len(ids) || !slices.Equal(seen, ids) {
					t.Errorf("%d of %d seen, %v", len(seen), depth, err)
				}
			}
		})
	}
	looks.Wait()
}

func TestLookingChangesNothing(t *testing.T) {
	b := newBench(t)
	b.die(20)
	before := withoutCount(b.look(dead, 0))
	for i := range 100 {
		max := i % 25 // 0: all
		want := before
		if max > 0 {
			want = before[:min(max, len(before))]
		}
		if got := withoutCount(b.look(dead, max)); !reflect.DeepEqual(got, want) {
			t.Fatalf("look %d at %d messages:\n got %v\nwant %v", i, max, got, want)
		}
	}
	eventually(t, "the queue is told to have 20 messages", func() bool {
		depth, err := b.broker.Depth(t.Context(), dead)
		return err == nil && depth == 20
	})
}

// A queue of thousands keeps its order, too, wherever a look ends, and whatever comes meanwhile.
func TestLookingAtManyChangesNothing(t *testing.T) {
	b := newBench(t)
	want := b.die(3000)
	for look, max := range []int{0, 0, 1, 700, 2999, 1234, 0} {
		seen := 0
		_, err := Look(t.Context(), b.broker, Source{Queue: dead, Take: max}, func(Letter) error {
			if seen++; seen == 600 {
				late := deadLetter(fmt.Sprint("late ", look), work)
				want = append(want, late.ID)
				b.publish(late)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := b.ids(dead); !slices.Equal(got, want) {
			t.Fatalf("look %d at %d messages turned them around: %s", look, max, firstDifference(got, want))
		}
	}
}

func firstDifference(got, want []string) string {
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			return fmt.Sprintf("at %d: %q, want %q", i, got[i], want[i])
		}
	}
	return fmt.Sprintf("%d of them, want %d", len(got), len(want))
}

// What a replay leaves keeps its order, and so does what dies meanwhile.
func TestReplayOfManyKeepsTheOrder(t *testing.T) {
	b := newBench(t)
	var want []string
	for i := range 3000 {
		m := deadLetter(fmt.Sprint(i), work)
		if m.CorrelationID = "all"; i%3 == 0 {
			m.CorrelationID = "some"
		} else {
			want = append(want, m.ID)
		}
		b.publish(m)
	}
	b.look(dead, 0)
	run := b.replay(Job{Order: "some", Progress: func(int) {}})
	if got := b.ids(dead); run.Count(Replayed) != 1000 || !slices.Equal(got, want) {
		t.Errorf("%d replayed; %s", run.Count(Replayed), firstDifference(got, want))
	}
	b.empty(work)
	even, err := ParseFilter(`int(id) % 2 == 0`)
	if err != nil {
		t.Fatal(err)
	}
	late := 0
	run = b.replay(Job{Where: even, Progress: func(n int) {
		late++
		b.publish(deadLetter(fmt.Sprint("late ", late), work))
	}})
	want = slices.DeleteFunc(want, func(id string) bool { n, _ := strconv.Atoi(id); return n%2 == 0 })
	for i := range late {
		want = append(want, fmt.Sprint("late ", i+1))
	}
	if got := b.ids(dead); run.Count(Replayed) != 1000 || late < 2 || !slices.Equal(got, want) {
		t.Errorf("%d replayed, %d late; %s", run.Count(Replayed), late, firstDifference(got, want))
	}
}

func TestLookEndsAtAnError(t *testing.T) {
	b := newBench(t)
	b.die(3)
	wrong := errors.New("wrong")
	seen := 0
	depth, err := Look(t.Context(), b.broker, Source{Queue: dead}, func(Letter) error {
		seen++
		return wrong
	})
	if depth != 3 || seen != 1 || !errors.Is(err, wrong) {
		t.Errorf("depth %d, seen %d, error %v; want 3, 1, %v", depth, seen, err, wrong)
	}
	ctx, cancel := context.WithCancel(t.Context())
	_, err = Look(ctx, b.broker, Source{Queue: dead}, func(Letter) error {
		cancel()
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
	if got, want := b.ids(dead), []string{"0", "1", "2"}; !slices.Equal(got, want) {
		t.Errorf("left %v, want %v", got, want)
	}
}

func TestSummarize(t *testing.T) {
	b := newBench(t)
	if _, err := Summarize(t.Context(), b.broker, Source{Queue: "t.none.dlq", Take: 0}); !errors.Is(err, broker.ErrNoQueue) {
		t.Errorf("error %v for a queue that does not exist, want %v", err, broker.ErrNoQueue)
	}
	if s, err := Summarize(t.Context(), b.broker, Source{Queue: dead, Take: 0}); err != nil || s.Depth != 0 || s.Seen != 0 || len(s.Reasons) != 0 {
		t.Errorf("an empty queue: %+v, %v", s, err)
	}
	late, early, silent := deadLetter("late", work), deadLetter("early", work), deadLetter("silent", work)
	late.Headers[flow.HeaderReason] = flow.ReasonRejected
	early.Headers[flow.HeaderDeadAt] = "2026-01-01T00:00:00Z"
	silent.Headers = nil
	b.publish(late, early, silent, deadLetter("unseen", work))
	got, err := Summarize(t.Context(), b.broker, Source{Queue: dead, Take: 3})
	want := Summary{
		Depth: 4, Seen: 3, Reasons: map[string]int{flow.ReasonRejected: 1, flow.ReasonExhausted: 1, "": 1},
		Errors: map[string]int{"no luck": 2},
		Oldest: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), Newest: time.Date(2026, 1, 2, 3, 10, 0, 0, time.UTC),
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v\nwant %+v", got, err, want)
	}
}
