package main_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"orderflow/pkg/devstack/devtest"
)

// TestTraces follows orders through a real OpenTelemetry Collector.
func TestTraces(t *testing.T) {
	t.Parallel()
	env := devtest.New(t)
	c := startCollector(t)
	for _, part := range []struct {
		name string
		run  func(*testing.T, devtest.Env, *collector)
	}{
		{"cancelled", testTraceOfACancelledOrder},
		{"called off", testTraceOfAnOrderThatIsCalledOff},
		{"replayed", testTraceOfAReplay},
		{"batches", testTracesOfABatch},
		{"sampling", testSampling},
	} {
		t.Run(part.name, func(t *testing.T) { part.run(t, *env, c) })
	}
}

// orderOf places an order that is paid by a method and goes to a postal code, and returns its id.
func orderOf(t *testing.T, p *program, method, postal string, headers ...string) string {
	t.Helper()
	o := goodOrder("customer-of-traces")
	o.PaymentMethod, o.ShippingAddress.PostalCode = method, postal
	return place(t, p.client, o, headers...).OrderID
}

func stockUp(t *testing.T, p *program) {
	t.Helper()
	putStock(t, p.client, "book", 1000)
	putStock(t, p.client, "lamp", 1000)
}

// traceOf makes a traceparent as a client would, and returns its trace.
func traceOf(n int, flags string) (header, id string) {
	id = fmt.Sprintf("%032x", 0xabc0000+n)
	return "00-" + id + "-00000000000000aa-" + flags, id
}

// awaitTree waits until a trace is what it should be.
func awaitTree(t *testing.T, c *collector, id, want string) {
	t.Helper()
	want = strings.ReplaceAll(strings.TrimPrefix(want, "\n"), "\t", "  ")
	eventually(t, "the trace", func() error {
		if got := c.trace(t, id).tree(); got != want {
			return fmt.Errorf("it is\n%s\nand should be\n%s", got, want)
		}
		return nil
	})
}

// traceOfOrder is the id of an order's trace.
func traceOfOrder(t *testing.T, c *collector, orderID string) (id string) {
	t.Helper()
	eventually(t, "its trace", func() error {
		for _, s := range c.spans(t) {
			if s.attribute("messaging.message.conversation_id") == orderID {
				id = s.TraceID
				return nil
			}
		}
		return fmt.Errorf("there is no span of order %s", orderID)
	})
	return id
}

// testTraceOfACancelledOrder: charged at the third attempt, reserved, not shipped, and all taken back, in one tree.
func testTraceOfACancelledOrder(t *testing.T, env devtest.Env, c *collector) {
	p := serve(t, env, c.settings()...)
	stockUp(t, p)
	for range 3 { // what is no text would cost the spans that are exported with it
		p.call(t, http.MethodGet, "/v1/orders/%ff", nil)
	}
	id := orderOf(t, p, "pm_flaky", "UNDELIVERABLE")
	if o := follow(t, p.client, id); o.Status != "cancelled" || o.CancelReason != "shipment_failed" {
		t.Fatalf("%+v", o)
	}
	trace := traceOfOrder(t, c, id)
	awaitTree(t, c, trace, `
POST /v1/orders
	send orders.events:order.placed
		process payment.order-placed !
			charge !
			send orders.retry.200ms
				process payment.order-placed !
					charge !
					send orders.retry.500ms
						process payment.order-placed
							charge
							send orders.events:payment.processed
								process inventory.payment-processed
									send orders.events:inventory.reserved
										process order.progress
										process shipping.inventory-reserved
											book
											send orders.events:shipment.failed
												process inventory.shipment-cancelled
													send orders.events:inventory.released
														process order.progress
														process payment.inventory-released
															refund
															send orders.events:payment.refunded
																process order.progress
																	send orders.events:order.cancelled
												process order.progress
								process order.progress
`)
	spans := c.trace(t, trace)
	for name, want := range map[string][2]string{ // service, kind
		"POST /v1/orders": {"orderflow", "2"}, "send orders.events:order.placed": {"orderflow-order", "4"},
		"process payment.order-placed": {"orderflow-payment", "5"}, "refund": {"orderflow-payment", "3"},
		"process shipping.inventory-reserved": {"orderflow-shipping", "5"}, "send orders.events:inventory.released": {"orderflow-inventory", "4"},
	} {
		for _, s := range spans.named(name) {
			if s.service != want[0] || fmt.Sprint(s.Kind) != want[1] {
				t.Errorf("%s is of %s and kind %d, not %s", name, s.service, s.Kind, want)
			}
		}
	}
	for i, s := range spans.named("process payment.order-placed") {
		if got := s.attribute("orderflow.attempt"); got == "" || s.attribute("messaging.system") != "rabbitmq" ||
			s.attribute("messaging.destination.name") == "" {
			t.Errorf("attempt %d has the attributes %v", i, s.Attributes)
		}
	}
	exemplar := `trace_id="` + trace + `"`
	if m := p.call(t, "GET", "/metrics", nil, "Accept: application/openmetrics-text"); !strings.Contains(string(m.body), exemplar) {
		t.Errorf("no exemplar %s in %s", exemplar, m)
	}
	if charge := spans.named("charge")[0]; charge.attribute("orderflow.idempotency_key") != "charge-"+id {
		t.Errorf("a charge has the attributes %v", charge.Attributes)
	}
}

