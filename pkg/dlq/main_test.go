package dlq

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"orderflow/pkg/broker"
	"orderflow/pkg/devstack/devtest"
	"orderflow/pkg/flow"
)

func TestMain(m *testing.M) { devtest.Main(m) }

// limit is how long a test waits for something that is sure to come.
const limit = 30 * time.Second

const (
	work = "t.work"
	dead = work + ".dlq"
)

// bench is a broker with the queues t.work and t.other, and a publisher.
type bench struct {
	testing.TB
	env       *devtest.Env
	broker    *broker.Broker
	publisher *broker.Publisher
}

func newBench(t testing.TB) *bench {
	t.Helper()
	env := devtest.New(t)
	b := open(t, env.AMQPURL)
	topology := broker.Topology{Exchange: "t.events", Queues: []broker.Queue{{Name: work}, {Name: "t.other"}}}
	if err := b.Declare(t.Context(), topology); err != nil {
		t.Fatal(err)
	}
	p := b.NewPublisher()
	ctx, stop := context.WithTimeout(t.Context(), limit)
	defer stop()
	if err := p.Await(ctx); err != nil {
		t.Fatal(err)
	}
	return &bench{t, env, b, p}
}

func open(t testing.TB, address string) *broker.Broker {
	t.Helper()
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	b, err := broker.Open(t.Context(), broker.Config{URLs: []string{address}, Name: t.Name(), Log: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

// deadLetter is a message as package flow dead-letters it, in the dead-letter queue of t.work.
func deadLetter(id, queue string) broker.Message {
	return broker.Message{
		RoutingKey: dead, Mandatory: true, ID: id, Type: "OrderPlaced", CorrelationID: "order-" + id, AppID: "order",
		ContentType: "application/cloudevents+json", Timestamp: time.Unix(1_700_000_000, 0), Body: []byte(`{"id":"` + id + `"}`),
		Headers: map[string]any{
			flow.HeaderQueue: queue, flow.HeaderService: "t", flow.HeaderReason: flow.ReasonExhausted, flow.HeaderError: "no luck",
			flow.HeaderAttempts: int64(5), flow.HeaderFirstFailedAt: "2026-01-02T03:04:05.5Z",
			flow.HeaderDeadAt: "2026-01-02T03:10:00Z", "traceparent": "00-1-2-01",
		},
	}
}

// die puts n dead letters of t.work into its dead-letter queue, with the ids from 0 to n-1.
func (b *bench) die(n int) []string {
	b.Helper()
	messages, ids := make([]broker.Message, n), make([]string, n)
	for i := range messages {
		ids[i] = fmt.Sprint(i)
		messages[i] = deadLetter(ids[i], work)
	}
	b.publish(messages...)
	return ids
}

func (b *bench) publish(messages ...broker.Message) {
	b.Helper()
	ctx, stop := context.WithTimeout(b.Context(), limit)
	defer stop()
	for i, err := range b.publisher.PublishAll(ctx, messages) {
		if err != nil {
			b.Fatalf("publish message %d: %v", i, err)
		}
	}
}

// look returns the messages of a queue, and leaves them there.
func (b *bench) look(queue string, max int) []Letter {
	b.Helper()
	var letters []Letter
	depth, err := Look(b.Context(), b.broker, Source{Queue: queue, Take: max}, func(l Letter) error {
		letters = append(letters, l)
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	if max <= 0 && depth != len(letters) {
		b.Errorf("%s has %d messages, but %d were shown", queue, depth, len(letters))
	}
	return letters
}

func (b *bench) ids(queue string) []string {
	b.Helper()
	var ids []string
	for _, l := range b.look(queue, 0) {
		ids = append(ids, l.ID)
	}
	return ids
}

// empty takes everything out of a queue.
func (b *bench) empty(queue string) {
	b.Helper()
	g, err := b.broker.NewGetter(b.Context(), queue)
	if err != nil {
		b.Fatal(err)
	}
	defer g.Close()
	for {
		d, err := g.Next()
		if err != nil {
			b.Fatal(err)
		}
		if d == nil {
			return
		}
		if err := broker.Ack([]*broker.Delivery{d}); err != nil {
			b.Fatal(err)
		}
	}
}

func (b *bench) replay(o Job) Run {
	b.Helper()
	if o.From == nil {
		o.From = []Source{{Queue: dead}}
	}
	if o.Do.Name == "" {
		o.Do = Replay()
	}
	run, err := Do(b.Context(), b.broker, o)
	if err != nil {
		b.Fatal(err)
	}
	return run
}

// consume calls f with the messages of a queue until the test ends, and acknowledges them.
func (b *bench) consume(queue string, f func(*broker.Delivery)) (stop func()) {
	ctx, cancel := context.WithCancel(b.Context())
	var ended sync.WaitGroup
	ended.Go(func() {
		cfg := broker.ConsumerConfig{Queue: queue, Prefetch: 100, Batch: 100}
		b.broker.Consume(ctx, cfg, func(batch []*broker.Delivery) {
			for _, d := range batch {
				f(d)
			}
			if err := broker.Ack(batch); err != nil {
				b.Error(err)
			}
		})
	})
	return func() { cancel(); ended.Wait() }
}

// manage calls the management API, for what other programs and administrators do.
func (b *bench) manage(method, path, body string) {
	b.Helper()
	vhost := b.env.AMQPURL[strings.LastIndex(b.env.AMQPURL, "/")+1:]
	request, err := http.NewRequestWithContext(b.Context(), method, b.env.ManagementURL+fmt.Sprintf(path, url.PathEscape(vhost)), strings.NewReader(body))
	if err != nil {
		b.Fatal(err)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		b.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode/100 != 2 {
		said, _ := io.ReadAll(response.Body)
		b.Fatalf("%s %s: %s: %s", method, path, response.Status, said)
	}
}

// eventually polls for what has no signal.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	devtest.Eventually(t, limit, what, is)
}

// wire stands between a client and the broker, and can be cut.
type wire struct {
	listener net.Listener
	mu       sync.Mutex
	conns    []net.Conn
	owned    sync.WaitGroup
}

// newWire returns a wire and the address of the broker through it.
func newWire(t testing.TB, address string) (*wire, string) {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w, target := &wire{listener: listener}, u.Host
	w.owned.Go(func() { w.serve(target) })
	t.Cleanup(func() {
		listener.Close()
		w.cut()
		w.owned.Wait()
	})
	u.Host = listener.Addr().String()
	return w, u.String()
}

func (w *wire) serve(target string) {
	for {
		client, err := w.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", target)
		if err != nil {
			client.Close()
			continue
		}
		w.mu.Lock()
		w.conns = append(w.conns, client, server)
		w.mu.Unlock()
		for _, way := range [][2]net.Conn{{client, server}, {server, client}} {
			w.owned.Go(func() {
				io.Copy(way[0], way[1])
				way[0].Close()
			})
		}
	}
}

// cut closes all connections, as a broken network does: what is under way is lost.
func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.conns {
		if tcp, ok := c.(*net.TCPConn); ok {
			tcp.SetLinger(0)
		}
		c.Close()
	}
	w.conns = nil
}
