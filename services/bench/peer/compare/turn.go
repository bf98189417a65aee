package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"orderflow/pkg/devstack/port"
)

// figures are what a turn has in common with every other.
type figures struct {
	AcceptedPerS float64            `json:"accepted_per_s"`
	EndedPerS    float64            `json:"ended_per_s"`
	LatencyMs    percentiles        `json:"latency_ms"` // at the gentle rate
	CPU          map[string]float64 `json:"cpu_us_per_order"`
}

type percentiles struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
}

// cpu adds up what an order has cost, without the processes that are named.
func (f figures) cpu(without ...string) (sum float64) {
	for name, spent := range f.CPU {
		if len(without) == 0 || name != without[0] {
			sum += spent
		}
	}
	return sum
}

// complete reports a figure that is missing: a ratio to it would mean nothing.
func (f figures) complete(parts ...string) error {
	for _, part := range parts {
		if f.CPU[part] <= 0 {
			return fmt.Errorf("the CPU time of %s was not measured", part)
		}
	}
	if f.AcceptedPerS <= 0 || f.EndedPerS <= 0 || f.LatencyMs.P50 <= 0 || f.LatencyMs.P99 <= 0 {
		return errors.New("figures are missing")
	}
	return nil
}

// orderflowTurn is a turn of orderflow, with what bench said.
type orderflowTurn struct {
	figures figures
	ReadyS  float64         `json:"ready_s"` // from the start of the process
	Burst   json.RawMessage `json:"burst"`
	Steady  json.RawMessage `json:"steady"`
	Fast    json.RawMessage `json:"fast"`
	fastP99 float64         // ms
	memory  float64         // MiB, the most that serve had in the burst
}

// peerTurn is a turn of the peer, with what it said.
type peerTurn struct {
	figures
	said json.RawMessage
}

func (p peerTurn) MarshalJSON() ([]byte, error) { return p.said, nil }

// benched is what matters of what orderflow bench says.
type benched struct {
	figures
	MemoryPeakMiB map[string]float64 `json:"memory_peak_mib"`
	Orders        int                `json:"orders"` // that were accepted
	NotSent       int                `json:"not_sent"`
	Refused       map[string]int     `json:"refused"`
	Errors        int                `json:"errors"`
}

// missing is how many orders of a rate were not accepted.
func (b benched) missing() int {
	n := b.NotSent + b.Errors
	for _, refused := range b.Refused {
		n += refused
	}
	return n
}

// p99 is that of an open loop which went on for that long. Where more than one order in a hundred was not accepted at all, it has waited from
// the beginning to the end.
func (b benched) p99(duration time.Duration) float64 {
	if missing := b.missing(); missing*100 > b.Orders+missing {
		return duration.Seconds() * 1000
	}
	return b.LatencyMs.P99
}

// orderflow is a turn of it: started, measured, stopped.
func (c *comparison) orderflow(ctx context.Context, s *servers) (turn orderflowTurn, err error) {
	free, err := port.Free(1)
	if err != nil {
		return turn, err
	}
	address := port.Address(free[0])
	env := append(c.environment(s), "RABBITMQ_MANAGEMENT_URL="+s.ManagementURL(), "HTTP_ADDR="+address, "ORDERFLOW_URL=http://"+address)
	serve, err := startServe(ctx, c.orderflowPath, env, filepath.Join(c.dir, "log", "orderflow.log"))
	if err != nil {
		return turn, err
	}
	defer func() { err = errors.Join(err, serve.stop()) }()
	if turn.ReadyS, err = serve.ready(ctx, "http://"+address); err != nil {
		return turn, err
	}
	bench := func(args ...string) (said json.RawMessage, b benched, err error) {
		said, err = output(ctx, c.orderflowPath, append([]string{"bench", "--json"}, args...), env)
		if err == nil {
			err = json.Unmarshal(said, &b)
		}
		return said, b, err
	}
	var burst, steady benched
	if turn.Burst, burst, err = bench("--orders", fmt.Sprint(c.orders), "--clients", fmt.Sprint(c.placers), "--warmup", fmt.Sprint(c.warmup)); err != nil {
		return turn, fmt.Errorf("burst: %w", err)
	}
	turn.figures, turn.memory = burst.figures, burst.MemoryPeakMiB["orderflow"]
	if turn.Steady, steady, err = bench("--rate", fmt.Sprint(gentleRate), "--duration", c.duration.String(), "--warmup", fmt.Sprint(c.placers)); err != nil {
		return turn, fmt.Errorf("gentle rate: %w", err)
	}
	if n := steady.missing(); n > 0 {
		return turn, fmt.Errorf("%d orders were not accepted at %d/s", n, gentleRate)
	}
	turn.figures.LatencyMs = steady.LatencyMs
	var fast benched
	if turn.Fast, fast, err = bench("--rate", fmt.Sprint(fastRate), "--duration", c.fastDuration.String()); err != nil {
		return turn, fmt.Errorf("fast rate: %w", err)
	}
	turn.fastP99 = fast.p99(c.fastDuration)
	return turn, turn.figures.complete("broker", "postgres", "orderflow", "bench")
}

