package broker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"orderflow/pkg/devstack/devtest"
)

func TestPublisherConfirmsTenThousand(t *testing.T) {
	env := devtest.New(t)
	b := connect(t, env.AMQPURL)
	declareQueue(t, b, "q")
	p := publisher(t, b)
	publishAll(t, p, numbered("q", 10_000))
	if n := depth(t, b, "q"); n != 10_000 {
		t.Errorf("10000 messages are confirmed, the queue has %d", n)
	}
}

func TestPublisherReportsExactlyWhatNoQueueTakes(t *testing.T) {
	env := devtest.New(t)
	b := connect(t, env.AMQPURL)
	declareQueue(t, b, "q")
	p := publisher(t, b)

	// Each id is there four times: routable, unroutable, unroutable but not mandatory, and unroutable by another key.
	var messages []Message
	for i := range 1500 {
		m := Message{Exchange: "t.events", RoutingKey: "q", Mandatory: true, ID: fmt.Sprint(i % 700), Body: []byte("{}")}
		switch i % 4 {
		case 1:
			m.RoutingKey = "nobody"
		case 2:
			m.RoutingKey, m.Mandatory = "nobody", false
		case 3:
			m.RoutingKey = "nobody.else"
		}
		messages = append(messages, m)
	}
	for i, err := range p.PublishAll(t.Context(), messages) {
		switch m := messages[i]; {
		case m.Mandatory && m.RoutingKey != "q" && !errors.Is(err, ErrUnroutable):
			t.Fatalf("message %d (%+v) goes nowhere and is reported with %v", i, m, err)
		case (!m.Mandatory || m.RoutingKey == "q") && err != nil:
			t.Fatalf("message %d (%+v) is fine and is reported with %v", i, m, err)
		}
	}
	if n := depth(t, b, "q"); n != 375 {
		t.Errorf("the queue has %d messages, want 375", n)
	}
}

func TestPublisherReportsWhatAFullQueueRefuses(t *testing.T) {
	env := devtest.New(t)
	b := connect(t, env.AMQPURL)
	declareQueue(t, b, "full", "roomy")
	manage(t, env, "PUT", "/api/policies/"+vhost(t, env.AMQPURL)+"/small", map[string]any{
		"pattern": "^full$", "apply-to": "queues", "definition": map[string]any{"max-length": 5}}, nil)
	p := publisher(t, b)

	accepted := 0
	eventually(t, "the full queue refuses", func() bool {
		err := p.PublishAll(t.Context(), numbered("full", 1))[0]
		switch {
		case err == nil:
			accepted++
		case !errors.Is(err, ErrNacked):
			t.Fatalf("error %v, want %v", err, ErrNacked)
		}
		return err != nil
	})
	mixed := append(numbered("full", 100), numbered("roomy", 100)...)
	for i, err := range p.PublishAll(t.Context(), mixed) {
		if mixed[i].RoutingKey == "roomy" && err != nil {
			t.Errorf("a message to a queue with room: %v", err)
		}
		if mixed[i].RoutingKey == "full" && err == nil {
			accepted++
		}
	}
	if n := depth(t, b, "full"); n != accepted {
		t.Errorf("%d messages were confirmed, the full queue has %d", accepted, n)
	}
}

// fates counts how often each of n messages was reported.
type fates struct {
	mu       sync.Mutex
	reported []int
	errs     []error
	left     int
	all      chan struct{} // closed when every message was reported once
}

func newFates(n int) *fates {
	return &fates{reported: make([]int, n), errs: make([]error, n), left: n, all: make(chan struct{})}
}

func (f *fates) done(i int, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reported[i]++
	f.errs[i] = err
	if f.left--; f.left == 0 {
		close(f.all)
	}
}

// confirmed waits for the fate of all, and tells which were confirmed. Any error must be one of want.
func (f *fates) confirmed(t *testing.T, want ...error) map[string]bool {
	t.Helper()
	receive(t, "the fate of every message", f.all)
	f.mu.Lock()
	defer f.mu.Unlock()
	ids := map[string]bool{}
	for i, n := range f.reported {
		if n != 1 {
			t.Fatalf("message %d was reported %d times", i, n)
		}
		if f.errs[i] == nil {
			ids[fmt.Sprint(i)] = true
			continue
		}
		known := false
		for _, w := range want {
			known = known || errors.Is(f.errs[i], w)
		}
		if !known {
			t.Fatalf("message %d: error %v, want one of %v", i, f.errs[i], want)
		}
	}
	return ids
}

