package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"orderflow/pkg/broker"
	"orderflow/pkg/devstack/devtest"
	"orderflow/pkg/flow"
)

// limit is how long a test waits for something that is sure to come.
const limit = 30 * time.Second

const (
	placed    = "payment.order-placed"
	processed = "inventory.payment-processed"
)

// deadLetters is a broker with two of the workflow's queues.
type deadLetters struct {
	*testing.T
	env       *devtest.Env
	broker    *broker.Broker
	publisher *broker.Publisher
}

func newDeadLetters(t *testing.T) *deadLetters {
	t.Helper()
	env := devtest.New(t)
	t.Setenv("AMQP_URL", env.AMQPURL)
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	b, err := broker.Open(t.Context(), broker.Config{URLs: []string{env.AMQPURL}, Name: t.Name(), Log: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	err = b.Declare(t.Context(), broker.Topology{Exchange: "orders.events", Queues: []broker.Queue{{Name: placed}, {Name: processed}}})
	if err != nil {
		t.Fatal(err)
	}
	d := &deadLetters{t, env, b, b.NewPublisher()}
	ctx, stop := context.WithTimeout(t.Context(), limit)
	defer stop()
	if err := d.publisher.Await(ctx); err != nil {
		t.Fatal(err)
	}
	return d
}

// add puts dead letters with those ids, which died in died, into the dead-letter queue of queue.
func (d *deadLetters) add(queue, died, reason string, ids ...string) {
	d.Helper()
	var messages []broker.Message
	for _, id := range ids {
		messages = append(messages, broker.Message{
			RoutingKey: queue + ".dlq", Mandatory: true, ID: id, Type: "OrderPlaced", CorrelationID: "order-" + id,
			Body: []byte(`{"id":"` + id + `"}`), Headers: map[string]any{
				flow.HeaderQueue: died, flow.HeaderReason: reason, flow.HeaderError: "first\nsecond \x1b[31mred", flow.HeaderAttempts: int64(5),
				flow.HeaderFirstFailedAt: "2026-01-02T03:04:05Z", flow.HeaderDeadAt: "2026-01-02T03:10:00Z",
			},
		})
	}
	for i, err := range d.publisher.PublishAll(d.Context(), messages) {
		if err != nil {
			d.Fatalf("message %s: %v", ids[i], err)
		}
	}
}

// has checks the ids of the messages in a queue.
func (d *deadLetters) has(queue string, want ...string) {
	d.Helper()
	g, err := d.broker.NewGetter(d.Context(), queue)
	if err != nil {
		d.Fatal(err)
	}
	defer g.Close()
	var got []string
	for {
		m, err := g.Next()
		if err != nil {
			d.Fatal(err)
		}
		if m == nil {
			break
		}
		got = append(got, m.ID)
	}
	if !slices.Equal(got, want) {
		d.Errorf("%s has %v, want %v", queue, got, want)
	}
}

// call runs orderflow and checks its exit code.
func call(t *testing.T, wantCode int, args ...string) (stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	if code := run(t.Context(), args, strings.NewReader("y\n"), &out, &errs); code != wantCode {
		t.Errorf("orderflow %v: exit code %d, want %d\n%s%s", args, code, wantCode, out.String(), errs.String())
	}
	return out.String(), errs.String()
}

// contains checks that a text has each of the parts.
func contains(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("no %q in:\n%s", part, text)
		}
	}
}

func unmarshal[T any](t *testing.T, text string) (v T) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v in:\n%s", err, text)
	}
	return v
}

