package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

const (
	slowAnswer   = 200 * time.Millisecond
	failOneIn    = 100
	callsAllowed = 512
)

// gateway compares a payment gateway that is slow and fails now and then with one that answers at once.
func gateway(ctx context.Context, f *field) (*result, error) {
	r := &result{Figures: map[string]float64{}}
	database, err := f.database(ctx, "trials_gateway")
	if err != nil {
		return nil, err
	}
	var ended [2][]float64
	var under []float64
	turn := func(i int, run string, bank *bank) func(context.Context) error {
		return func(ctx context.Context) (err error) {
			url, stop, err := listen(bank)
			if err != nil {
				return err
			}
			defer stop()
			s, err := f.serve(ctx, database, []string{"GATEWAY_URL=" + url, fmt.Sprintf("GATEWAY_CALLS=%d", callsAllowed)})
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, s.Stop()) }()
			bank.most.Store(0)
			b, err := s.burst(ctx, run, 3*f.orders) // so many that the last retries weigh little
			if err != nil {
				return err
			}
			ended[i] = append(ended[i], b.EndedPerS)
			if i == 1 {
				under = append(under, float64(bank.most.Load()))
			}
			return nil
		}
	}
	err = f.inTurn(ctx, [2]func(context.Context) error{
		turn(0, "gateway answers at once", &bank{}), turn(1, "gateway is slow, and fails", &bank{takes: slowAnswer, failOneIn: failOneIn}),
	})
	if err != nil {
		return nil, err
	}
	r.least("ended/s with the slow gateway, to the fast one", 0.9, ratios(ended[1], ended[0])...)
	r.most("calls of the gateway at a time", callsAllowed, under...)
	return r, nil
}

// bank is a payment gateway.
type bank struct {
	takes     time.Duration
	failOneIn int64 // 0: none

	under, most atomic.Int64

	mu     sync.Mutex
	asked  int64
	failed map[string]bool // by key
}

// fails tells whether a request is not answered: that is so for one payment in a hundred, once.
func (b *bank) fails(key string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failed[key] || b.failOneIn == 0 {
		return false
	}
	if b.asked++; b.asked%b.failOneIn != 0 {
		return false
	}
	if b.failed == nil {
		b.failed = map[string]bool{}
	}
	b.failed[key] = true
	return true
}

// ServeHTTP answers a charge or a refund.
func (b *bank) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	now := b.under.Add(1)
	defer b.under.Add(-1)
	for most := b.most.Load(); now > most && !b.most.CompareAndSwap(most, now); most = b.most.Load() {
	}
	sleep(r.Context(), nil, b.takes)
	if b.fails(r.Header.Get("Idempotency-Key")) {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	fmt.Fprintf(w, `{"reference": %q}`, r.Header.Get("Idempotency-Key"))
}
