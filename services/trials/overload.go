package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	overloadTimes   = 3                // what it can end
	overloadClients = 1000             // so that none is missing when an answer takes a while
	afterOverload   = 10 * time.Second // all is as before
)

// overload places three times as many orders as can end, and looks whether that leaves anything behind.
func overload(ctx context.Context, f *field) (r *result, err error) {
	r = &result{Figures: map[string]float64{}}
	database, err := f.database(ctx, "trials_overload")
	if err != nil {
		return nil, err
	}
	s, err := f.serve(ctx, database, []string{fmt.Sprintf("MAX_OPEN_ORDERS=%d", f.orders)})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Stop()) }()
	before, err := s.gently(ctx, "50/s before")
	if err != nil {
		return nil, err
	}
	best := 0.0
	for n := range f.rounds {
		burst, err := s.burst(ctx, fmt.Sprintf("burst %d", n+1), f.orders)
		if err != nil {
			return nil, err
		}
		best = max(best, burst.EndedPerS)
	}
	rate := overloadTimes * best
	over, err := s.bench(ctx, fmt.Sprintf("overload, %.0f/s", rate), "--rate", fmt.Sprintf("%.0f", rate), "--duration", 3*f.duration, "--clients", overloadClients)
	if err != nil {
		return nil, err
	}
	sleep(ctx, nil, afterOverload)
	after, err := s.gently(ctx, "50/s after")
	if err != nil {
		return nil, err
	}
	others := over.Errors // neither accepted nor told to come back later
	for status, n := range over.Refused {
		if status != "503" {
			others += n
		}
	}
	asked := rate * (3 * f.duration).Seconds()
	r.least("orders refused, to all that were asked for", 0.1, float64(over.Refused["503"])/asked)
	r.least("ended/s in the overload, to the best burst", 0.9, over.EndedPerS/best)
	r.most("answers that are neither 201 nor 503", 0, float64(others))
	if over.RefusedMs != nil {
		r.most("p50 of the refusals, ms", 50, over.RefusedMs.P50)
		r.most("p99 of the refusals, ms", 1000, over.RefusedMs.P99)
	}
	r.most("memory of serve, MiB", 256, over.Memory["orderflow"])
	r.most("p99 at 50/s 10 s after, to before", 1.5, after.Latency.P99/before.Latency.P99)
	r.most("orders that no client was free for, to all", 0.01, float64(over.NotSent)/asked)
	return r, nil
}
