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
	var rates []float64
	for n := range f.rounds {
		all, err := f.serve(ctx, database, nil)
		if err != nil {
			return nil, err
		}
		usual, err := all.burst(ctx, fmt.Sprintf("burst %d", n+1), f.orders)
		if err := errors.Join(err, all.Stop()); err != nil {
			return nil, err
		}
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
	ctx, giveUp := context.WithCancel(ctx)
	over := make(chan error, 1)
	placed, err := ask(ctx, database, "SELECT count(*) FROM orders.orders")
	if err != nil {
		giveUp()
		return 0, err
	}
	go func() {
		_, err := s.bench(ctx, run, "--orders", f.backlog, "--warmup", 0, "--patience", "3m")
		over <- err
	}()
	failed := func(err error) (float64, error) { // nobody would end these orders any more
		giveUp()
		<-over
		return 0, err
	}
	defer giveUp()
	for n := placed; int(n-placed) < f.backlog; sleep(ctx, nil, 200*time.Millisecond) {
		select {
		case err := <-over:
			return 0, fmt.Errorf("the orders were over before they had piled up: %w", err)
		default:
		}
		if n, err = ask(ctx, database, "SELECT count(*) FROM orders.orders"); err != nil {
			return failed(err)
		}
	}
	began := time.Now()
	others, err := f.serve(ctx, database, nil, "payment", "shipping")
	if err != nil {
		return failed(err)
	}
	if err := errors.Join(<-over, others.Stop()); err != nil {
		return 0, err
	}
	ended, err := ask(ctx, database, "SELECT extract(epoch FROM max(ended_at))::float8 FROM orders.orders")
	return ended - float64(began.UnixMicro())/1e6, err
}