func TestDLQList(t *testing.T) {
	d := newDeadLetters(t)
	call(t, exitDone, "dlq", "list", "--fail-if-any")
	d.add(placed, placed, flow.ReasonExhausted, "1", "2", "3")
	d.add(placed, placed, flow.ReasonInvalid, "4")

	out, _ := call(t, exitDone, "dlq", "list")
	contains(t, strings.Join(strings.Fields(out), " "), "DEPTH OLDEST NEWEST REASONS", "order.progress.dlq absent - - -",
		"payment.order-placed.dlq 4 2026-01-02T03:10:00Z 2026-01-02T03:10:00Z retries_exhausted 3, invalid_message 1",
		"inventory.payment-processed.dlq 0 - - -")
	if got, want := strings.Count(out, "\n"), 1+len(workQueues())+3; got != want {
		t.Errorf("%d lines, want %d: a head, the queues, and the errors of one:\n%s", got, want, out)
	}
	out, _ = call(t, exitDone, "dlq", "list", "--limit", "2", placed)
	contains(t, out, "retries_exhausted 2\n", "only the first 2 of 4 were looked at")

	out, _ = call(t, exitFound, "dlq", "list", "--json", "--fail-if-any", placed+".dlq", "order.progress")
	report := unmarshal[struct{ Queues []listed }](t, out)
	if len(report.Queues) != 2 {
		t.Fatalf("%d queues in:\n%s", len(report.Queues), out)
	}
	at := time.Date(2026, 1, 2, 3, 10, 0, 0, time.UTC)
	want := fmt.Sprint([]listed{
		{
			Queue: placed, DLQ: placed + ".dlq", Exists: true, Depth: 4, Seen: 4, Oldest: at, Newest: at,
			Counts: map[string]int{flow.ReasonExhausted: 3, flow.ReasonInvalid: 1}, Errors: map[string]int{"first\nsecond \x1b[<n>mred": 4},
		},
		{Queue: "order.progress", DLQ: "order.progress.dlq", Counts: map[string]int{}},
	})
	if got := fmt.Sprint(report.Queues); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	d.has(placed+".dlq", "1", "2", "3", "4")
}

// What another command holds is not taken for nothing.
func TestDLQListInUse(t *testing.T) {
	d := newDeadLetters(t)
	d.add(placed, placed, flow.ReasonExhausted, "1", "2")
	claim, err := d.broker.Claim(t.Context(), placed+".dlq")
	if err != nil {
		t.Fatal(err)
	}
	defer claim.Release()
	out, _ := call(t, exitFound, "dlq", "list", placed, "--fail-if-any")
	contains(t, out, "2 or more", "another command is at work on it")
	if report := unmarshal[struct{ Queues []listed }](t, must(call(t, exitDone, "dlq", "list", placed, "--json"))); !report.Queues[0].InUse || report.Queues[0].Depth != 2 {
		t.Errorf("got %+v", report)
	}
}

func must(stdout, _ string) string { return stdout }

func TestDLQShow(t *testing.T) {
	d := newDeadLetters(t)
	d.add(placed, placed, flow.ReasonExhausted, "1", "2", "3")
	out, _ := call(t, exitDone, "dlq", "show", placed, "--limit", "2")
	contains(t, out, "1. OrderPlaced: retries_exhausted\n", "   order     order-1\n", "   died in   payment.order-placed\n",
		"   attempts  5, ", "   failed    2026-01-02T03:04:05Z first, dead 2026-01-02T03:10:00Z\n", "   error     first second [31mred\n",
		"2. OrderPlaced", "2 of 3 dead letters shown")
	if strings.Contains(out, "3. ") || strings.Contains(out, "\x1b") {
		t.Errorf("too much in %q", out)
	}
	out, _ = call(t, exitDone, "dlq", "show", processed)
	contains(t, out, "0 dead letters")
	out, _ = call(t, exitDone, "dlq", "show", "order.progress.dlq")
	contains(t, out, "order.progress.dlq does not exist yet")
	d.has(placed+".dlq", "1", "2", "3")
}

func TestDLQShowJSON(t *testing.T) {
	d := newDeadLetters(t)
	d.add(placed, placed, flow.ReasonExhausted, "1")
	odd := broker.Message{RoutingKey: placed + ".dlq", Mandatory: true, Body: []byte{0xff}, Timestamp: time.Unix(1_767_000_000_000, 0)}
	if err := d.publisher.PublishAll(t.Context(), []broker.Message{odd})[0]; err != nil {
		t.Fatal(err)
	}
	out, _ := call(t, exitDone, "dlq", "show", placed, "--json")
	report := unmarshal[struct {
		Queue, DLQ string
		Exists     bool
		Depth      int
		Messages   []letter
	}](t, out)
	if report.Queue != placed || report.DLQ != placed+".dlq" || !report.Exists || report.Depth != 2 || len(report.Messages) != 2 {
		t.Fatalf("got %+v", report)
	}
	first, second := report.Messages[0], report.Messages[1]
	if first.ID != "1" || first.OrderID != "order-1" || first.DiedIn != placed || first.Attempts != 5 || *first.Body != `{"id":"1"}` ||
		string(first.Headers[flow.HeaderError]) != `"first\nsecond \u001b[31mred"` {
		t.Errorf("first %+v", first)
	}
	if second.Body != nil || string(second.BodyBase64) != "\xff" || !strings.Contains(string(second.Timestamp), "57964") {
		t.Errorf("second %+v, timestamp %s", second, second.Timestamp)
	}
}

