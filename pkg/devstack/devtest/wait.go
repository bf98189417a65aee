package devtest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"
)

// How long is waited before it is asked again: little at first, then more.
const (
	firstPause  = 5 * time.Millisecond
	pauseOfOne  = 20 * time.Millisecond
	pauseOfMany = 200 * time.Millisecond // of clients that ask a server at the same time
)

// Until asks again and again until the answer is nil. When ctx has ended it returns the last answer. It may be called by many goroutines.
func Until(ctx context.Context, ask func() error) error { return until(ctx, pauseOfMany, ask) }

func until(ctx context.Context, longest time.Duration, ask func() error) error {
	began := time.Now()
	for pause := firstPause; ; pause = min(2*pause, longest) {
		err := ask()
		if err == nil {
			return nil
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("after %.1fs: %w", time.Since(began).Seconds(), err)
		}
	}
}

var errNotYet = errors.New("it is still not so")

// Eventually fails the test if what is told is not so within limit.
func Eventually(t testing.TB, limit time.Duration, what string, is func() bool) {
	t.Helper()
	ctx, stop := context.WithTimeout(context.WithoutCancel(t.Context()), limit) // a test's cleanup waits, too
	defer stop()
	if err := until(ctx, pauseOfOne, func() error {
		if is() {
			return nil
		}
		return errNotYet
	}); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// Receive returns what comes out of c, and fails the test if that takes more than limit.
func Receive[T any](t testing.TB, limit time.Duration, what string, c <-chan T) T {
	t.Helper()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case v := <-c:
		return v
	case <-timer.C:
		t.Fatalf("after %s still waiting for: %s", limit, what)
		panic("unreachable")
	}
}
