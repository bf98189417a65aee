package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// The orders are those of orderflow's bench: three of a thousand products.
const (
	products  = 1000
	itemsEach = 3
)

func productIDs() []string {
	ids := make([]string, products)
	for i := range ids {
		ids[i] = fmt.Sprintf("bench-%d", i+1)
	}
	return ids
}

// newOrder is what somebody might order. It has no id yet.
func newOrder() order {
	o := order{
		CustomerID: fmt.Sprintf("bench-customer-%d", 1+rand.IntN(10_000)), Currency: "EUR", PaymentMethod: "pm_ok",
		ShippingAddress: address{Name: "Ada Lovelace", Line1: "12 St James Square", City: "London", PostalCode: "SW1Y 4JH", Country: "GB"},
	}
	for len(o.Items) < itemsEach {
		product := fmt.Sprintf("bench-%d", 1+rand.IntN(products))
		if !slices.ContainsFunc(o.Items, func(i item) bool { return i.ProductID == product }) {
			o.Items = append(o.Items, item{product, 1 + rand.Int64N(3), 100 + rand.Int64N(9900)})
		}
	}
	return o
}

// load places orders, and takes their time.
type load struct {
	place func(context.Context, order) (string, error)
	watch atomic.Pointer[stopwatch]
}

// shipped is told of every order that has ended.
func (l *load) shipped(id string, at time.Time) { l.watch.Load().end(id, at) }

// burst places orders as fast as a number of placers can, and returns when all of them have ended: how long until the last was accepted, and
// until the last was shipped.
func (l *load) burst(ctx context.Context, n, placers int) (accepted, ended time.Duration, err error) {
	watch := newStopwatch(n)
	l.watch.Store(watch)
	queue := make(chan order, n) // they are made before, so that it costs nothing later
	for range n {
		queue <- newOrder()
	}
	close(queue)
	group, placing := errgroup.WithContext(ctx)
	began := time.Now()
	for range placers {
		group.Go(func() error {
			for o := range queue {
				start := time.Now()
				id, err := l.place(placing, o)
				if err != nil {
					return fmt.Errorf("place an order: %w", err)
				}
				watch.start(id, start)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return 0, 0, err
	}
	accepted = time.Since(began)
	last, err := watch.wait(ctx)
	return accepted, last.Sub(began), err
}

// steady places orders at a fixed rate, whatever becomes of them, and returns how long each took from the moment at which it was to be placed.
func (l *load) steady(ctx context.Context, rate float64, duration time.Duration) (latency, error) {
	n := int(rate * duration.Seconds())
	watch := newStopwatch(n)
	l.watch.Store(watch)
	group, placing := errgroup.WithContext(ctx)
	began := time.Now()
	for i := range n {
		due := began.Add(time.Duration(float64(i) / rate * float64(time.Second)))
		if err := sleep(placing, time.Until(due)); err != nil {
			break
		}
		group.Go(func() error {
			id, err := l.place(placing, newOrder())
			if err != nil {
				return fmt.Errorf("place an order: %w", err)
			}
			watch.start(id, due)
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return latency{}, err
	}
	_, err := watch.wait(ctx)
	return watch.latency(), err
}

// sleep waits, or returns why ctx has ended.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
