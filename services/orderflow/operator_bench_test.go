package main_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/shirou/gopsutil/v4/process"

	"orderflow/pkg/broker"
	"orderflow/pkg/devstack/devtest"
	"orderflow/pkg/event"
)

// What is asked for with a hundred thousand dead letters of 1 KiB.
const (
	manyLetters   = 100_000
	longestList   = 30 * time.Second
	slowestReplay = 2000 // messages a second
	mostMemory    = 200  // MiB
)

// BenchmarkDeadLetters lists and replays a hundred thousand dead letters, plans and applies that, and then replays them with ten kills at
// random moments, and counts what has come of them.
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
		b.Logf("memory in MiB: list %.0f, replay %.0f, plan %.0f, apply %.0f", list.memory, replay.memory, plan.memory, apply.memory)
		b.ReportMetric(memory, "MiB")
		if list.took > longestList || manyLetters/max(replay.took, apply.took).Seconds() < slowestReplay || memory > mostMemory {
			b.Errorf("list %+v, replay %+v, plan %+v, apply %+v", list, replay, plan, apply)
		}

		effects.stop()

		fillWith(b, broker, orders(b, manyLetters))
		payment := run(b, settings(env), "serve", "payment")
		killed(b, env)
		paid := func() int { return count(b, env, "SELECT count(*) FROM payment.payments WHERE status = 'charged'") }
		eventually(b, "every order is paid", func() error {
			if got := paid(); got < manyLetters {
				return fmt.Errorf("%d of %d are paid", got, manyLetters)
			}
			return nil
		})
		once := count(b, env, "SELECT count(DISTINCT order_id) FROM payment.payments")
		handled := count(b, env, "SELECT count(*) FROM payment.inbox WHERE queue = '"+downQueue+"'")
		if got := paid(); got != manyLetters || once != manyLetters || handled != manyLetters {
			b.Errorf("%d payments of %d orders, %d events handled; want %d of each", got, once, handled, manyLetters)
		}
		sent := count(b, env, "SELECT count(*) FROM dlq.history h WHERE EXISTS (SELECT FROM payment.inbox i WHERE i.event_id::text = h.message_id)")
		b.ReportMetric(float64(sent-manyLetters), "sent-twice")
		payment.stop()
	}
}

// fill makes dead letters of 1 KiB, and returns their ids.
func fill(b *testing.B, in *broker.Broker, n int) (ids []string) {
	b.Helper()
	messages := make([]broker.Message, n)
	for i := range messages {
		id := uuid.Must(uuid.NewV7()).String()
		ids = append(ids, id)
		messages[i] = broker.Message{ID: id, Type: "OrderPlaced", CorrelationID: id, Body: bytes.Repeat([]byte("x"), 1024)}
	}
	fillWith(b, in, messages)
	return ids
}

// orders are events of orders that were placed.
func orders(b *testing.B, n int) []broker.Message {
	b.Helper()
	messages := make([]broker.Message, n)
	price := event.MinorAmount(1999, "EUR")
	for i := range messages {
		order := event.Order{
			OrderID: event.NewID(), CustomerID: "customer", Currency: "EUR", TotalAmount: price, PaymentMethod: "pm_ok",
			Items:           []event.Item{{ProductID: "demo-1", Quantity: 1, UnitPrice: price}},
			ShippingAddress: event.Address{Name: "Ada", Line1: "Street 1", City: "Berlin", PostalCode: "10115", Country: "DE"},
		}
		e := event.New("order", time.Now(), order.OrderID.String(), &event.OrderPlaced{Order: order})
		body, err := event.Orders.Encode(e)
		if err != nil {
			b.Fatal(err)
		}
		messages[i] = broker.Message{ID: e.ID.String(), Type: "OrderPlaced", CorrelationID: e.CorrelationID, Body: body}
	}
	return messages
}

// fillWith makes dead letters of messages.
func fillWith(b *testing.B, in *broker.Broker, messages []broker.Message) {
	b.Helper()
	publisher := newPublisher(b, in)
	now := time.Now().UTC().Format(time.RFC3339Nano)
	for some := range slices.Chunk(messages, 1000) {
		for i := range some {
			some[i].RoutingKey, some[i].Mandatory = broker.DeadLetterQueue(downQueue), true
			some[i].Headers = map[string]any{
				"orderflow-queue": downQueue, "orderflow-service": "payment", "orderflow-reason": "retries_exhausted",
				"orderflow-error": "no answer for order " + some[i].ID, "orderflow-attempts": int64(5), "orderflow-first-failed-at": now,
				"orderflow-dead-at": now,
			}
		}
		for _, err := range publisher.PublishAll(b.Context(), some) {
			if err != nil {
				b.Fatal(err)
			}
		}
	}
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
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	used := &process.Process{Pid: int32(cmd.Process.Pid)}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for memory := 0.0; ; {
		select {
		case err := <-ended:
			if err != nil {
				b.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, said.String())
			}
			return measure{time.Since(began), memory}
		case <-tick.C:
			// Not the system's own maximum, which begins with that of the process that started this one.
			if info, err := used.MemoryInfo(); err == nil {
				memory = max(memory, float64(info.RSS)/(1<<20))
			}
		}
	}
}

// killed replays with ten kills at random moments, and to the end.
func killed(b *testing.B, env devtest.Env) {
	b.Helper()
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	for kill := range 10 {
		cmd := invoke(b.Context(), settings(env), "dlq", "replay", downQueue, "--yes")
		if err := cmd.Start(); err != nil {
			b.Fatal(err)
		}
		<-time.After(time.Duration(100+r.IntN(1000)) * time.Millisecond)
		cmd.Process.Kill()
		if cmd.Wait() == nil {
			b.Errorf("seed %d: replay %d was over before it could be killed", seed, kill)
		}
	}
	in := brokerOf(b, env)
	eventually(b, fmt.Sprintf("the dead letters are gone (seed %d)", seed), func() error {
		timed(b, env, nil, "dlq", "replay", downQueue, "--yes")
		if depth, err := in.Depth(b.Context(), broker.DeadLetterQueue(downQueue)); err != nil || depth > 0 {
			return fmt.Errorf("%d left, %v", depth, err)
		}
		return nil
	})
}

// effects is a consumer that counts what comes.
type effects struct {
	b     *testing.B
	mu    sync.Mutex
	times map[string]int
	stop  func()
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