func TestDLQReplay(t *testing.T) {
	d := newDeadLetters(t)
	d.add(placed, placed, flow.ReasonExhausted, "1", "2", "3")
	d.add(processed, processed, flow.ReasonExhausted, "4")

	out, _ := call(t, exitDone, "dlq", "replay", placed, processed+".dlq", "--dry-run")
	contains(t, out, "payment.order-placed.dlq         3  would go to payment.order-placed\n",
		"inventory.payment-processed.dlq  1  would go to inventory.payment-processed\n", "4 dead letters would be replayed\n")
	d.has(placed)

	out, _ = call(t, exitDone, "dlq", "replay", placed, placed+".dlq", "--yes", "--limit", "2")
	contains(t, out, "payment.order-placed.dlq  2  replayed to payment.order-placed\n", "payment.order-placed.dlq  1  not touched\n",
		"2 dead letters replayed, run ")
	d.has(placed, "1", "2")
	d.has(placed+".dlq", "3")

	out, _ = call(t, exitDone, "dlq", "replay", placed, processed, "order.progress", "--yes", "--json")
	report := unmarshal[reported](t, out)
	want := fmt.Sprint([]reportedQueue{
		{placed, placed + ".dlq", true, 1, false, []reportedOutcome{{Fate: "replayed", Target: placed, Messages: 1}}, "", ""},
		{processed, processed + ".dlq", true, 1, false, []reportedOutcome{{Fate: "replayed", Target: processed, Messages: 1}}, "", ""},
		{"order.progress", "order.progress.dlq", false, 0, false, []reportedOutcome{}, "", ""},
	})
	if got := fmt.Sprint(report.Queues); got != want || report.Replayed != 2 || report.ReplayID == "" || report.DryRun {
		t.Errorf("got %+v\nwant %s", report, want)
	}
	d.has(placed, "1", "2", "3")
	d.has(processed, "4")
	d.has(placed + ".dlq")
}

func TestDLQReplayReportsWhatStays(t *testing.T) {
	d := newDeadLetters(t)
	d.add(placed, placed, flow.ReasonExhausted, "1")
	d.add(placed, "gone", flow.ReasonExhausted, "2")
	for _, how := range []string{"--dry-run", "--yes"} {
		out, errs := call(t, exitFailed, "dlq", "replay", placed, how)
		contains(t, out, "payment.order-placed.dlq  1  left: there is no queue gone\n", "1 dead letter ")
		contains(t, errs, "orderflow: 1 dead letter cannot be replayed\n")
	}
	d.has(placed, "1")
	d.has(placed+".dlq", "2")
}

// mixed puts three orders of two customers, and something that is no event, into the dead-letter queue.
func (d *deadLetters) mixed() {
	d.Helper()
	letter := func(id, reason, body string) broker.Message {
		return broker.Message{
			RoutingKey: placed + ".dlq", Mandatory: true, ID: id, Type: "OrderPlaced", Body: []byte(body),
			Headers: map[string]any{flow.HeaderQueue: placed, flow.HeaderReason: reason, flow.HeaderAttempts: int64(5)},
		}
	}
	ada, bob := `{"data":{"customer_id":"ada","items":[{"quantity":7}]}}`, `{"data":{"customer_id":"bob","items":[{"quantity":1}]}}`
	messages := []broker.Message{letter("a1", flow.ReasonExhausted, ada), letter("junk", flow.ReasonInvalid, "no event"),
		letter("b1", flow.ReasonExhausted, bob), letter("a2", flow.ReasonRejected, ada)}
	for _, err := range d.publisher.PublishAll(d.Context(), messages) {
		if err != nil {
			d.Fatal(err)
		}
	}
}

