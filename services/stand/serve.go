package stand

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"orderflow/pkg/client"
)

// stopPatience is longer than a program of ours takes to stop in good order.
const stopPatience = time.Minute

// Serving is a running `orderflow serve`.
type Serving struct {
	cmd   *exec.Cmd
	began time.Time
	log   string
	ended chan struct{}
	err   error // set before ended is closed
}

// Serve starts orderflow, whose binary is at path, with services, all of them if none is named; what it logs goes to the file log. It is
// ended by Stop, or when ctx ends.
func Serve(ctx context.Context, path string, env []string, log string, services ...string) (*Serving, error) {
	file, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	s := &Serving{cmd: exec.CommandContext(ctx, path, append([]string{"serve"}, services...)...), began: time.Now(), log: log, ended: make(chan struct{})}
	s.cmd.Env, s.cmd.Stdout, s.cmd.Stderr = env, file, file
	s.cmd.Cancel = func() error { return s.cmd.Process.Signal(syscall.SIGTERM) }
	s.cmd.WaitDelay = stopPatience
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(s.ended)
		s.err = s.cmd.Wait()
	}()
	return s, nil
}

// Ready returns when it is, with the seconds that it took.
func (s *Serving) Ready(ctx context.Context, url string) (float64, error) {
	const every, patience = 2 * time.Millisecond, time.Minute
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("orderflow serve is not ready after %s", patience))
	defer cancel()
	c, err := client.New(url)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-s.ended:
			return 0, s.died()
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
		if c.Ready(ctx) == nil {
			return time.Since(s.began).Seconds(), nil
		}
	}
}

// Stop ends it in good order.
func (s *Serving) Stop() error {
	s.cmd.Process.Signal(syscall.SIGTERM)
	timer := time.NewTimer(stopPatience)
	defer timer.Stop()
	select {
	case <-s.ended:
	case <-timer.C:
		s.cmd.Process.Kill()
		<-s.ended
	}
	if s.err != nil {
		return s.died()
	}
	return nil
}

func (s *Serving) died() error {
	log, _ := os.ReadFile(s.log)
	return fmt.Errorf("orderflow serve ended: %v:\n%s", s.err, tail(log))
}
