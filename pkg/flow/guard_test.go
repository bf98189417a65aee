package flow

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// A call that waits for its turn is not made, and does not hang, when its time is over.
func TestWaitingForATurnEnds(t *testing.T) {
	t.Parallel()
	g := NewGuard("system", time.Minute, 1, NewMetrics(prometheus.NewRegistry()), slog.Default())
	under, release := make(chan struct{}), make(chan struct{})
	first := make(chan error, 1)
	go func() {
		_, err := Guarded(t.Context(), g, func(context.Context) (int, error) { close(under); <-release; return 0, nil })
		first <- err
	}()
	<-under
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if _, err := Guarded(ctx, g, func(context.Context) (int, error) { t.Error("called"); return 0, nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
	close(release)
	if err := <-first; err != nil {
		t.Error(err)
	}
	if n, err := Guarded(t.Context(), g, func(context.Context) (int, error) { return 7, nil }); n != 7 || err != nil {
		t.Errorf("%d %v after the turn is free, want 7", n, err)
	}
}