func TestDLQShowWhere(t *testing.T) {
	d := newDeadLetters(t)
	d.mixed()
	out, _ := call(t, exitDone, "dlq", "show", placed, "--where", `data.customer_id == "ada"`)
	contains(t, out, "1. OrderPlaced: retries_exhausted\n   id        a1\n", "2. OrderPlaced: rejected\n   id        a2\n", "dlq: 2 of 4 dead letters match\n")
	out, _ = call(t, exitDone, "dlq", "show", placed, "--where", `reason != "invalid_message"`, "--limit", "2")
	contains(t, out, "   id        a1\n", "   id        b1\n", "dlq: 2 of 4 dead letters shown, see --limit\n")
	out, _ = call(t, exitDone, "dlq", "show", placed, "--where", `any(data.items, .quantity > 5)`)
	contains(t, out, "dlq: 2 of 4 dead letters match\n", "dlq: --where cannot be applied to 1 dead letter, so there is no match; the first: ", "(1:1)\n")

	out, _ = call(t, exitDone, "dlq", "show", placed, "--json", "--where", `headers["orderflow-reason"] == "invalid_message"`)
	report := unmarshal[struct {
		Depth    int
		Messages []letter
	}](t, out)
	if report.Depth != 4 || len(report.Messages) != 1 || report.Messages[0].ID != "junk" || strings.Contains(out, "where_error") {
		t.Errorf("got %+v", report)
	}
	d.has(placed+".dlq", "a1", "junk", "b1", "a2")
}

func TestDLQReplayWhere(t *testing.T) {
	d := newDeadLetters(t)
	d.mixed()
	where := []string{"--where", `data.customer_id == "ada" and attempts >= 5`}
	out, _ := call(t, exitDone, append(where, "dlq", "replay", placed, "--dry-run")...)
	contains(t, out, "payment.order-placed.dlq  2  would go to payment.order-placed\n", "payment.order-placed.dlq  2  left: not chosen\n",
		"2 dead letters would be replayed\n")
	d.has(placed)

	out, _ = call(t, exitDone, append(where, "dlq", "replay", placed, "--yes", "--json")...)
	report := unmarshal[reported](t, out)
	want := fmt.Sprint([]reportedOutcome{{Fate: "replayed", Target: placed, Messages: 2}, {Fate: "unmatched", Messages: 2}})
	if len(report.Queues) != 1 || fmt.Sprint(report.Queues[0].Outcomes) != want || report.Replayed != 2 || report.Queues[0].Doubt != "" {
		t.Errorf("got %+v\nwant %s", report, want)
	}
	d.has(placed, "a1", "a2")
	d.has(placed+".dlq", "junk", "b1")

	out, _ = call(t, exitUsage, "dlq", "replay", placed, "--yes", "--where", `data.customer_id > 5`, "--json")
	if report := unmarshal[reported](t, out); report.Replayed != 0 || report.Queues[0].Doubt != "invalid operation: <nil> > int (1:18)" {
		t.Errorf("got %+v", report)
	}
	d.has(placed+".dlq", "junk", "b1")
}

func TestDLQWrongUse(t *testing.T) {
	d := newDeadLetters(t)
	d.add(placed, placed, flow.ReasonExhausted, "1")
	for _, c := range []struct{ args, want string }{
		{"dlq replay payment.order-placed", "standard input is not a terminal: use --yes, or --dry-run"},
		{"dlq replay paymet.order-placed --yes", `no dead-letter queue "paymet.order-placed.dlq"; did you mean payment.order-placed?`},
		{"dlq show order-placed", "did you mean payment.order-placed?"},
		{"dlq show xyz", `no dead-letter queue "xyz.dlq"; orderflow dlq list shows all`},
		{"dlq list no.such.dlq", `no dead-letter queue "no.such.dlq"`},
		{"dlq replay", "requires at least 1 arg"},
		{"dlq show a b", "accepts 1 arg"},
		{"dlq show payment.order-placed --limit -1", "--limit -1 is less than 0"},
		{"dlq list --limit many", "invalid argument"},
		{"dlq replay payment.order-placed --yes --where kind=='OrderPlaced'", "unknown name kind (1:1)\n | kind=='OrderPlaced'\n | ^\nknown are age, attempts,"},
		{"dlq show payment.order-placed --where attempts>'4'", "mismatched types int and string) (1:9)"},
		{"dlq replay payment.order-placed --yes --where=", "an expression is missing"},
		{"dlq list --wrong", "unknown flag: --wrong"},
		{"dlq wrong", `unknown command "wrong"`},
	} {
		_, errs := call(t, exitUsage, strings.Fields(c.args)...)
		contains(t, errs, c.want)
	}
	d.has(placed+".dlq", "1")
	d.has(placed)
}