// peer is a turn of it, by HTTP or in process.
func (c *comparison) peer(ctx context.Context, s *servers, byHTTP bool) (turn peerTurn, err error) {
	turn.said, err = output(ctx, c.peerPath, []string{
		"-orders", fmt.Sprint(c.orders), "-placers", fmt.Sprint(c.placers), "-warmup", fmt.Sprint(c.warmup), "-rate", fmt.Sprint(gentleRate),
		"-duration", c.duration.String(), fmt.Sprintf("-http=%t", byHTTP),
	}, c.environment(s))
	if err != nil {
		return turn, err
	}
	if err := json.Unmarshal(turn.said, &turn.figures); err != nil {
		return turn, err
	}
	return turn, turn.complete("broker", "postgres", "client")
}

func (c *comparison) environment(s *servers) []string {
	return append(os.Environ(), "AMQP_URL="+s.AMQPURL(), "DATABASE_URL="+s.DatabaseURL())
}

// errBroken says that a program has found that a promise does not hold.
var errBroken = errors.New("a promise does not hold, or an order has not ended as it should")

const exitFoundByChild = 3 // of orderflow and of the peer

// stopPatience is longer than a program of ours takes to stop in good order.
const stopPatience = time.Minute

// output runs a program to its end, and returns the JSON that it prints. What it says beside that is in the error, if there is one.
func output(ctx context.Context, path string, args, env []string) (json.RawMessage, error) {
	var out, said bytes.Buffer
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = env, &out, &said
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = stopPatience
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() == exitFoundByChild {
		return nil, fmt.Errorf("%s: %w:\n%s%s", filepath.Base(path), errBroken, tail(said.Bytes()), tail(out.Bytes()))
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w:\n%s", filepath.Base(path), err, tail(said.Bytes()))
	}
	if !json.Valid(out.Bytes()) {
		return nil, fmt.Errorf("%s printed what is no JSON: %s", filepath.Base(path), tail(out.Bytes()))
	}
	return bytes.TrimSpace(out.Bytes()), nil
}

// tail is the end of what a program said.
func tail(text []byte) []byte {
	const most = 4000
	return text[max(0, len(text)-most):]
}

// serving is a running `orderflow serve`.
type serving struct {
	cmd   *exec.Cmd
	began time.Time
	log   string
	ended chan struct{}
	err   error // set before ended is closed
}

func startServe(ctx context.Context, path string, env []string, log string) (*serving, error) {
	file, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	s := &serving{cmd: exec.CommandContext(ctx, path, "serve"), began: time.Now(), log: log, ended: make(chan struct{})}
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

// ready returns when it is, with the seconds that it took.
func (s *serving) ready(ctx context.Context, url string) (float64, error) {
	const every, patience = 2 * time.Millisecond, time.Minute
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("orderflow serve is not ready after %s", patience))
	defer cancel()
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
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/readyz", nil)
		if err != nil {
			return 0, err
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			continue // it does not listen yet
		}
		response.Body.Close()
		if response.StatusCode == http.StatusOK {
			return time.Since(s.began).Seconds(), nil
		}
	}
}

// stop ends it in good order.
func (s *serving) stop() error {
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

func (s *serving) died() error {
	log, _ := os.ReadFile(s.log)
	return fmt.Errorf("orderflow serve ended: %v:\n%s", s.err, tail(log))
}