// testTraceOfAnOrderThatIsCalledOff: the wish to cancel comes in a trace of its own, and is seen in the order's.
func testTraceOfAnOrderThatIsCalledOff(t *testing.T, env devtest.Env, c *collector) {
	p := serve(t, env, c.settings()...)
	stockUp(t, p)
	id := orderOf(t, p, "pm_slow", "1000")
	header, wish := traceOf(1, "01")
	if a := p.call(t, "POST", "/v1/orders/"+id+"/cancel", nil, "traceparent: "+header); a.status != http.StatusAccepted {
		t.Fatal(a)
	}
	if o := follow(t, p.client, id); o.CancelReason != "customer_request" {
		t.Fatalf("%+v", o)
	}
	trace := traceOfOrder(t, c, id)
	eventually(t, "both traces", func() error {
		joined, asked := c.trace(t, trace).named("cancel order"), c.trace(t, wish).named("POST /v1/orders/:order_id/cancel")
		if len(joined) != 1 || len(asked) != 1 {
			return fmt.Errorf("%d cancellations in the order's trace, %d requests to cancel in their own:\n%s", len(joined), len(asked), c.trace(t, trace).tree())
		}
		if len(joined[0].Links) != 1 || joined[0].Links[0].SpanID != asked[0].SpanID || len(asked[0].Links) != 1 {
			return fmt.Errorf("they are linked by %v and %v", joined[0].Links, asked[0].Links)
		}
		tree := c.trace(t, trace).tree()
		for _, want := range []string{"cancel order\n    send orders.events:order.cancellation-requested", "send orders.events:order.cancelled"} {
			if !strings.Contains(tree, want) || strings.Contains(tree, "below nothing") {
				return fmt.Errorf("no %q in\n%s", want, tree)
			}
		}
		return nil
	})
}

// testTraceOfAReplay: a dead letter and its replay are steps of the order, and the gateway gets the trace, too.
func testTraceOfAReplay(t *testing.T, env devtest.Env, c *collector) {
	var works atomic.Bool
	var mu sync.Mutex
	var heard []string
	gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		heard = append(heard, r.Header.Get("traceparent"))
		mu.Unlock()
		if !works.Load() {
			http.Error(w, "out of order", http.StatusInternalServerError)
			return
		}
		w.WriteHeader(http.StatusCreated)
		fmt.Fprint(w, `{"reference": "g-1"}`)
	}))
	defer gateway.Close()
	p := serve(t, env, c.settings("GATEWAY_URL="+gateway.URL, "RETRY_DELAYS=none")...)
	stockUp(t, p)
	id := orderOf(t, p, "pm_ok", "1000")
	b := openBroker(t, env)
	eventually(t, "the dead letter", func() error {
		if n, err := b.Depth(t.Context(), "payment.order-placed.dlq"); n != 1 {
			return fmt.Errorf("%d dead letters, %v", n, err)
		}
		return nil
	})
	works.Store(true)
	if out, errs, code := call(t, append(settings(env), c.settings()...), "dlq", "replay", "payment.order-placed", "--yes"); code != 0 {
		t.Fatalf("%d\n%s%s", code, out, errs)
	}
	if o := follow(t, p.client, id); o.Status != "shipped" {
		t.Fatalf("%+v", o)
	}
	trace := traceOfOrder(t, c, id)
	awaitTree(t, c, trace, `
POST /v1/orders
	send orders.events:order.placed
		process payment.order-placed !
			charge !
			send payment.order-placed.dlx
				replay payment.order-placed
					process payment.order-placed
						charge
						send orders.events:payment.processed
							process inventory.payment-processed
								send orders.events:inventory.reserved
									process order.progress
									process shipping.inventory-reserved
										book
										send orders.events:shipment.created
											process inventory.shipment-created
											process order.progress
												send orders.events:order.shipped
							process order.progress
`)
	mu.Lock()
	defer mu.Unlock()
	for _, header := range heard {
		if !strings.Contains(header, trace) {
			t.Errorf("the gateway heard of the trace %q, not of %s", header, trace)
		}
	}
}

