package main_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"orderflow/pkg/broker"
	"orderflow/pkg/devstack/devtest"
)

// What is asked for with a hundred thousand dead letters of 1 KiB.
const (
	manyLetters   = 100_000
	longestList   = 30 * time.Second
	slowestReplay = 2000 // messages a second
	mostMemory    = 200  // MiB
)

// BenchmarkDeadLetters lists and replays a hundred thousand dead letters, plans and applies that, and then replays them with ten kills at
// random moments, and counts what arrives.
func BenchmarkDeadLetters(b *testing.B) {
	env := *devtest.New(b)
	run(b, settings(env), "serve", "payment").stop() // it leaves its queues and its inbox
	broker := brokerOf(b, env)
	for b.Loop() {
		letters := fill(b, broker, manyLetters)
		list := timed(b, env, nil, "dlq", "list", downQueue)
		replay := timed(b, env, nil, "dlq", "replay", downQueue, "--yes")
		effects := newEffects(b, broker)
		effects.await(letters)

		letters = fill(b, broker, manyLetters)
		file, err := os.Create(filepath.Join(b.TempDir(), "plan.json"))
		if err != nil {
			b.Fatal(err)
		}
		plan := timed(b, env, file, "dlq", "plan", downQueue)
		apply := timed(b, env, nil, "dlq", "apply", file.Name(), "--yes")
		effects.await(letters)

		b.ReportMetric(list.took.Seconds(), "list-s")
		b.ReportMetric(plan.took.Seconds(), "plan-s")
		b.ReportMetric(manyLetters/replay.took.Seconds(), "replayed/s")
		b.ReportMetric(manyLetters/apply.took.Seconds(), "applied/s")
		memory := max(list.memory, replay.memory, plan.memory, apply.memory)
		b.ReportMetric(memory, "MiB")
		if list.took > longestList || manyLetters/max(replay.took, apply.took).Seconds() < slowestReplay || memory > mostMemory {
			b.Errorf("list %+v, replay %+v, plan %+v, apply %+v", list, replay, plan, apply)
		}

		letters = fill(b, broker, manyLetters)
		kills, doubles := killed(b, env, effects, letters)
		b.ReportMetric(float64(kills), "kills")
		b.ReportMetric(float64(doubles), "doubles")
		effects.stop()
	}
}

// fill makes dead letters of 1 KiB, and returns their ids.
func fill(b *testing.B, in *broker.Broker, n int) (ids []string) {
	b.Helper()
	publisher := newPublisher(b, in)
	now := time.Now().UTC().Format(time.RFC3339Nano)
	for range n {
		ids = append(ids, uuid.Must(uuid.NewV7()).String())
	}
	for some := range slices.Chunk(ids, 1000) {
		letters := make([]broker.Message, len(some))
		for i, id := range some {
			letters[i] = broker.Message{
				RoutingKey: broker.DeadLetterQueue(downQueue), Mandatory: true, ID: id, Type: "OrderPlaced", CorrelationID: id,
				Body: bytes.Repeat([]byte("x"), 1024), Headers: map[string]any{
					"orderflow-queue": downQueue, "orderflow-service": "payment", "orderflow-reason": "retries_exhausted",
					"orderflow-error": "no answer for order " + id, "orderflow-attempts": int64(5), "orderflow-first-failed-at": now, "orderflow-dead-at": now,
				},
			}
		}
		for _, err := range publisher.PublishAll(b.Context(), letters) {
			if err != nil {
				b.Fatal(err)
			}
		}
	}
	return ids
}

// measure is what a command has used.
type measure struct {
	took   time.Duration
	memory float64 // MiB, at most
}

func timed(b *testing.B, env devtest.Env, stdout *os.File, args ...string) measure {
	b.Helper()
	cmd := invoke(b.Context(), settings(env), args...)
	var said bytes.Buffer
	cmd.Stderr = &said
	if stdout != nil {
		defer stdout.Close()
		cmd.Stdout = stdout
	}
	began := time.Now()
	if err := cmd.Run(); err != nil {
		b.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, said.String())
	}
	return measure{time.Since(began), memoryOf(cmd)}
}

func memoryOf(cmd *exec.Cmd) float64 {
	return float64(cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss) / 1024
}

// killed replays with ten kills at random moments, and to the end, and checks that every letter has had its effect.
func killed(b *testing.B, env devtest.Env, effects *effects, letters []string) (kills, doubles int) {
	b.Helper()
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	before := effects.copies.Load()
	for range 10 {
		cmd := invoke(b.Context(), settings(env), "dlq", "replay", downQueue, "--yes")
		if err := cmd.Start(); err != nil {
			b.Fatal(err)
		}
		<-time.After(time.Duration(100+r.IntN(1500)) * time.Millisecond)
		cmd.Process.Kill()
		if cmd.Wait() != nil {
			kills++
		}
	}
	o := brokerOf(b, env)
	eventually(b, fmt.Sprintf("the dead letters are gone (seed %d)", seed), func() error {
		timed(b, env, nil, "dlq", "replay", downQueue, "--yes")
		if depth, err := o.Depth(b.Context(), broker.DeadLetterQueue(downQueue)); err != nil || depth > 0 {
			return fmt.Errorf("%d left, %v", depth, err)
		}
		return nil
	})
	effects.await(letters)
	return kills, int(effects.copies.Load()-before) - len(letters)
}

// effects is a consumer that does something once for each id, however often that comes.
type effects struct {
	b      *testing.B
	mu     sync.Mutex
	times  map[string]int
	copies atomic.Int64
	stop   func()
}

func newEffects(b *testing.B, in *broker.Broker) *effects {
	e := &effects{b: b, times: map[string]int{}}
	ctx, cancel := context.WithCancel(context.Background())
	var ended sync.WaitGroup
	ended.Go(func() {
		in.Consume(ctx, broker.ConsumerConfig{Queue: downQueue, Prefetch: 1000, Batch: 500}, func(batch []*broker.Delivery) {
			e.mu.Lock()
			for _, d := range batch {
				e.times[d.ID]++
			}
			e.mu.Unlock()
			e.copies.Add(int64(len(batch)))
			if err := broker.Ack(batch); err != nil {
				b.Error(err)
			}
		})
	})
	e.stop = func() { cancel(); ended.Wait() }
	return e
}

// await waits until each letter has come, and none that was not sent.
func (e *effects) await(letters []string) {
	e.b.Helper()
	eventually(e.b, "every letter has arrived", func() error {
		e.mu.Lock()
		defer e.mu.Unlock()
		missing := 0
		for _, id := range letters {
			if e.times[id] == 0 {
				missing++
			}
		}
		if missing > 0 {
			return fmt.Errorf("%d of %d are missing", missing, len(letters))
		}
		return nil
	})
}
