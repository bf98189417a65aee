package dlq

import (
	"context"
	"errors"
	"maps"
	"reflect"
	"slices"
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
