package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"

	"orderflow/pkg/devstack"
	"orderflow/services/bench/peer/cpu"
)

// servers are a RabbitMQ and a Postgres of our own, with data that is as safe as in earnest: nothing is told to skip the disk.
type servers struct {
	*devstack.Stack
	dir string
}

// startServers starts them in a directory that is emptied before.
func startServers(ctx context.Context, dir string, log io.Writer) (*servers, error) {
	if err := empty(dir); err != nil {
		return nil, err
	}
	stack, err := devstack.Start(ctx, devstack.Options{Dir: dir, Log: log})
	if err != nil {
		return nil, err
	}
	return &servers{stack, dir}, nil
}

// stop stops them and removes their data.
func (s *servers) stop() error {
	if err := s.Stop(); err != nil {
		return err
	}
	return empty(s.dir)
}

// stackFile marks a directory as one of a stack.
const stackFile = "stack.json"

// empty removes what a stack has left in a directory, and nothing else: a directory of something else is refused.
func empty(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(entries) == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(dir, stackFile)); err != nil {
		return fmt.Errorf("%s is not empty, and not of an earlier run: choose another directory by -dir", dir)
	}
	// Where the servers' user may not reach dir, its data is elsewhere and this is a link.
	if data, err := filepath.EvalSymlinks(filepath.Join(dir, "data")); err == nil {
		if err := os.RemoveAll(data); err != nil {
			return err
		}
	}
	return os.RemoveAll(dir)
}

const (
	idleShare    = 0.05 // of one core
	idleFor      = time.Second
	idlePatience = 2 * time.Minute
)

// settle has the servers clear away what was left by the turn before, and returns when they are idle.
func (s *servers) settle(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, s.DatabaseURL())
	if err != nil {
		return fmt.Errorf("settle: %w", err)
	}
	for _, command := range []string{"VACUUM ANALYZE", "CHECKPOINT"} {
		if _, err := conn.Exec(ctx, command); err != nil {
			return errors.Join(fmt.Errorf("settle: %s: %w", command, err), conn.Close(ctx))
		}
	}
	if err := conn.Close(ctx); err != nil {
		return fmt.Errorf("settle: %w", err)
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
