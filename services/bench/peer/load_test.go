package main

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestBurstMeasuresPlacingAndEnding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const orders, placers, placing, shipping = 10, 2, 100 * time.Millisecond, 3 * time.Second
		var l load
		l.place = func(ctx context.Context, o order) (string, error) {
			id := newID()
			time.AfterFunc(placing+shipping, func() { l.shipped(id, time.Now()) })
			return id, sleep(ctx, placing)
		}
		accepted, ended, err := l.burst(t.Context(), orders, placers)
		if want := orders / placers * placing; err != nil || accepted != want || ended != want+shipping {
			t.Errorf("accepted after %s, ended after %s, %v", accepted, ended, err)
		}
	})
}

// An order that could not be placed when it was due has waited since then.
func TestSteadyCountsFromTheIntendedStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l load
		var turn atomic.Int32
		stall := make(chan struct{})
		time.AfterFunc(time.Second, func() { close(stall) })
		l.place = func(context.Context, order) (string, error) {
			turn.Add(1)
			<-stall
			id := newID()
			l.shipped(id, time.Now())
			return id, nil
		}
		took, err := l.steady(t.Context(), 10, time.Second)
		if err != nil || turn.Load() != 10 || took.P50 != 500 || took.P99 != 1000 {
			t.Errorf("%d orders, %+v, %v", turn.Load(), took, err)
		}
	})
}

func TestLoadFails(t *testing.T) {
	broken := errors.New("broken")
	l := load{place: func(context.Context, order) (string, error) { return "", broken }}
	if _, _, err := l.burst(t.Context(), 5, 2); !errors.Is(err, broken) {
		t.Error("burst:", err)
	}
	if _, err := l.steady(t.Context(), 1000, 5*time.Millisecond); !errors.Is(err, broken) {
		t.Error("steady:", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(broken)
	l.place = func(context.Context, order) (string, error) { return newID(), nil } // and none of them ends
	if _, _, err := l.burst(ctx, 5, 2); !errors.Is(err, broken) {
		t.Error("burst that does not end:", err)
	}
}

func TestStopwatchTakesEndBeforeStart(t *testing.T) {
	s, id, now := newStopwatch(1), newID(), time.Now()
	s.end(id, now.Add(5*time.Millisecond))
	s.start(id, now)
	last, err := s.wait(t.Context())
	if l := s.latency(); err != nil || !last.Equal(now.Add(5*time.Millisecond)) || l.P50 != 5 {
		t.Errorf("%s, %+v, %v", last, l, err)
	}
}

func TestPercentile(t *testing.T) {
	times := make([]time.Duration, 200)
	for i := range times {
		times[i] = time.Duration(i+1) * time.Millisecond
	}
	for p, want := range map[int]float64{1: 2, 50: 100, 95: 190, 99: 198, 100: 200} {
		if got := percentile(times, p); got != want {
			t.Errorf("%d%%: %v, want %v", p, got, want)
		}
	}
	if got := percentile(times[:1], 50); got != 1 {
		t.Errorf("of one: %v", got)
	}
}

func TestOrders(t *testing.T) {
	for range 100 {
		o := newOrder()
		seen := map[string]bool{}
		for _, i := range o.Items {
			seen[i.ProductID] = true
		}
		if len(seen) != itemsEach || o.total() < itemsEach*100 {
			t.Fatalf("%+v", o)
		}
	}
}
