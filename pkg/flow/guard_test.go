package flow

import (
	"context"
	"errors"
	"testing"
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
	g := newGuard(time.Millisecond, 1)
	hang := func(ctx context.Context) (int, error) { <-ctx.Done(); return 0, ctx.Err() }
	for range 2 {
		if _, err := guarded(t.Context(), g, hang); err == nil || Classify(err) == World {
			t.Errorf("a call that hangs: %v", err)
		}
	}
	if _, err := guarded(t.Context(), g, hang); Classify(err) != World {
		t.Errorf("a call of a system that is away: %v", err)
	}
	if n := CallOut(Calls[int]{Guard: g}).holds(); n != perSlot {
		t.Errorf("%d events are held for one call, want %d", n, perSlot)
	}
}
