package main_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"orderflow/pkg/broker"
	"orderflow/pkg/devstack/devtest"
)

// TestAlerts makes for each alert of deploy/observability/rules.yml the fault that it tells of, on real servers under a real Prometheus,
// sees it firing, mends what is broken, and sees that it is over. Only the durations in the rules are shorter.
func TestAlerts(t *testing.T) {
	t.Parallel()
	f := newFaulty(t)
	f.healthy()

	f.shipping.kill()
	f.placeSome(3, "for whom nobody books parcels")
	f.await("events in the queue of a service that does not run", func() (int, error) { return f.broker.Depth(t.Context(), "shipping.inventory-reserved") }, 3)
	unlock := f.lock("inventory.outbox")
	f.placeSome(3, "whose stock is locked")
	f.await("payments of those whose stock is locked", func() (int, error) {
		return count(t, f.Env, "SELECT count(*) FROM payment.payments WHERE status = 'charged'"), nil
	}, 9)
	f.gatewayAway.Store(true)
	f.placeSome(4, "whose bank does not answer")
	f.await("intents to charge", func() (int, error) { return count(t, f.Env, "SELECT count(*) FROM payment.payments"), nil }, 13)
	f.publish("order.progress", "no event")
	f.await("dead letters", func() (int, error) { return f.broker.Depth(t.Context(), "order.progress.dlq") }, 1)
	f.control("set_vm_memory_high_watermark", "0.00001")
	unsaid := f.placeSome(2, "whom nobody hears of")
	f.refused(unsaid[0])

	f.awaitFiring(t,
		"InstanceDown", "ServiceAbsent shipping", "QueueWithoutConsumers shipping.inventory-reserved",
		"ServiceNotReady inventory", "QueueNotMoving inventory.payment-processed",
		"BreakerOpen gateway", "OutboxOld order", "OrdersOverdue", "OrdersRefused", "RequestsRefused busy",
		"DeadLetters order.progress invalid_message", "DeadLettersWaiting order.progress.dlq", "RequestsFail /v1/shipments",
		"RabbitMQAlarm memory")
	f.drawn()

	f.control("set_vm_memory_high_watermark", "0.4")
	unlock()
	f.awaitFiring(t, "EventLag inventory.payment-processed")
	f.gatewayAway.Store(false)
	f.shipping.start()
	f.command("dlq", "drop", "order.progress", "--all", "--to", t.TempDir()+"/dropped.jsonl", "--yes")
	for _, id := range f.orders {
		f.ends(id)
	}
	f.awaitOver(t) // all of them

	f.SyncRabbitMQ()
	f.KillRabbitMQ()
	f.awaitFiring(t, "RabbitMQDown")
	f.StartRabbitMQ()
	f.awaitOver(t)

	for name := range alertRules(t) {
		if !f.fired(name) {
			t.Errorf("%s has never fired", name)
		}
	}
}

// faulty is services as processes of their own, on servers of their own, with a Prometheus that looks at all of them.
type faulty struct {
	*prometheus
	*devtest.OwnEnv
	t *testing.T

	order, smallOrder, payment, inventory, shipping, edge *program
	broker                                                *broker.Broker
	gatewayAway                                           atomic.Bool
	orders                                                []string // that were placed
}

func newFaulty(t *testing.T) *faulty {
	f := &faulty{t: t, OwnEnv: devtest.Own(t)}
	over, end := context.WithCancel(context.Background())
	gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if f.gatewayAway.Load() {
			select {
			case <-r.Context().Done():
			case <-over.Done():
			}
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusCreated)
		fmt.Fprintf(w, `{"reference": %q}`, r.Header.Get("Idempotency-Key"))
	}))
	t.Cleanup(func() { end(); gateway.Close() })

	// Delays that are longer than the fault, so that no message is given up meanwhile.
	with := func(more ...string) []string {
		return settings(f.Env, append(more, "RETRY_DELAYS=1s,5s,30s,60s", "ORDER_DEADLINE=10s")...)
	}
	f.order = run(t, with(), "serve", "order")
	f.smallOrder = run(t, with("MAX_OPEN_ORDERS=1", "MAX_WAITING=1"), "serve", "order")
	f.payment = run(t, with("GATEWAY_URL="+gateway.URL, "GATEWAY_TIMEOUT=300ms", "GATEWAY_CALLS=3"), "serve", "payment")
	f.inventory = run(t, with(), "serve", "inventory")
	f.shipping = run(t, with(), "serve", "shipping")
	f.edge = run(t, with(), "edge", "--order", f.order.base, "--payment", f.payment.base, "--inventory", f.inventory.base, "--shipping", f.shipping.base)
	f.broker = brokerOf(t, f.Env)

	var processes []string
	for _, p := range []*program{f.order, f.smallOrder, f.payment, f.inventory, f.shipping, f.edge} {
		processes = append(processes, host(t, p.base))
	}
	rabbitmq := []string{host(t, f.MetricsURL)}
	f.prometheus = startPrometheus(t, newManagement(t, f.Env).vhost, map[string][]string{"orderflow": processes, "rabbitmq": rabbitmq, "rabbitmq-queues": rabbitmq})
	f.awaitTargets(t, len(processes)+2)
	return f
}

func host(t testing.TB, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		t.Fatalf("%q is no address: %v", address, err)
	}
	return u.Host
}

