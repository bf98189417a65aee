package flow

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A call that waits for its turn is not made, and does not hang, when its time is over.
func TestWaitingForATurnEnds(t *testing.T) {
	t.Parallel()
	g := newGuard(time.Minute, 1)
	under, release := make(chan struct{}), make(chan struct{})
	first := make(chan error, 1)
	go func() {
		_, err := guarded(t.Context(), g, func(context.Context) (int, error) { close(under); <-release; return 0, nil })
		first <- err
	}()
	<-under
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if _, err := guarded(ctx, g, func(context.Context) (int, error) { t.Error("called"); return 0, nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
	close(release)
	if err := <-first; err != nil {
		t.Error(err)
	}
	if n, err := guarded(t.Context(), g, func(context.Context) (int, error) { return 7, nil }); n != 7 || err != nil {
		t.Errorf("%d %v after the turn is free, want 7", n, err)
	}
}

// A system that takes one call at a time is found to be away by the calls that there can be, and holds back few events.
func TestFewCallsOpenTheBreaker(t *testing.T) {
	t.Parallel()
	for _, timeout := range []time.Duration{time.Millisecond, 5 * time.Second, time.Minute} {
		for atOnce := range 4 {
			synctest.Test(t, func(t *testing.T) {
				g := newGuard(timeout, atOnce+1)
				var group sync.WaitGroup
				var made atomic.Int32
				for range atOnce + 1 {
					group.Go(func() {
						for range 2 * fewCalls {
							guarded(t.Context(), g, func(ctx context.Context) (int, error) { made.Add(1); <-ctx.Done(); return 0, ctx.Err() })
						}
					})
				}
				group.Wait()
				if _, err := guarded(t.Context(), g, func(context.Context) (int, error) { return 0, nil }); Classify(err) != World {
					t.Errorf("%d at a time, each of which hangs for %s: after %d the system does not count as away: %v", atOnce+1, timeout, made.Load(), err)
				}
			})
		}
	}
	g := newGuard(time.Second, 1)
	for n, fails := range []bool{false, true, true, false, true, true, false} { // an event that fails, and fails again, and others
		_, err := guarded(t.Context(), g, func(context.Context) (int, error) {
			if fails {
				return 0, errors.New("this one it cannot do")
			}
			return 0, nil
		})
		if (err != nil) != fails || fails && Classify(err) == World {
			t.Errorf("call %d: %v", n, err)
		}
	}
	if n := CallOut(Calls[int]{Guard: g}).holds(); n != perSlot {
		t.Errorf("%d events are held for one call, want %d", n, perSlot)
	}
}