// testTracesOfABatch: what is done for many orders at once is a span of its own, which is linked with those of the orders, and they with it.
func testTracesOfABatch(t *testing.T, env devtest.Env, c *collector) {
	p := serve(t, env, c.settings()...)
	stockUp(t, p)
	var group sync.WaitGroup
	ids := make([]string, 60)
	for i := range ids {
		group.Go(func() { ids[i] = orderOf(t, p, "pm_ok", "1000") })
	}
	group.Wait()
	for _, id := range ids {
		follow(t, p.client, id)
	}
	eventually(t, "a batch that is linked", func() error {
		byID := map[string]*span{}
		for _, s := range c.spans(t) {
			byID[s.SpanID] = s
		}
		linked := 0
		for _, s := range byID {
			if !isTransaction(s) || len(s.Links) < 2 {
				continue
			}
			linked++
			for _, link := range s.Links {
				if of := byID[link.SpanID]; of == nil || !strings.HasPrefix(of.Name, "process ") && !strings.HasPrefix(of.Name, "POST ") {
					return fmt.Errorf("%s is linked with %v", s.Name, of)
				} else if !linksTo(of, s.SpanID) {
					return fmt.Errorf("%s is linked with %s, but that not with it", s.Name, of.Name)
				}
			}
			if s.ParentSpanID != "" {
				return fmt.Errorf("%s is a part of one order's trace", s.Name)
			}
		}
		if linked == 0 {
			return fmt.Errorf("no transaction among %d spans has two links", len(byID))
		}
		return nil
	})
}

func linksTo(s *span, id string) bool {
	for _, link := range s.Links {
		if link.SpanID == id {
			return true
		}
	}
	return false
}

// testSampling: whether an order is traced is decided once, by the client where it says so and the setting leaves it to it.
func testSampling(t *testing.T, env devtest.Env, c *collector) {
	yes, wanted := traceOf(2, "01")
	no, unwanted := traceOf(3, "00")
	var unmarked []string // orders that nobody wants to follow
	for _, sampler := range []string{"traceidratio", "parentbased_traceidratio"} {
		p := serve(t, env, c.settings("OTEL_TRACES_SAMPLER="+sampler, "OTEL_TRACES_SAMPLER_ARG=0")...)
		stockUp(t, p)
		marked := orderOf(t, p, "pm_ok", "1000", "traceparent: "+yes)
		orders := []string{orderOf(t, p, "pm_ok", "1000", "traceparent: "+no), orderOf(t, p, "pm_ok", "1000"), marked}
		for _, id := range orders {
			follow(t, p.client, id)
		}
		p.stop()                       // exports the last spans
		if sampler != "traceidratio" { // there the client's word does not count
			orders = orders[:2]
		}
		unmarked = append(unmarked, orders...)
	}
	eventually(t, "the order that its client wants to follow", func() error {
		if tree := c.trace(t, wanted).tree(); !strings.Contains(tree, "send orders.events:order.shipped") {
			return fmt.Errorf("its trace is\n%s", tree)
		}
		return nil
	})
	for _, s := range c.spans(t) {
		if s.TraceID == unwanted || slices.Contains(unmarked, s.attribute("messaging.message.conversation_id")) {
			t.Errorf("%s of a trace that nobody wants to follow", s.Name)
		}
	}
}
