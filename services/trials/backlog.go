package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// backlog has orders pile up while payment and shipping are stopped, starts them, and sees how fast all of it ends.
func backlog(ctx context.Context, f *field) (*result, error) {
	r := &result{Figures: map[string]float64{}}
	database, err := f.database(ctx, "trials_backlog")
	if err != nil {
		return nil, err
	}
	all, err := f.serve(ctx, database, nil)
	if err != nil {
		return nil, err
	}
	usual, err := all.burst(ctx, "burst", f.orders)
	if err := errors.Join(err, all.Stop()); err != nil {
		return nil, err
	}
	var rates []float64
	for n := range f.rounds {
		seconds, err := f.pileUp(ctx, database, fmt.Sprintf("backlog %d", n+1))
		if err != nil {
			return nil, err
		}
		rates = append(rates, float64(f.backlog)/seconds/usual.EndedPerS)
	}
	r.least("ended/s of the backlog, to those of a burst", 0.9, rates...)
	return r, nil
}

// pileUp returns the seconds from the moment at which the stopped services are started until all orders had ended.
func (f *field) pileUp(ctx context.Context, database, run string) (seconds float64, err error) {
	s, err := f.serve(ctx, database, []string{"MAX_OPEN_ORDERS=0"}, "order", "inventory")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, s.Stop()) }()
	had, err := ask(ctx, database, "SELECT count(*) FROM orders.orders")
	if err != nil {
		return 0, err
	}
	began, over := time.Now(), make(chan error, 1)
	var b benched
	go func() {
		var err error
		b, err = s.bench(ctx, run, "--orders", f.backlog, "--warmup", 0, "--patience", "3m")
		over <- err
	}()
	for {
		n, err := ask(ctx, database, "SELECT count(*) FROM orders.orders")
		if err != nil {
			return 0, errors.Join(err, <-over)
		}
		if int(n-had) == f.backlog {
			break
		}
		select {
		case err := <-over:
			return 0, fmt.Errorf("the orders were over before they had piled up: %w", err)
		case <-time.After(200 * time.Millisecond):
		}
	}
	piledUp := time.Since(began).Seconds()
	f.say("%d orders have piled up within %.0f s", f.backlog, piledUp)
	others, err := f.serve(ctx, database, nil, "payment", "shipping")
	if err != nil {
		return 0, errors.Join(err, <-over)
	}
	if err := errors.Join(<-over, others.Stop()); err != nil {
		return 0, err
	}
	return b.Seconds - piledUp, nil
}
