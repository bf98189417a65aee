package main_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"orderflow/pkg/broker"
	"orderflow/pkg/devstack/devtest"
)

// garbage is a way to spoil an event.
type garbage struct {
	name   string
	reason string
	body   func(key string) string
	bare   bool // without properties
}

// eventTypes is the type of event that travels by each routing key, as far as somebody is bound to it.
var eventTypes = map[string]string{
	"order.placed": "OrderPlaced", "order.cancellation-requested": "CancellationRequested", "payment.processed": "PaymentProcessed",
	"payment.failed": "PaymentFailed", "payment.refunded": "PaymentRefunded", "payment.voided": "PaymentVoided",
	"inventory.reserved": "InventoryReserved", "inventory.rejected": "InventoryRejected", "inventory.released": "InventoryReleased",
	"shipment.created": "ShipmentCreated", "shipment.failed": "ShipmentFailed", "shipment.cancelled": "ShipmentCancelled",
	"shipment.cancellation-rejected": "CancellationRejected",
}

var allGarbage = []garbage{
	{name: "not JSON", reason: "invalid_message", body: func(key string) string { return "what is " + key + "?" }},
	{name: "wrong envelope", reason: "invalid_message", body: spoilt("/specversion", absent{})},
	{name: "unknown version", reason: "unsupported_version", body: func(key string) string {
		return spoilt("/dataschema", "urn:orderflow:event:"+eventTypes[key]+":2")(key)
	}},
	{name: "missing data", reason: "invalid_message", body: spoilt("/data", absent{})},
	{name: "wrong types", reason: "invalid_message", body: spoilt("/data/items", "two books")},
	{name: "id that is no UUID", reason: "invalid_message", body: spoilt("/id", "42")},
	{name: "2 MiB", reason: "invalid_message", body: func(key string) string {
		return spoilt("/comment", strings.Repeat("x", 2<<20))(key)
	}},
	{name: "no properties", reason: "invalid_message", body: func(key string) string { return `{"nothing about": "` + key + `"}` }, bare: true},
	{name: "empty", reason: "invalid_message", body: func(string) string { return "" }},
	{name: "nested deeply", reason: "invalid_message", body: func(string) string {
		return strings.Repeat(`{"data":[`, 50_000) + strings.Repeat("]}", 50_000)
	}},
}

// goodEvent is an event as it may come from a service of somebody else, with the data of every type; consumers leave out what they
// do not know.
func goodEvent(key string) map[string]any {
	id, name := uuid.Must(uuid.NewV7()).String(), eventTypes[key]
	return map[string]any{
		"specversion": "1.0", "id": uuid.Must(uuid.NewV7()).String(), "source": "/test", "type": name, "subject": id,
		"time": time.Now().UTC().Format(time.RFC3339Nano), "datacontenttype": "application/json",
		"dataschema": "urn:orderflow:event:" + name + ":1", "correlationid": id,
		"data": map[string]any{
			"order_id": id, "customer_id": "customer", "currency": "EUR", "total_amount": "2.00", "payment_method": "pm_ok",
			"items":            []item{{"book", 2, "1.00"}},
			"shipping_address": address{"Ada Lovelace", "12 St James Square", "London", "SW1Y 4JH", "GB"},
			"payment_id":       id, "reservation_id": id, "shipment_id": id, "amount": "2.00", "gateway_reference": "reference",
			"carrier": "carrier", "tracking_number": "number", "reason": "customer_request", "product_ids": []string{"book"},
		},
	}
}

func spoilt(pointer string, value any) func(key string) string {
	return func(key string) string {
		text, err := json.Marshal(with(goodEvent(key), pointer, value))
		if err != nil {
			panic(err)
		}
		return string(text)
	}
}

// TestGarbage publishes garbage of ten kinds with every routing key, while orders flow.
func TestGarbage(t *testing.T) {
	env := *devtest.New(t)
	p := serve(t, env)
	b := openBroker(t, env)
	publisher := newPublisher(t, b)
	m := newCampaign(t, p.client, 60)

	// What each queue has to bury, by routing key and body.
	type letter struct{ key, body string }
	want := map[string]map[letter]garbage{}
	var messages []broker.Message
	for key := range eventTypes {
		for i, g := range allGarbage {
			message := broker.Message{Exchange: "orders.events", RoutingKey: key, Mandatory: true, Body: []byte(g.body(key))}
			if !g.bare {
				message.ID, message.Type, message.ContentType = fmt.Sprintf("%s-%d", key, i), eventTypes[key], "application/cloudevents+json"
				message.Timestamp, message.AppID, message.Headers = time.Now(), "test", map[string]any{"x-mine": "kept", "n": int64(1)}
			}
			messages = append(messages, message)
			for queue, keys := range queues {
				if want[queue] == nil {
					want[queue] = map[letter]garbage{}
				}
				for _, bound := range keys {
					if bound == key {
						want[queue][letter{key, string(message.Body)}] = g
					}
				}
			}
		}
	}
	r, _ := random(t)
	r.Shuffle(len(messages), func(i, j int) { messages[i], messages[j] = messages[j], messages[i] })
	flowing := m.endings.after(10)
	over := m.begin()
	await(t, flowing, over)
	for i, err := range publisher.PublishAll(t.Context(), messages) {
		if err != nil {
			t.Errorf("publish %s: %v", messages[i].ID, err)
		}
	}
	if err := <-over; err != nil {
		t.Fatal(err)
	}
	m.check()

	for queue, letters := range want {
		name := broker.DeadLetterQueue(queue)
		eventually(t, name, func() error {
			if n, err := b.Depth(t.Context(), name); err != nil || n != len(letters) {
				return fmt.Errorf("%d dead letters, want %d; %v", n, len(letters), err)
			}
			return nil
		})
		for _, d := range takeAll(t, b, name) {
			g, expected := letters[letter{d.RoutingKey, string(d.Body)}]
			if !expected {
				t.Errorf("%s has what was not sent, or has it twice: %s %.200s", name, d.RoutingKey, d.Body)
				continue
			}
			delete(letters, letter{d.RoutingKey, string(d.Body)})
			checkLetter(t, queue, d, g.reason, 1)
			if !g.bare && (d.Headers["x-mine"] != "kept" || d.AppID != "test" || d.Type != eventTypes[d.RoutingKey]) {
				t.Errorf("%s: %s has lost properties: %+v", name, g.name, d.Message)
			}
		}
		if len(letters) > 0 {
			t.Errorf("%s lacks %d", name, len(letters))
		}
	}
	nothingLeft(t, env)
	checkMetrics(t, p.client)
}

