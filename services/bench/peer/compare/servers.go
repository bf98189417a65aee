package main

import (
	"context"
	"fmt"
	"time"

	"orderflow/services/bench/peer/cpu"
	"orderflow/services/stand"
)

// servers are those of a comparison.
type servers struct{ *stand.Servers }

const (
	idleShare    = 0.05 // of one core
	idleFor      = time.Second
	idlePatience = 2 * time.Minute
)

// settle has the servers clear away what was left by the turn before, and returns when they are idle.
func (s *servers) settle(ctx context.Context) error {
	if err := stand.Tidy(ctx, s.DatabaseURL()); err != nil {
		return err
	}
	for began := time.Now(); ; {
		share, err := s.share(ctx, idleFor)
		if err != nil {
			return fmt.Errorf("settle: %w", err)
		}
		if share < idleShare {
			return nil
		}
		if time.Since(began) > idlePatience {
			return fmt.Errorf("settle: with nothing to do the servers use %.0f%% of a core after %s", 100*share, idlePatience)
		}
	}
}

// share is how much of a core the servers use.
func (s *servers) share(ctx context.Context, during time.Duration) (float64, error) {
	before, err := s.used()
	if err != nil {
		return 0, err
	}
	timer := time.NewTimer(during)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
	after, err := s.used()
	return (after - before).Seconds() / during.Seconds(), err
}

func (s *servers) used() (time.Duration, error) {
	times, err := cpu.Times(s.RabbitMQ().Pid(), s.Postgres().Pid())
	if err != nil {
		return 0, err
	}
	return times[0] + times[1], nil
}