func TestDLQWithoutBroker(t *testing.T) {
	t.Setenv("AMQP_URL", "amqp://guest:secret@127.0.0.1:1/")
	_, errs := call(t, exitFailed, "dlq", "list")
	contains(t, errs, "connect to RabbitMQ at 127.0.0.1:1")
	t.Setenv("AMQP_URL", "http://127.0.0.1/")
	_, errs = call(t, exitUsage, "dlq", "list") // as every wrong setting, before anything is dialled
	contains(t, errs, "AMQP_URL: address 1 of 1 cannot be parsed")
}

// many puts n dead letters into the queue.
func (d *deadLetters) many(n int) (ids []string) {
	d.Helper()
	for i := range n {
		ids = append(ids, fmt.Sprint(i))
	}
	d.add(placed, placed, flow.ReasonExhausted, ids...)
	return ids
}

// consume calls f with the messages of the work queue, until the test ends.
func (d *deadLetters) consume(f func(*broker.Delivery)) {
	ctx, cancel := context.WithCancel(context.Background())
	var ended sync.WaitGroup
	ended.Go(func() {
		d.broker.Consume(ctx, broker.ConsumerConfig{Queue: placed, Prefetch: 100, Batch: 100}, func(batch []*broker.Delivery) {
			for _, m := range batch {
				f(m)
			}
			if err := broker.Ack(batch); err != nil {
				d.Error(err)
			}
		})
	})
	d.Cleanup(func() { cancel(); ended.Wait() })
}

func TestDLQReplayIsStopped(t *testing.T) {
	d := newDeadLetters(t)
	d.many(3000)
	ctx, stop := context.WithCancel(t.Context())
	d.consume(func(*broker.Delivery) { stop() }) // Ctrl-C, when the first arrives
	var out, errs bytes.Buffer
	if code := run(ctx, []string{"dlq", "replay", placed, "--yes"}, strings.NewReader(""), &out, &errs); code != exitFailed {
		t.Errorf("exit code %d, want %d\n%s", code, exitFailed, out.String())
	}
	contains(t, errs.String(), "orderflow: stopped after ", "run it again to go on")
	contains(t, out.String(), "replayed to payment.order-placed\n", "not touched\n")
}

// The command is killed three times, at any moment, and run again each time: every message arrives.
func TestDLQReplayIsKilled(t *testing.T) {
	d := newDeadLetters(t)
	binary := filepath.Join(t.TempDir(), "orderflow")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	ids := d.many(1000)
	times, total := map[string]int{}, 0
	kill, all := make(chan struct{}, 3), make(chan struct{})
	d.consume(func(m *broker.Delivery) {
		if total++; total == 100 || total == 350 || total == 600 {
			kill <- struct{}{}
		}
		if times[m.ID]++; times[m.ID] == 1 && len(times) == len(ids) {
			t.Logf("%d doubles", total-len(ids))
			close(all)
		}
	})
	// The broker needs a moment to see that one is gone, and to give back what that had taken: the next one may find nothing.
	for range 3 {
		runUntil(t, kill, binary, "dlq", "replay", placed, "--yes")
	}
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); {
		call(t, exitDone, "dlq", "replay", placed, "--yes")
		select {
		case <-all:
			return
		default:
		}
	}
	t.Errorf("messages are lost: %d of %d have arrived", len(times), len(ids))
}

// runUntil runs a program, again where it comes to its end, and kills it when kill says so.
func runUntil(t *testing.T, kill <-chan struct{}, binary string, args ...string) {
	t.Helper()
	for deadline := time.After(limit); ; {
		cmd := exec.CommandContext(t.Context(), binary, args...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		select {
		case err := <-ended:
			if err != nil {
				t.Fatal(err)
			}
			continue
		case <-kill:
		case <-deadline:
			t.Error("the program does not get on")
		}
		cmd.Process.Kill()
		<-ended
		return
	}
}
