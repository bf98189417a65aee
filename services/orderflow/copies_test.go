package main_test

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"orderflow/pkg/broker"
	"orderflow/pkg/devstack/devtest"
)

// copies is an extra queue that gets every event, and what came out of it.
type copies struct {
	*broker.Broker
	t         testing.TB
	publisher *broker.Publisher
	mu        sync.Mutex
	messages  []broker.Message
	ends      chan string // the marks that came by
}

const (
	copiesQueue = "test.copies"
	markKey     = "test.mark" // nobody else is bound to it
)

// copyAll binds the queue, before the first event.
func copyAll(t testing.TB, env devtest.Env) *copies {
	t.Helper()
	c := &copies{Broker: openBroker(t, env), t: t, ends: make(chan string, 10)}
	c.publisher = newPublisher(t, c.Broker)
	topology := broker.Topology{Exchange: "orders.events", Queues: []broker.Queue{{Name: copiesQueue, RoutingKeys: []string{"#"}}}}
	if err := c.Declare(t.Context(), topology); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var consuming sync.WaitGroup
	consuming.Go(func() { c.Consume(ctx, broker.ConsumerConfig{Queue: copiesQueue, Prefetch: 500, Batch: 100}, c.take) })
	t.Cleanup(func() { stop(); consuming.Wait() })
	return c
}

func newPublisher(t testing.TB, b *broker.Broker) *broker.Publisher {
	t.Helper()
	p := b.NewPublisher()
	ctx, stop := context.WithTimeout(t.Context(), limit)
	defer stop()
	if err := p.Await(ctx); err != nil {
		t.Fatal(err)
	}
	return p
}

func (c *copies) take(batch []*broker.Delivery) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, d := range batch {
		if d.RoutingKey == markKey {
			c.ends <- d.ID
		} else {
			c.messages = append(c.messages, d.Copy())
		}
	}
	if err := broker.Ack(batch); err != nil {
		c.t.Error(err)
	}
}

// publish publishes messages and waits until the broker has them.
func (c *copies) publish(messages ...broker.Message) {
	c.t.Helper()
	for i, err := range c.publisher.PublishAll(c.t.Context(), messages) {
		if err != nil {
			c.t.Fatalf("publish %s to %s: %v", messages[i].ID, messages[i].RoutingKey, err)
		}
	}
}

// soFar returns everything that was published until now: it waits until a mark, that is published now, has come out of the queue.
func (c *copies) soFar() []broker.Message {
	c.t.Helper()
	c.publish(broker.Message{Exchange: "orders.events", RoutingKey: markKey, ID: "mark", Mandatory: true, Body: []byte("{}")})
	select {
	case <-c.ends:
	case <-time.After(limit):
		c.t.Fatal("the extra queue gets nothing")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.messages)
}

// TestEveryEventTwiceMore publishes each event of 100 orders two more times, in random order: nothing changes.
func TestEveryEventTwiceMore(t *testing.T) {
	env := *devtest.New(t)
	all := copyAll(t, env)
	p := serve(t, env)
	m := newCampaign(t, p.client, 100)
	m.place()
	m.check()
	nothingLeft(t, env)

	first := all.soFar()
	routed := map[string]int{} // events, by the queue that they go to
	for queue, keys := range queues {
		for _, message := range first {
			if slices.Contains(keys, message.RoutingKey) {
				routed[queue]++
			}
		}
	}
	seen := func(times int) func() error {
		return func() error {
			for queue, n := range routed {
				if got := finishedEvents(t, p.client, queue); got["handled"]+got["duplicate"] != n*times {
					return fmt.Errorf("%s has %v, want %d", queue, got, n*times)
				}
			}
			return nil
		}
	}
	eventually(t, "each event is seen once", seen(1))
	before := dump(t, env)

	t.Logf("%d events", len(first))
	r, _ := random(t)
	again := append(slices.Clone(first), first...)
	r.Shuffle(len(again), func(i, j int) { again[i], again[j] = again[j], again[i] })
	all.publish(again...)
	eventually(t, "each event is seen three times", seen(3))
	for queue, n := range routed {
		if got := finishedEvents(t, p.client, queue); got["handled"] != n {
			t.Errorf("%s handled %d events, of which there are %d", queue, got["handled"], n)
		}
	}
	nothingLeft(t, env)

	times := map[string]int{}
	for _, message := range all.soFar() {
		times[message.ID]++
	}
	if len(times) != len(first) {
		t.Errorf("%d events were published by the services; there were %d before", len(times), len(first))
	}
	for id, n := range times {
		if n != 3 {
			t.Errorf("event %s was published %d times and not 3", id, n)
		}
	}
	after := dump(t, env)
	for table, rows := range before {
		if rows != after[table] {
			t.Errorf("table %s has changed:\n%s", table, difference(rows, after[table]))
		}
	}
	if len(before) != len(after) || len(before) < 6 {
		t.Errorf("%d tables before, %d after", len(before), len(after))
	}
	m.check()
}

var eventsTotal = regexp.MustCompile(`^orderflow_events_total\{outcome="(.*)",queue="(.*)",service=".*"\} (.*)$`)

// finishedEvents reads from the metrics how many events of a queue had which outcome.
func finishedEvents(t *testing.T, c *client, queue string) map[string]int {
	t.Helper()
	outcomes := map[string]int{}
	for lines := bufio.NewScanner(strings.NewReader(string(c.call(t, http.MethodGet, "/metrics", nil).body))); lines.Scan(); {
		if m := eventsTotal.FindStringSubmatch(lines.Text()); m != nil && m[2] == queue {
			n, err := strconv.ParseFloat(m[3], 64)
			if err != nil {
				t.Fatal(err)
			}
			outcomes[m[1]] = int(n)
		}
	}
	return outcomes
}

// dump reads every table of the services but those that say what was handled, as text.
func dump(t *testing.T, env devtest.Env) map[string]string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), env.DatabaseURL)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	rows, err := conn.Query(t.Context(), `
		SELECT table_schema || '.' || table_name FROM information_schema.tables
		WHERE table_schema = ANY($1) AND table_name NOT LIKE 'inbox%' AND table_name NOT LIKE '%\_migrations'`, schemas)
	if err != nil {
		t.Fatal(err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	tables := map[string]string{}
	for _, name := range names {
		tables[name], err = queryOne[string](t.Context(), env, "SELECT coalesce(string_agg(r::text, E'\\n' ORDER BY r::text), '') FROM "+name+" r")
		if err != nil {
			t.Fatal(err)
		}
	}
	return tables
}

// difference lists the lines that are in one of two texts only.
func difference(before, after string) string {
	old, now := strings.Split(before, "\n"), strings.Split(after, "\n")
	var out strings.Builder
	for _, line := range old {
		if !slices.Contains(now, line) {
			fmt.Fprintln(&out, "-", line)
		}
	}
	for _, line := range now {
		if !slices.Contains(old, line) {
			fmt.Fprintln(&out, "+", line)
		}
	}
	return out.String()
}
