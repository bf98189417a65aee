package main_test

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"orderflow/pkg/broker"
	"orderflow/pkg/contract"
	"orderflow/pkg/devstack/devtest"
	"orderflow/pkg/event"
)

// listening holds everything that the program says to its contract: the schemas, strictly, the routing keys and the properties.
type listening struct {
	strict map[string]func([]byte) error // by type

	mu     sync.Mutex
	heard  map[string]int // messages, by type
	orders map[string]map[string]bool
	faults []string
	news   chan struct{} // gets a token, if there is none, with every message
	ended  func()
}

// hearAll hears all events from now on. The test fails if one of them breaks the contract.
func hearAll(t testing.TB, env devtest.Env) *listening {
	t.Helper()
	l := &listening{strict: map[string]func([]byte) error{}, heard: map[string]int{}, orders: map[string]map[string]bool{}, news: make(chan struct{}, 1)}
	schemas, err := contract.Read(event.Schemas)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range event.Orders.Kinds() {
		if l.strict[string(k.Type)], err = contract.Strict(schemas[k.Versions()[0].File()]); err != nil {
			t.Fatal(err)
		}
	}
	tap, err := openBroker(t, env).Tap(t.Context(), event.Orders.Exchange, "#")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- tap.Hear(ctx, l.hear) }()
	l.ended = sync.OnceFunc(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("listening: %v", err)
		}
		for _, f := range l.faults {
			t.Error(f)
		}
	})
	t.Cleanup(l.ended)
	return l
}

func (l *listening) hear(m *broker.Message) {
	fault := l.fault(m)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.heard[m.Type]++
	if e, err := event.Orders.Decode(m.Body); err == nil {
		order := e.Subject().String()
		if l.orders[order] == nil {
			l.orders[order] = map[string]bool{}
		}
		l.orders[order][m.Type] = true
	}
	if fault != "" && len(l.faults) < 10 {
		l.faults = append(l.faults, fmt.Sprintf("%s %s: %s in %s", m.Type, m.ID, fault, m.Body))
	}
	select {
	case l.news <- struct{}{}:
	default:
	}
}

// fault is what is wrong with a message, or "".
func (l *listening) fault(m *broker.Message) string {
	e, err := event.Orders.Decode(m.Body)
	if err != nil {
		return err.Error()
	}
	kind := event.Orders.Kind(e.Type())
	if err := l.strict[string(e.Type())](m.Body); err != nil {
		return "it does not keep to its schema: " + err.Error()
	}
	got := []any{m.RoutingKey, m.ID, m.Type, m.CorrelationID, m.AppID, m.ContentType, m.Timestamp.Unix()}
	want := []any{kind.RoutingKey, e.ID.String(), string(e.Type()), e.CorrelationID, kind.Source, event.ContentType, event.IDTime(e.ID).Unix()}
	if !slices.Equal(got, want) {
		return fmt.Sprintf("its properties are %q, want %q", got, want)
	}
	if len(m.Headers) > 0 {
		return fmt.Sprintf("it has headers: %v", m.Headers)
	}
	return ""
}

// until waits until an event of a type was heard of an order.
func (l *listening) until(t *testing.T, order string, of event.Type) {
	t.Helper()
	deadline := time.After(limit)
	for {
		l.mu.Lock()
		heard := maps.Clone(l.orders[order])
		l.mu.Unlock()
		if heard[string(of)] {
			return
		}
		select {
		case <-l.news:
		case <-deadline:
			t.Fatalf("no %s of order %s was heard, only %v", of, order, slices.Sorted(maps.Keys(heard)))
		}
	}
}

// types are those of which something was heard.
func (l *listening) types() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Sorted(maps.Keys(l.heard))
}

// TestWhatIsSaidKeepsToTheContract causes every event there is, and holds each message to its schema.
func TestWhatIsSaidKeepsToTheContract(t *testing.T) {
	env := *devtest.New(t)
	others := newProvider(t)
	p := run(t, settings(env, "CARRIER_URL="+others.URL+"/carrier", "CARRIER_TIMEOUT=1m"), "serve", "order", "inventory", "shipping")
	l := hearAll(t, env)
	putStock(t, p.client, "book", 1000)
	putStock(t, p.client, "rare", 1)
	order := func(change func(*placement)) string {
		o := goodOrder("customer")
		o.Items = []item{{"book", 1, "19.99"}}
		change(&o)
		return place(t, p.client, o).OrderID
	}
	cancel := func(id string) {
		if a := p.call(t, http.MethodPost, "/v1/orders/"+id+"/cancel", nil); a.status != http.StatusAccepted {
			t.Errorf("cancel: %s", a)
		}
	}

	neverCharged(t, env, l, order(func(*placement) {}), cancel)

	ends := map[string]string{
		order(func(*placement) {}):                                                                        "shipped",
		order(func(o *placement) { o.PaymentMethod = "pm_declined" }):                                     "payment_failed",
		order(func(o *placement) { o.Items = []item{{"rare", 2, "1.00"}} }):                               "out_of_stock",
		order(func(o *placement) { o.Items = []item{{"unheard-of", 1, "1.00"}} }):                         "unknown_product",
		order(func(o *placement) { o.ShippingAddress.City = "Atlantis" }):                                 "shipment_failed",
		lateToCancel(t, others, order(func(o *placement) { o.ShippingAddress.City = "Hold" }), cancel, l): "shipped",
	}
	for id, want := range ends {
		o := follow(t, p.client, id)
		if o.CancelReason != want && (want != "shipped" || o.Status != want) {
			t.Errorf("order %s ended as %s %s, want %s", id, o.Status, o.CancelReason, want)
		}
		last := event.TypeOrderCancelled
		if want == "shipped" {
			last = event.TypeOrderShipped
		}
		l.until(t, id, last)
	}
	var want []string
	for _, k := range event.Orders.Kinds() {
		want = append(want, string(k.Type))
	}
	slices.Sort(want)
	if got := l.types(); !slices.Equal(got, want) {
		t.Errorf("heard %s, want %s", strings.Join(got, " "), strings.Join(want, " "))
	}
}

// neverCharged cancels an order whose OrderPlaced is held back until payment, which starts only now, has heard that the order is called off.
func neverCharged(t *testing.T, env devtest.Env, l *listening, id string, cancel func(string)) {
	t.Helper()
	held, err := openBroker(t, env).NewGetter(t.Context(), "payment.order-placed")
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "OrderPlaced in payment's queue", func() error {
		if d, err := held.Next(); err != nil || d == nil {
			return fmt.Errorf("none, %v", err)
		}
		return nil
	})
	cancel(id)
	l.until(t, id, event.TypeInventoryReleased)
	run(t, settings(env), "serve", "payment")
	l.until(t, id, event.TypePaymentVoided)
	l.until(t, id, event.TypeOrderCancelled)
	if err := held.Close(); err != nil {
		t.Error(err)
	}
}

// lateToCancel cancels an order while the carrier books its parcel.
func lateToCancel(t *testing.T, others *provider, id string, cancel func(string), l *listening) string {
	t.Helper()
	<-others.held
	cancel(id)
	l.until(t, id, event.TypeCancellationRequested)
	others.let <- struct{}{}
	l.until(t, id, event.TypeCancellationRejected)
	return id
}
