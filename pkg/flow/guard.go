package flow

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/sony/gobreaker/v2"
	"go.opentelemetry.io/otel/trace"

	"orderflow/pkg/telemetry"
)

// The circuit breaker opens when at least half of the latest calls, and at least manyCalls of them, had no answer. Where fewer may be
// under way at a time, so many in a row are enough, but not less than fewCalls: one event that always fails is called for again soon. It
// lets some calls through after openFor, and closes when they are answered.
const (
	latest    = 10 * time.Second // or longer, where calls may take longer
	buckets   = 10
	manyCalls = 20
	fewCalls  = 3
	openFor   = 5 * time.Second
	probes    = 5
)

// Guard stands before an external system: it limits how many calls are under way and how long each may take, and stops calling for
// a while when the system does not answer any more.
type Guard struct {
	name    string
	timeout time.Duration
	slots   chan struct{} // one token for each call under way
	breaker *gobreaker.CircuitBreaker[any]
}

// NewGuard makes the guard of the system of that name, which takes as many calls at a time as atOnce, each as long as timeout.
func NewGuard(name string, timeout time.Duration, atOnce int, metrics *Metrics, log *slog.Logger) *Guard {
	metrics.breaker.WithLabelValues(name).Set(0)
	inARow := max(fewCalls, min(manyCalls, atOnce))
	// A call counts from its start, and one that hangs fails at its end: the first of them must not be forgotten when the last one fails.
	window := max(latest, time.Duration(inARow/atOnce+2)*timeout)
	return &Guard{name: name, timeout: timeout, slots: make(chan struct{}, atOnce), breaker: gobreaker.NewCircuitBreaker[any](gobreaker.Settings{
		Name: name, Interval: window, BucketPeriod: window / buckets, Timeout: openFor, MaxRequests: probes,
		ReadyToTrip: func(c gobreaker.Counts) bool {
			return c.ConsecutiveFailures >= uint32(inARow) || c.Requests >= manyCalls && 2*c.TotalFailures >= c.Requests
		},
		// A call that this process gave up itself says nothing of the other system.
		IsExcluded: func(err error) bool { return errors.Is(err, context.Canceled) },
		OnStateChange: func(_ string, from, to gobreaker.State) {
			metrics.breaker.WithLabelValues(name).Set(float64(to))
			log.Warn("circuit breaker", "dependency", name, "from", from.String(), "to", to.String())
		},
	})}
}

// guarded calls f. A call that fails or takes too long is a failure of the message that needed it, whatever the cause: one that
// always breaks its connection must not hold up the others. That the system is away for everybody is for the breaker to tell:
// while it is open no call is made, and the failure is the world's. The time for which a call waits for its turn does not count.
func guarded[T any](ctx context.Context, g *Guard, f func(context.Context) (T, error)) (result T, err error) {
	if g == nil {
		return f(ctx)
	}
	select {
	case g.slots <- struct{}{}:
		defer func() { <-g.slots }()
	case <-ctx.Done():
		return result, ctx.Err()
	}
	_, err = g.breaker.Execute(func() (_ any, err error) {
		limited, stop := context.WithTimeout(ctx, g.timeout)
		defer stop()
		limited, span := telemetry.Start(limited, "call "+g.name, trace.WithSpanKind(trace.SpanKindClient))
		defer func() { telemetry.End(span, err) }()
		result, err = f(limited)
		switch {
		case err == nil || ctx.Err() != nil:
			return nil, err
		case limited.Err() != nil:
			return nil, fmt.Errorf("%s did not answer within %s", g.name, g.timeout)
		}
		// Its text alone, which Classify knows nothing of.
		return nil, telemetry.Private(errors.New(g.name+": "+err.Error()), g.name+": "+telemetry.Redact(err))
	})
	if errors.Is(err, gobreaker.ErrOpenState) || errors.Is(err, gobreaker.ErrTooManyRequests) {
		err = Unavailable(fmt.Errorf("%s: %w", g.name, err))
	}
	return result, err
}
