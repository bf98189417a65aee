package flow

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
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"orderflow/migrations"
	"orderflow/pkg/broker"
	"orderflow/pkg/devstack/devtest"
	"orderflow/pkg/event"
	"orderflow/pkg/postgres"
)

func TestMain(m *testing.M) { devtest.Main(m) }

// limit is how long a test waits for something that is sure to come.
const limit = 40 * time.Second

const (
	queue    = "test.placed"   // what the service under test subscribes to
	observed = "test.observer" // takes the events that it sends
)

// house is a service under test with all that is around it.
type house struct {
	t       *testing.T
	env     *devtest.Env
	db      *pgxpool.Pool
	broker  *broker.Broker
	feeder  *broker.Publisher
	journal *journal
	cfg     Config // for services; tests change it
}

// newHouse has a schema with a table of effects, whose rows count how often an event had one.
func newHouse(t *testing.T, env *devtest.Env) *house {
	t.Helper()
	h := &house{t: t, env: env, journal: newJournal()}
	if _, err := postgres.Migrate(t.Context(), postgres.Config{URL: env.DatabaseURL, Schema: "test"}, migrations.Files, migrations.Flow); err != nil {
		t.Fatal(err)
	}
	var err error
	if h.db, err = postgres.Open(t.Context(), postgres.Config{URL: env.DatabaseURL, Schema: "test", Name: "test", MaxConns: 12}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.db.Close)
	h.exec("CREATE TABLE effects (event_id uuid PRIMARY KEY, n int NOT NULL DEFAULT 1)")
	h.broker = h.connect()
	h.feeder = h.broker.NewPublisher()
	if err := h.feeder.Await(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.cfg = Config{
		Service: "test", Catalog: event.Orders, DB: h.db, Log: quiet(t), Metrics: NewMetrics(prometheus.NewRegistry()),
		RetryDelays: []time.Duration{50 * time.Millisecond, 200 * time.Millisecond}, DrainTimeout: 10 * time.Second,
		Patience: limit, // many services start at once here
	}
	h.declare(Subscription{Queue: queue, Events: []event.Type{event.TypeOrderPlaced}})
	return h
}

func quiet(t *testing.T) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
}

func (h *house) connect() *broker.Broker {
	h.t.Helper()
	b, err := broker.Open(h.t.Context(), broker.Config{URLs: []string{h.env.AMQPURL}, Name: h.t.Name(), Log: quiet(h.t)})
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { b.Close() })
	return b
}

func (h *house) declare(subscriptions ...Subscription) {
	h.t.Helper()
	if err := h.broker.Declare(h.t.Context(), Topology(h.cfg.Catalog, h.cfg.RetryDelays, subscriptions)); err != nil {
		h.t.Fatal(err)
	}
}

// observe makes the queue that takes what the service sends.
func (h *house) observe() {
	h.t.Helper()
	h.declare(Subscription{Queue: observed, Events: []event.Type{event.TypePaymentVoided}})
}

func (h *house) exec(sql string, args ...any) {
	h.t.Helper()
	if _, err := h.db.Exec(h.t.Context(), sql, args...); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) number(sql string, args ...any) (n int) {
	h.t.Helper()
	if err := h.db.QueryRow(h.t.Context(), sql, args...).Scan(&n); err != nil {
		h.t.Fatal(err)
	}
	return n
}

// running is a service that runs.
type running struct {
	*Service
	stop func() // and wait for the end
}

// run starts a service with one subscription, which is stopped when the test ends.
func (h *house) run(handler Handler, workers int) *running {
	h.t.Helper()
	return h.start(func(s *Service) {
		s.Subscribe(Subscription{Queue: queue, Events: []event.Type{event.TypeOrderPlaced}, Handler: handler, Workers: workers})
	})
}

// start starts a service that furnish has made complete. It is stopped when the test ends.
func (h *house) start(furnish func(*Service)) *running {
	h.t.Helper()
	cfg := h.cfg
	b := h.connect()
	cfg.Broker = b
	s := New(cfg)
	furnish(s)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := receive(h.t, "the end of Run", ended); err != nil {
			h.t.Errorf("Run: %v", err)
		}
		b.Close()
	})
	h.t.Cleanup(stop)
	select {
	case <-s.Started():
	case err := <-ended:
		h.t.Fatalf("Run: %v", err)
	case <-time.After(limit):
		h.t.Fatal("the service does not start")
	}
	return &running{s, stop}
}

