package payment

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"
)

const (
	flakyFailures = 2
	slowAnswer    = 2 * time.Second
)

// SimulatedGateway is the built-in gateway. It is steered by the payment method, so that every path can be walked by hand:
// pm_declined is refused, pm_flaky fails twice and then works, pm_slow takes two seconds, pm_down never answers, and everything
// else is charged. Its references are made of the keys, so that it needs no memory to be idempotent.
type SimulatedGateway struct {
	mu       sync.Mutex
	failures map[string]int // of flaky charges, by key
}

// NewSimulatedGateway makes one.
func NewSimulatedGateway() *SimulatedGateway {
	return &SimulatedGateway{failures: map[string]int{}}
}

// Charge implements Gateway.
func (g *SimulatedGateway) Charge(ctx context.Context, c Charge) (Verdict, error) {
	switch c.Method {
	case "pm_declined":
		return Verdict{Declined: true, Detail: "the card was declined"}, nil
	case "pm_flaky":
		if g.failsAgain(c.Key) {
			return Verdict{}, errors.New("gateway: internal error")
		}
	case "pm_slow":
		if err := after(ctx, slowAnswer); err != nil {
			return Verdict{}, err
		}
	case "pm_down":
		<-ctx.Done()
		return Verdict{}, ctx.Err()
	}
	return Verdict{Reference: "sim-" + strings.TrimPrefix(c.Key, "charge-")}, nil
}

// Refund implements Gateway.
func (g *SimulatedGateway) Refund(context.Context, Refund) error { return nil }

func (g *SimulatedGateway) failsAgain(key string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.failures[key] == flakyFailures {
		delete(g.failures, key)
		return false
	}
	g.failures[key]++
	return true
}

func after(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
