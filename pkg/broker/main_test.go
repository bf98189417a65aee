package broker

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"orderflow/pkg/devstack/devtest"
)

func TestMain(m *testing.M) { devtest.Main(m) }

// limit is how long a test waits for something that is sure to come.
const limit = 30 * time.Second

// quiet shows only what a test that fails needs.
func quiet(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
}

func connect(t testing.TB, urls ...string) *Broker {
	t.Helper()
	b, err := Open(t.Context(), Config{URLs: urls, Name: t.Name(), Log: quiet(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeBroker(t, b) })
	return b
}

// closeBroker fails where Close hangs.
func closeBroker(t testing.TB, b *Broker) {
	t.Helper()
	closed := make(chan error, 1)
	go func() { closed <- b.Close() }()
	receive(t, "the end of Close", closed)
}

// publisher is a publisher that is connected.
func publisher(t testing.TB, b *Broker) *Publisher {
	t.Helper()
	p := b.NewPublisher()
	eventually(t, "the publisher is ready", p.Ready)
	return p
}

// eventually polls for what has no signal.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	devtest.Eventually(t, limit, what, is)
}

// receive waits for a signal.
func receive[T any](t testing.TB, what string, c <-chan T) T {
	t.Helper()
	return devtest.Receive(t, limit, what, c)
}

// declareQueue makes a work queue, with its dead-letter queue, bound to the exchange "t.events" by its name.
func declareQueue(t testing.TB, b *Broker, names ...string) {
	t.Helper()
	topology := Topology{Exchange: "t.events"}
	for _, name := range names {
		topology.Queues = append(topology.Queues, Queue{Name: name, RoutingKeys: []string{name}})
	}
	if err := b.Declare(t.Context(), topology); err != nil {
		t.Fatal(err)
	}
}

// numbered makes messages with the ids from 0 to n-1, for a queue.
func numbered(queue string, n int) []Message {
	messages := make([]Message, n)
	for i := range messages {
		messages[i] = Message{Exchange: "t.events", RoutingKey: queue, Mandatory: true, ID: fmt.Sprint(i), Body: []byte(`{"n":1}`)}
	}
	return messages
}

func publishAll(t testing.TB, p *Publisher, messages []Message) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), limit)
	defer stop()
	for i, err := range p.PublishAll(ctx, messages) {
		if err != nil {
			t.Fatalf("message %d: %v", i, err)
		}
	}
}

// idsIn takes everything out of a queue and tells how often each id was there.
func idsIn(t testing.TB, b *Broker, queue string) map[string]int {
	t.Helper()
	g, err := b.NewGetter(t.Context(), queue)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	ids := map[string]int{}
	for {
		d, err := g.Next()
		if err != nil {
			t.Fatal(err)
		}
		if d == nil {
			return ids
		}
		ids[d.ID]++
		if err := Ack([]*Delivery{d}); err != nil {
			t.Fatal(err)
		}
	}
}

func depth(t testing.TB, b *Broker, queue string) int {
	t.Helper()
	n, err := b.Depth(t.Context(), queue)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// manage asks the management API; answer may be nil.
func manage(t testing.TB, env *devtest.Env, method, path string, body, answer any) {
	t.Helper()
	b, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, strings.TrimSuffix(env.ManagementURL, "/")+path, bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	said, _ := io.ReadAll(resp.Body)
	if resp.StatusCode >= 300 {
		t.Fatalf("%s %s: %s: %s", method, path, resp.Status, said)
	}
	if answer != nil {
		if err := json.Unmarshal(said, answer); err != nil {
			t.Fatalf("%s %s: %v in %s", method, path, err, said)
		}
	}
}

// vhost is the last part of an AMQP URL.
func vhost(t testing.TB, amqpURL string) string {
	t.Helper()
	u, err := url.Parse(amqpURL)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimPrefix(u.Path, "/")
}

// as is amqpURL for another user.
func as(t testing.TB, amqpURL, user, password string) string {
	t.Helper()
	u, err := url.Parse(amqpURL)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(user, password)
	return u.String()
}

// manageBackground is manage for cleaning up, when the context of the test is over.
func manageBackground(t testing.TB, env *devtest.Env, method, path string) {
	req, err := http.NewRequest(method, strings.TrimSuffix(env.ManagementURL, "/")+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Error(err)
		return
	}
	resp.Body.Close()
}