// placed makes events whose payment method tells the reaction what to do.
func placed(n int, method string) []*event.Event {
	events := make([]*event.Event, n)
	for i := range events {
		price := event.MinorAmount(100, "EUR")
		events[i] = event.New("order", time.Now(), uuid.NewString(), &event.OrderPlaced{Order: event.Order{
			OrderID: event.NewID(), CustomerID: "c", Currency: "EUR", TotalAmount: price,
			Items:         []event.Item{{ProductID: "p", Quantity: 1, UnitPrice: price}},
			PaymentMethod: method,
			ShippingAddress: event.Address{
				Name: "n", Line1: "l", City: "c", PostalCode: "p", Country: "DE",
			},
		}})
	}
	return events
}

func method(e *event.Event) string { return e.Data.(*event.OrderPlaced).PaymentMethod }

// voided is an event that follows from e.
func voided(e *event.Event) *event.Event {
	return e.Follow("test", time.Now(), &event.PaymentVoided{
		Order: e.Data.(*event.OrderPlaced).Order, PaymentID: event.NewID(), Reason: event.ReasonCustomerRequest})
}

func message(t testing.TB, e *event.Event) broker.Message {
	t.Helper()
	body, err := event.Orders.Encode(e)
	if err != nil {
		t.Fatal(err)
	}
	return broker.Message{Exchange: event.Orders.Exchange, RoutingKey: event.Orders.Kind(e.Type()).RoutingKey, Mandatory: true,
		ID: e.ID.String(), Type: string(e.Type()), CorrelationID: e.CorrelationID, ContentType: event.ContentType, Body: body}
}

// feed publishes events, or copies of them.
func (h *house) feed(events ...*event.Event) {
	h.t.Helper()
	messages := make([]broker.Message, len(events))
	for i, e := range events {
		messages[i] = message(h.t, e)
	}
	h.publish(messages...)
}

func (h *house) publish(messages ...broker.Message) {
	h.t.Helper()
	ctx, stop := context.WithTimeout(h.t.Context(), limit)
	defer stop()
	for i, err := range h.feeder.PublishAll(ctx, messages) {
		if err != nil {
			h.t.Fatalf("message %d: %v", i, err)
		}
	}
}

// journal is what reactions have told the test.
type journal struct {
	mu      sync.Mutex
	handled map[uuid.UUID]int // transactions committed
	tried   map[uuid.UUID]int // reactions called
	news    chan struct{}
}

func newJournal() *journal {
	return &journal{handled: map[uuid.UUID]int{}, tried: map[uuid.UUID]int{}, news: make(chan struct{}, 1)}
}

func (j *journal) note(what map[uuid.UUID]int, events []*event.Event) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, e := range events {
		what[e.ID]++
	}
	signal(j.news)
}

func (j *journal) count(what map[uuid.UUID]int, id uuid.UUID) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return what[id]
}

// until waits until all events were handled.
func (j *journal) until(t *testing.T, events []*event.Event) {
	t.Helper()
	deadline := time.After(limit)
	for {
		missing := 0
		for _, e := range events {
			if j.count(j.handled, e.ID) == 0 {
				missing++
			}
		}
		if missing == 0 {
			return
		}
		select {
		case <-j.news:
		case <-deadline:
			t.Fatalf("%d of %d events were never handled", missing, len(events))
		}
	}
}

// effect is the reaction of most tests. It does something that must not be done twice, and answers with an event. The payment
// method "poison" fails, "panic" panics, "reject" is rejected, "flaky" fails once.
func (h *house) effect() Handler {
	return React(func(ctx context.Context, tx *postgres.Tx, batch []*event.Event) ([]*event.Event, error) {
		h.journal.note(h.journal.tried, batch)
		var follow []*event.Event
		var ids []uuid.UUID
		for _, e := range batch {
			switch method(e) {
			case "poison":
				return nil, fmt.Errorf("poison in a batch of %d", len(batch))
			case "panic":
				panic("what now?")
			case "reject":
				return nil, Reject("never: %s", e.ID)
			case "flaky":
				if len(batch) == 1 && h.journal.count(h.journal.tried, e.ID) < 3 || len(batch) > 1 {
					return nil, fmt.Errorf("flaky in a batch of %d", len(batch))
				}
			}
			ids = append(ids, e.ID)
			follow = append(follow, voided(e))
		}
		countEffects(tx, ids)
		tx.OnCommit(func() { h.journal.note(h.journal.handled, batch) })
		return follow, nil
	})
}

