package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"orderflow/pkg/event"
	"orderflow/services/stand"
)

const inboxDays = 14 // for which handled events are remembered, by default

// growth compares a database that holds many ended orders with one that holds none but those of the trial.
func growth(ctx context.Context, f *field) (*result, error) {
	r := &result{Figures: map[string]float64{}}
	var urls [2]string
	for i, name := range []string{"young", "old"} {
		var err error
		if urls[i], err = f.database(ctx, "trials_"+name); err != nil {
			return nil, err
		}
	}
	old, err := f.serve(ctx, urls[1], nil)
	if err != nil {
		return nil, err
	}
	loaded, err := old.bench(ctx, "preload", "--preload", f.old, "--orders", 500)
	if err == nil { // uses up the room that the last vacuum has found between the old rows; see services/preload
		_, err = old.burst(ctx, "settling", 2*f.orders)
	}
	if err := errors.Join(err, old.Stop()); err != nil {
		return nil, err
	}
	r.Figures["bytes on disk per ended order"], r.Figures["seconds to make them"] = loaded.Preload.BytesPerOrder, loaded.Preload.Seconds

	var ended, p99, shrinking [2][]float64
	turn := func(i int, run string) func(context.Context) error {
		return func(ctx context.Context) (err error) {
			if err := stand.Tidy(ctx, urls[i]); err != nil {
				return err
			}
			s, err := f.serve(ctx, urls[i], nil)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, s.Stop()) }()
			burst, err := s.burst(ctx, run+", burst", f.orders)
			if err != nil {
				return err
			}
			gentle, err := s.gently(ctx, run+", 50/s")
			ended[i], p99[i] = append(ended[i], burst.EndedPerS), append(p99[i], gentle.Latency.P99)
			return err
		}
	}
	young, aged := "few old orders", fmt.Sprintf("%d old orders", f.old)
	if err := f.inTurn(ctx, [2]func(context.Context) error{turn(0, young), turn(1, aged)}); err != nil {
		return nil, err
	}
	r.least("ended/s with old orders, to that without", 0.95, ratios(ended[1], ended[0])...)
	r.most("p99 at 50/s with old orders, to that without", 1.05, ratios(p99[1], p99[0])...)

	// In each round some days of the inbox are forgotten, until one day is left. The young database has empty partitions of those days.
	kept := inboxDays
	for n := range min(f.rounds, inboxDays-1) {
		days := inboxDays - (inboxDays-1)*(n+1)/min(f.rounds, inboxDays-1)
		for turn := range 2 {
			i := (turn + n) % 2
			burst, err := f.forget(ctx, urls[i], []string{young, aged}[i]+", partitions dropped", kept, days, r)
			if err != nil {
				return nil, err
			}
			shrinking[i] = append(shrinking[i], burst.EndedPerS)
		}
		kept = days
	}
	r.least("ended/s while full partitions are dropped, to empty ones", 0.9, ratios(shrinking[1], shrinking[0])...)
	r.most("bursts that were over before all was dropped", 0, r.tooShort)
	return r, nil
}

// partitions counts the inbox's partitions of all services.
const partitions = `SELECT count(*) FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhparent WHERE c.relname = 'inbox'`

// forget has a second process drop partitions of the inbox amid a burst, so that of the days that were kept so many are left.
func (f *field) forget(ctx context.Context, database, run string, kept, days int, r *result) (burst benched, err error) {
	if err := stand.Tidy(ctx, database); err != nil {
		return burst, err
	}
	s, err := f.serve(ctx, database, retention(kept))
	if err != nil {
		return burst, err
	}
	defer func() { err = errors.Join(err, s.Stop()) }()
	over, done := make(chan struct{}), make(chan error, 1)
	go func() { done <- f.forgetAmid(ctx, over, database, days, r) }()
	burst, err = s.burst(ctx, run, 2*f.orders)
	close(over)
	return burst, errors.Join(err, <-done)
}

func retention(days int) []string { return []string{fmt.Sprintf("INBOX_RETENTION=%dh", 24*days)} }

// forgetAmid waits until a burst is well under way, runs a process that drops partitions, and stops it when the burst is over.
func (f *field) forgetAmid(ctx context.Context, over <-chan struct{}, database string, days int, r *result) (err error) {
	began := event.FirstID(time.Now())
	for n := 0.0; n < float64(f.orders)/2 && !isClosed(over); sleep(ctx, over, 100*time.Millisecond) {
		if n, err = ask(ctx, database, "SELECT count(*) FROM orders.orders WHERE order_id >= $1 AND ended_at IS NOT NULL", began); err != nil {
			return err
		}
	}
	before, err := ask(ctx, database, partitions)
	if err != nil {
		return err
	}
	s, err := f.serve(ctx, database, retention(days))
	if err != nil {
		return err
	}
	defer func() { <-over; err = errors.Join(err, s.Stop()) }()
	after, err := settled(ctx, database, before)
	if isClosed(over) {
		r.tooShort++
	}
	r.Figures["partitions dropped under load"] += before - after
	return err
}

// settled waits until there are fewer partitions than before, and no fewer after another moment.
func settled(ctx context.Context, database string, before float64) (float64, error) {
	const moment, patience = 500 * time.Millisecond, time.Minute
	last := before
	for began := time.Now(); time.Since(began) < patience; {
		sleep(ctx, nil, moment)
		now, err := ask(ctx, database, partitions)
		if err != nil || now < before && now == last {
			return now, err
		}
		last = now
	}
	return last, fmt.Errorf("the %v partitions of the inbox are not dropped within %s", before, patience)
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// sleep waits for d, or until ctx ends, or until over is closed.
func sleep(ctx context.Context, over <-chan struct{}, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-over:
	case <-ctx.Done():
	}
}
