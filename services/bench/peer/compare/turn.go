package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"orderflow/pkg/devstack/port"
	"orderflow/services/stand"
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
	serve, err := stand.Serve(ctx, c.orderflowPath, env, filepath.Join(c.dir, "log", "orderflow.log"))
	if err != nil {
		return turn, err
	}
	defer func() { err = errors.Join(err, serve.Stop()) }()
	if turn.ReadyS, err = serve.Ready(ctx, "http://"+address); err != nil {
		return turn, err
	}
	bench := func(args ...string) (said json.RawMessage, b benched, err error) {
		said, err = stand.Output(ctx, c.orderflowPath, append([]string{"bench", "--json"}, args...), env)
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
	turn.said, err = stand.Output(ctx, c.peerPath, []string{
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