func countEffects(tx *postgres.Tx, ids []uuid.UUID) {
	tx.Queue(`INSERT INTO effects (event_id) SELECT unnest($1::uuid[]) ON CONFLICT (event_id) DO UPDATE SET n = effects.n + 1`, ids)
}

// wantOnce checks that each event had its effect exactly once, and nothing else had one.
func (h *house) wantOnce(events []*event.Event) {
	h.t.Helper()
	if n := h.number("SELECT count(*) FROM effects"); n != len(events) {
		h.t.Errorf("%d events had an effect, want %d", n, len(events))
	}
	if n := h.number("SELECT count(*) FROM effects WHERE n > 1"); n != 0 {
		h.t.Errorf("%d events had their effect more than once", n)
	}
	ids := make([]uuid.UUID, len(events))
	for i, e := range events {
		ids[i] = e.ID
	}
	if n := h.number("SELECT count(*) FROM effects WHERE event_id = ANY($1)", ids); n != len(events) {
		h.t.Errorf("%d of %d events had their effect", n, len(events))
	}
}

// eventually polls for what has no signal.
func (h *house) eventually(what string, is func() bool) {
	h.t.Helper()
	devtest.Eventually(h.t, limit, what, is)
}

func receive[T any](t testing.TB, what string, c <-chan T) T {
	t.Helper()
	return devtest.Receive(t, limit, what, c)
}

func (h *house) depth(queue string) int {
	h.t.Helper()
	n, err := h.broker.Depth(h.t.Context(), queue)
	if err != nil {
		h.t.Fatal(err)
	}
	return n
}

func (h *house) outbox() int { h.t.Helper(); return h.number("SELECT count(*) FROM outbox") }

// take empties a queue.
func (h *house) take(queue string) (ds []*broker.Delivery) {
	h.t.Helper()
	g, err := h.broker.NewGetter(h.t.Context(), queue)
	if err != nil {
		h.t.Fatal(err)
	}
	defer g.Close()
	for {
		d, err := g.Next()
		if err != nil {
			h.t.Fatal(err)
		}
		if d == nil {
			return ds
		}
		ds = append(ds, d)
		if err := broker.Ack([]*broker.Delivery{d}); err != nil {
			h.t.Fatal(err)
		}
	}
}

// wantFollowers checks that the observer has the answer to each event, exactly once but for those that were published again.
func (h *house) wantFollowers(events []*event.Event, exactly bool) {
	h.t.Helper()
	h.eventually("the outbox is empty", func() bool { return h.outbox() == 0 })
	ids, causes := map[string]int{}, map[string]map[string]bool{}
	for _, d := range h.take(observed) {
		e, err := event.Orders.Decode(d.Body)
		if err != nil {
			h.t.Fatal(err)
		}
		ids[d.ID]++
		if causes[e.CausationID] == nil {
			causes[e.CausationID] = map[string]bool{}
		}
		causes[e.CausationID][d.ID] = true
	}
	for _, e := range events {
		if n := len(causes[e.ID.String()]); n != 1 {
			h.t.Errorf("event %s has %d different answers", e.ID, n)
		}
	}
	if len(ids) != len(events) {
		h.t.Errorf("the observer has %d events, want %d", len(ids), len(events))
	}
	for id, n := range ids {
		if exactly && n > 1 {
			h.t.Errorf("event %s was published %d times", id, n)
		}
	}
}

// manage asks the management API.
func (h *house) manage(verb, path string, body any) {
	h.t.Helper()
	u, err := url.Parse(h.env.AMQPURL)
	if err != nil {
		h.t.Fatal(err)
	}
	path = strings.ReplaceAll(path, "VHOST", strings.TrimPrefix(u.Path, "/"))
	b, err := json.Marshal(body)
	if err != nil {
		h.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(h.t.Context(), verb, strings.TrimSuffix(h.env.ManagementURL, "/")+path, bytes.NewReader(b))
	if err != nil {
		h.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	defer resp.Body.Close()
	if said, _ := io.ReadAll(resp.Body); resp.StatusCode >= 300 {
		h.t.Fatalf("%s %s: %s: %s", verb, path, resp.Status, said)
	}
}