func TestPublisherLosesItsConnection(t *testing.T) {
	env := devtest.New(t)
	cutter, through := newProxy(t, env.AMQPURL)
	b := connect(t, through)
	declareQueue(t, b, "q")
	p := publisher(t, b)

	const n, part = 5000, 50
	fates := newFates(n)
	messages := numbered("q", n)
	cut := 0
	for at := 0; at < n; at += part {
		if at%1000 == 500 {
			cutter.cut()
			cut++
		}
		for {
			err := p.Publish(t.Context(), messages[at:at+part], func(i int, err error) { fates.done(at+i, err) })
			if err == nil {
				break
			}
			if !errors.Is(err, ErrNotConnected) {
				t.Fatal(err)
			}
			eventually(t, "the publisher is ready again", p.Ready)
		}
	}
	confirmed := fates.confirmed(t, ErrNotConnected)
	t.Logf("%d of %d confirmed over %d lost connections", len(confirmed), n, cut)
	eventually(t, "the publisher is ready again", p.Ready)
	publishAll(t, p, []Message{{Exchange: "t.events", RoutingKey: "q", Mandatory: true, ID: "last"}})
	confirmed["last"] = true
	in := idsIn(t, b, "q")
	for id := range confirmed {
		if in[id] == 0 {
			t.Errorf("message %s was confirmed and is not in the queue", id)
		}
	}
}

func TestPublisherSurvivesABrokerThatIsKilled(t *testing.T) {
	t.Parallel()
	env := devtest.Own(t)
	b := connect(t, env.AMQPURL)
	declareQueue(t, b, "q")
	env.SyncRabbitMQ()
	p := publisher(t, b)
	consumed := consumeAll(t, b, "q")

	const n = 3000
	fates := newFates(n)
	if err := p.Publish(t.Context(), numbered("q", n), fates.done); err != nil {
		t.Fatal(err)
	}
	receive(t, "the first message", consumed.first)
	env.KillRabbitMQ()
	eventually(t, "the publisher is not ready", func() bool { return !p.Ready() })
	if errs := p.PublishAll(t.Context(), numbered("q", 2)); !errors.Is(errs[0], ErrNotConnected) || !errors.Is(errs[1], ErrNotConnected) {
		t.Errorf("publishing to a dead broker: %v", errs)
	}
	confirmed := fates.confirmed(t, ErrNotConnected)
	env.StartRabbitMQ()
	eventually(t, "the publisher is ready again", p.Ready)
	publishAll(t, p, []Message{{Exchange: "t.events", RoutingKey: "q", Mandatory: true, ID: "last"}})
	confirmed["last"] = true
	consumed.until(t, confirmed)
	if n := depth(t, b, "q"); n != 0 {
		t.Errorf("all is acknowledged, the queue has %d messages", n)
	}
}

func TestPublisherIsHeldBack(t *testing.T) {
	env := devtest.New(t)
	holder, through := newProxy(t, env.AMQPURL)
	b := connect(t, through)
	declareQueue(t, b, "q")
	p := publisher(t, b)

	holder.block()
	eventually(t, "the publisher is not ready", func() bool { return !p.Ready() })
	few, stop := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer stop()
	if errs := p.PublishAll(few, numbered("q", 1)); !errors.Is(errs[0], context.DeadlineExceeded) {
		t.Errorf("publishing while the broker holds back: %v", errs)
	}
	holder.unblock()
	eventually(t, "the publisher is ready", p.Ready)
	publishAll(t, p, numbered("q", 10))
}

// A broker with an alarm does not even read that somebody wants to close the connection.
func TestCloseWhileHeldBack(t *testing.T) {
	t.Parallel()
	env := devtest.New(t)
	holder, through := newProxy(t, env.AMQPURL)
	b := connect(t, through)
	declareQueue(t, b, "q")
	p := publisher(t, b)
	holder.block()
	eventually(t, "the publisher is not ready", func() bool { return !p.Ready() })
	began := time.Now()
	closeBroker(t, b)
	if took := time.Since(began); took > limit/2 {
		t.Errorf("Close took %s", took)
	}
}

