package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// stopwatch takes the time of a number of orders, from the start of each to its end.
type stopwatch struct {
	mu    sync.Mutex
	half  map[string]time.Time // what is known of an order: its start, or its end, which may be told before the start
	took  []time.Duration
	last  time.Time // the last end
	want  int
	ended chan struct{} // closed when all have ended
}

func newStopwatch(orders int) *stopwatch {
	return &stopwatch{half: make(map[string]time.Time, orders), took: make([]time.Duration, 0, orders), want: orders, ended: make(chan struct{})}
}

func (s *stopwatch) start(id string, at time.Time) { s.note(id, at, false) }
func (s *stopwatch) end(id string, at time.Time)   { s.note(id, at, true) }

func (s *stopwatch) note(id string, at time.Time, end bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	other, known := s.half[id]
	if !known {
		s.half[id] = at
		return
	}
	delete(s.half, id)
	start := other
	if !end {
		start, at = at, other
	}
	s.took = append(s.took, at.Sub(start))
	if at.After(s.last) {
		s.last = at
	}
	if len(s.took) == s.want {
		close(s.ended)
	}
}

// wait returns when all orders have ended, with the moment of the last end.
func (s *stopwatch) wait(ctx context.Context) (time.Time, error) {
	select {
	case <-s.ended:
		return s.last, nil
	case <-ctx.Done():
		s.mu.Lock()
		defer s.mu.Unlock()
		return time.Time{}, fmt.Errorf("%d of %d orders have not ended: %w", s.want-len(s.took), s.want, context.Cause(ctx))
	}
}

// latency is a distribution in milliseconds.
type latency struct {
	P50 float64 `json:"p50"`
	P90 float64 `json:"p90"`
	P95 float64 `json:"p95"`
	P99 float64 `json:"p99"`
}

func (s *stopwatch) latency() latency {
	s.mu.Lock()
	defer s.mu.Unlock()
	slices.Sort(s.took)
	return latency{percentile(s.took, 50), percentile(s.took, 90), percentile(s.took, 95), percentile(s.took, 99)}
}

// percentile is the smallest of sorted times that p percent of them do not exceed, in milliseconds.
func percentile(sorted []time.Duration, p int) float64 {
	if len(sorted) == 0 {
		return 0
	}
	rank := (len(sorted)*p + 99) / 100
	return float64(sorted[max(rank, 1)-1].Microseconds()) / 1000
}