// takeAll takes everything out of a queue. Each message is settled before the next one is taken: a quorum queue takes the settlement
// of many that were got one by one at its leisure, and those that it has not come to when the channel is closed are there again.
func takeAll(t testing.TB, b *broker.Broker, queue string) (all []*broker.Delivery) {
	t.Helper()
	getter, err := b.NewGetter(t.Context(), queue)
	if err != nil {
		t.Fatal(err)
	}
	defer getter.Close()
	for {
		d, err := getter.Next()
		if err != nil {
			t.Fatal(err)
		}
		if d == nil {
			return all
		}
		if err := broker.Ack([]*broker.Delivery{d}); err != nil {
			t.Fatal(err)
		}
		all = append(all, d)
	}
}

// checkLetter checks what is written on a dead letter.
func checkLetter(t *testing.T, queue string, d *broker.Delivery, reason string, attempts int64) {
	t.Helper()
	service, _, _ := strings.Cut(queue, ".")
	for header, want := range map[string]any{
		"orderflow-queue": queue, "orderflow-service": service, "orderflow-reason": reason, "orderflow-attempts": attempts,
	} {
		if d.Headers[header] != want {
			t.Errorf("%s: header %s is %v, want %v", queue, header, d.Headers[header], want)
		}
	}
	if text, _ := d.Headers["orderflow-error"].(string); text == "" {
		t.Errorf("%s: no error on %.200s", queue, d.Body)
	}
	var times [2]time.Time
	for i, header := range []string{"orderflow-first-failed-at", "orderflow-dead-at"} {
		text, _ := d.Headers[header].(string)
		at, err := time.Parse(time.RFC3339, text)
		if err != nil || time.Since(at).Abs() > limit {
			t.Errorf("%s: header %s is %q", queue, header, text)
		}
		times[i] = at
	}
	if times[1].Before(times[0]) {
		t.Errorf("%s: dead at %s, but failed first at %s", queue, times[1], times[0])
	}
}

// checkMetrics checks that every metric is there, after orders of all kinds and some dead letters. Those of the outbox are samples,
// which the sweeper takes: they tell of its last turn.
func checkMetrics(t *testing.T, c *client) {
	t.Helper()
	want := []string{
		`orderflow_events_total{outcome="handled",queue="order.progress",service="order"} `,
		`orderflow_events_total{outcome="retried",queue="payment.order-placed",service="payment"} `,
		`orderflow_events_total{outcome="dead_lettered",queue="payment.order-placed",service="payment"} 10`,
		`orderflow_reaction_seconds_count{queue="inventory.payment-processed"} `,
		`orderflow_batch_size_count{queue="inventory.payment-processed"} `,
		`orderflow_outbox_pending{service="shipping"} 0`,
		`orderflow_outbox_oldest_seconds{service="shipping"} 0`,
		`orderflow_event_lag_seconds_count{queue="shipping.inventory-reserved"} `,
		`orderflow_retries_total{queue="payment.order-placed"} `,
		`orderflow_dead_letters_total{queue="shipping.inventory-reserved",reason="invalid_message"} 9`,
		`orderflow_dead_letters_total{queue="shipping.inventory-reserved",reason="unsupported_version"} 1`,
		`orderflow_orders_total{status="placed"} 60`,
		`orderflow_orders_total{status="shipped"} `,
		`orderflow_orders_total{status="cancelled"} `,
		`orderflow_order_seconds_count 60`,
		`orderflow_breaker_state{dependency="gateway"} 0`,
		`orderflow_breaker_state{dependency="carrier"} 0`,
		`go_goroutines `,
	}
	eventually(t, "the metrics", func() error {
		text := "\n" + string(c.call(t, http.MethodGet, "/metrics", nil).body)
		missing := slices.DeleteFunc(slices.Clone(want), func(name string) bool { return strings.Contains(text, "\n"+name) })
		if len(missing) > 0 {
			return fmt.Errorf("lack %q in%s", missing, text)
		}
		return nil
	})
}