// healthy sees that orders end, and that nobody is alarmed.
func (f *faulty) healthy() {
	f.t.Helper()
	f.awaitOver(f.t) // what only tells that some were the first to start
	clear(f.seen)
	for _, product := range []string{"book", "lamp"} {
		putStock(f.t, f.inventory.client, product, 1000)
	}
	for _, id := range f.placeSome(3, "with whom all is well") {
		f.ends(id)
	}
	f.awaitOver(f.t)
	if len(f.seen) > 0 {
		f.t.Errorf("%v fired while all was well", f.seen)
	}
}

// placeSome places orders and returns their ids.
func (f *faulty) placeSome(n int, customer string) (ids []string) {
	f.t.Helper()
	for range n {
		ids = append(ids, place(f.t, f.order.client, goodOrder(customer)).OrderID)
	}
	f.orders = append(f.orders, ids...)
	return ids
}

func (f *faulty) ends(id string) {
	f.t.Helper()
	if o := follow(f.t, f.order.client, id); o.Status != "shipped" {
		f.t.Errorf("order %s is %s", id, o.Status)
	}
}

func (f *faulty) await(what string, measure func() (int, error), want int) {
	f.t.Helper()
	eventually(f.t, what, func() error {
		if n, err := measure(); err != nil || n < want {
			return fmt.Errorf("%d of %d, %v", n, want, err)
		}
		return nil
	})
}

// lock locks a table, as somebody does who has left a transaction open.
func (f *faulty) lock(table string) (unlock func()) {
	f.t.Helper()
	holder, err := pgx.Connect(f.t.Context(), f.DatabaseURL)
	if err != nil {
		f.t.Fatal(err)
	}
	if _, err := holder.Exec(f.t.Context(), "BEGIN; LOCK TABLE "+table); err != nil {
		f.t.Fatal(err)
	}
	unlock = func() { holder.Close(context.Background()) }
	f.t.Cleanup(unlock)
	return unlock
}

// refused asks for more than the small process of the order service takes, and for what a service that does not run would answer, until
// the test ends.
func (f *faulty) refused(open string) {
	f.t.Helper()
	expectProblem(f.t, f.smallOrder.call(f.t, http.MethodPost, "/v1/orders", goodOrder("who comes too late")), 503, "")
	const stream = "Accept: text/event-stream"
	asking, enough := context.WithCancel(f.t.Context())
	var listener, requests sync.WaitGroup
	listening, stop := context.WithCancel(asking)
	listener.Go(func() { f.smallOrder.send(listening, http.MethodGet, "/v1/orders/"+open+"/events", nil, stream) })
	eventually(f.t, "one listens", func() error {
		if n := scrape(f.t, f.smallOrder.client, "/metrics")["orderflow_order_watchers{}"]; n != "1" {
			return fmt.Errorf("%s listen", n)
		}
		return nil
	})
	expectProblem(f.t, f.smallOrder.call(f.t, http.MethodGet, "/v1/orders/"+open+"/events", nil, stream), 503, "")
	stop()
	listener.Wait()

	requests.Go(func() {
		for tick := time.NewTicker(200 * time.Millisecond); asking.Err() == nil; {
			f.edge.send(asking, http.MethodGet, "/v1/shipments?order_id="+open, nil)
			select {
			case <-tick.C:
			case <-asking.Done():
			}
		}
	})
	f.t.Cleanup(func() { enough(); requests.Wait() })
}

// publish puts a text into a queue.
func (f *faulty) publish(queue, text string) {
	f.t.Helper()
	for _, err := range newPublisher(f.t, f.broker).PublishAll(f.t.Context(), []broker.Message{{RoutingKey: queue, Mandatory: true, Body: []byte(text)}}) {
		if err != nil {
			f.t.Fatal(err)
		}
	}
}

// command runs one of the program's commands for operators.
func (f *faulty) command(args ...string) {
	f.t.Helper()
	if out, said, code := call(f.t, settings(f.Env, "RETRY_DELAYS=1s,5s,30s,60s"), args...); code != 0 {
		f.t.Fatalf("%s: exit code %d\n%s%s", strings.Join(args, " "), code, out, said)
	}
}

func (f *faulty) control(args ...string) {
	f.t.Helper()
	if out, err := f.Control(args...); err != nil {
		f.t.Fatalf("%v: %s", err, out)
	}
}

// drawn sees that every panel of the dashboard has something to show, but for those of Postgres, of which nobody tells here, and those
// that show only what is more than nothing.
func (f *faulty) drawn() {
	f.t.Helper()
	for _, p := range dashboard(f.t) {
		for _, target := range p.Targets {
			expression := filled.Replace(target.Expr)
			a := f.prometheus.call(f.t, http.MethodGet, "/api/v1/query?query="+url.QueryEscape(expression), nil)
			found := unmarshal[struct {
				Data struct{ Result []json.RawMessage }
			}](f.t, a.body)
			none := strings.Contains(expression, "pg_") || strings.HasSuffix(expression, "> 0")
			if a.status != http.StatusOK || len(found.Data.Result) == 0 && !none {
				f.t.Errorf("%s: nothing to show for %s: %s", p.Title, expression, a)
			}
		}
	}
}

// fired tells whether an alert of that name was seen, whatever it was about.
func (f *faulty) fired(name string) bool {
	for seen := range f.seen {
		if first, _, _ := strings.Cut(seen, " "); first == name {
			return true
		}
	}
	return false
}