// Large messages fill the socket, so that the publisher stands in the middle of a write when the network stops.
func TestPublisherMendsAStalledConnection(t *testing.T) {
	t.Parallel()
	env := devtest.New(t)
	staller, through := newProxy(t, env.AMQPURL)
	b := connect(t, through+"?heartbeat=1")
	declareQueue(t, b, "q")
	p := publisher(t, b)

	const n = 300
	messages := numbered("q", n)
	for i := range messages {
		messages[i].Body = []byte(strings.Repeat("x", 100_000))
	}
	var fates *fates
	// With a heartbeat of one second, a busy machine may lose the connection before anything is sent.
	eventually(t, "the network stops while messages are sent", func() bool {
		staller.stall()
		fates = newFates(n)
		err := p.Publish(t.Context(), messages, fates.done)
		if err != nil && !errors.Is(err, ErrNotConnected) {
			t.Fatal(err)
		}
		return err == nil
	})
	if got := fates.confirmed(t, ErrNotConnected); len(got) > 0 {
		t.Errorf("%d messages were confirmed over a dead connection", len(got))
	}
	// It may lose the next connection, too.
	eventually(t, "messages are confirmed again", func() bool { return p.PublishAll(t.Context(), numbered("q", 1))[0] == nil })
}

func TestCloseWhileStalledInAWrite(t *testing.T) {
	t.Parallel()
	env := devtest.New(t)
	staller, through := newProxy(t, env.AMQPURL)
	b := connect(t, through)
	declareQueue(t, b, "q")
	p := publisher(t, b)
	staller.stall()
	messages := numbered("q", 300)
	for i := range messages {
		messages[i].Body = []byte(strings.Repeat("x", 100_000))
	}
	fates := newFates(len(messages))
	if err := p.Publish(t.Context(), messages, fates.done); err != nil {
		t.Fatal(err)
	}
	closeBroker(t, b)
	fates.confirmed(t, ErrNotConnected)
}

// What cannot be put into an AMQP frame concerns nobody but itself.
func TestPublisherRefusesWhatCannotBeSent(t *testing.T) {
	env := devtest.New(t)
	b := connect(t, env.AMQPURL)
	declareQueue(t, b, "q")
	p := publisher(t, b)
	long := strings.Repeat("x", 256)
	messages := numbered("q", 9)
	messages[1].CorrelationID = long
	messages[2].Headers = map[string]any{"h": struct{}{}}
	messages[3].RoutingKey = long
	messages[4].Headers = map[string]any{"h": strings.Repeat("x", 140_000)}
	messages[5].ID = long
	messages[6].Headers = map[string]any{long: 1}
	bad := map[int]bool{1: true, 2: true, 3: true, 4: true, 5: true, 6: true}
	ctx, stop := context.WithTimeout(t.Context(), limit)
	defer stop()
	for i, err := range p.PublishAll(ctx, messages) {
		if (err != nil) != bad[i] {
			t.Errorf("message %d: %v", i, err)
		}
		if errors.Is(err, ErrNotConnected) || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("message %d broke the connection: %v", i, err)
		}
	}
	if n := depth(t, b, "q"); n != 3 {
		t.Errorf("the queue has %d messages, want 3", n)
	}
}

func TestPublisherWhoseExchangeIsDeleted(t *testing.T) {
	env := devtest.New(t)
	b := connect(t, env.AMQPURL)
	declareQueue(t, b, "q")
	p := publisher(t, b)
	manage(t, env, "DELETE", "/api/exchanges/"+vhost(t, env.AMQPURL)+"/t.events", nil, nil)
	eventually(t, "the exchange is declared again and a message arrives", func() bool {
		return p.PublishAll(t.Context(), numbered("q", 1))[0] == nil
	})
}

func TestPublishWithoutAConnection(t *testing.T) {
	env := devtest.New(t)
	b := connect(t, env.AMQPURL)
	p := &Publisher{broker: b}
	if err := p.Publish(t.Context(), numbered("q", 1), nil); !errors.Is(err, ErrNotConnected) {
		t.Errorf("error %v, want %v", err, ErrNotConnected)
	}
}

// Of several messages without an id that are in flight to one address, nobody can tell which one came back: none of them has arrived.
func TestReturnsOfMessagesThatCannotBeToldApart(t *testing.T) {
	returns := make(chan amqp.Return, 4)
	s := &pubSession{publisher: &Publisher{}, returns: returns, returned: map[address]uint64{}}
	var got []error
	publish := func(key string) {
		s.inFlight.push(flight{address: address{key: key}, done: func(_ int, err error) { got = append(got, err) }})
		s.sent++
	}
	for _, key := range []string{"gone", "gone", "there"} {
		publish(key)
	}
	returns <- amqp.Return{RoutingKey: "gone"} // the second, after the first was routed
	for range 3 {
		s.confirm(amqp.Confirmation{Ack: true})
	}
	publish("gone") // it is there again
	s.confirm(amqp.Confirmation{Ack: true})
	want := []error{ErrUnroutable, ErrUnroutable, nil, nil}
	if !slices.Equal(got, want) || len(s.returned) > 0 {
		t.Errorf("got %v, want %v; %v left", got, want, s.returned)
	}
}
