package main_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"orderflow/pkg/broker"
	"orderflow/pkg/devstack/devtest"
)

// management speaks to RabbitMQ's management API, as its UI does.
type management struct {
	*client
	vhost string
}

func newManagement(t *testing.T, env devtest.Env) *management {
	t.Helper()
	u, err := url.Parse(env.AMQPURL)
	if err != nil {
		t.Fatal(err)
	}
	return &management{newClient(t, strings.TrimSuffix(env.ManagementURL, "/")), strings.TrimPrefix(u.Path, "/")}
}

// TestManagementUI looks at everything as an operator does.
func TestManagementUI(t *testing.T) {
	env := *devtest.New(t)
	ui := newManagement(t, env)
	p := serve(t, env, "RETRY_DELAYS=1s,10s,60s,300s,500ms,1s")
	checkQueues(t, ui)
	checkExchanges(t, ui)
	checkBindings(t, ui)

	// An extra queue keeps what comes by.
	topology := broker.Topology{Exchange: "orders.events", Queues: []broker.Queue{{Name: "test.look", RoutingKeys: []string{"#"}}}}
	if err := openBroker(t, env).Declare(t.Context(), topology); err != nil {
		t.Fatal(err)
	}
	putStock(t, p.client, "book", 100)
	putStock(t, p.client, "lamp", 100)
	o := place(t, p.client, goodOrder("customer-who-is-looked-at"))
	follow(t, p.client, o.OrderID)
	checkMessages(t, ui, o, []string{"OrderPlaced", "PaymentProcessed", "InventoryReserved", "ShipmentCreated", "OrderShipped"})
}

func checkQueues(t *testing.T, ui *management) {
	t.Helper()
	want := map[string]map[string]any{}
	for queue := range queues {
		want[queue] = map[string]any{
			"x-queue-type": "quorum", "x-delivery-limit": 20.0, "x-dead-letter-exchange": queue + ".dlx",
			"x-dead-letter-strategy": "at-least-once", "x-overflow": "reject-publish",
		}
		want[queue+".dlq"] = map[string]any{"x-queue-type": "quorum", "x-delivery-limit": float64(math.MaxInt32)}
	}
	for name, delay := range map[string]float64{"1s": 1000, "10s": 10_000, "60s": 60_000, "300s": 300_000, "500ms": 500} {
		want["orders.retry."+name] = map[string]any{
			"x-queue-type": "quorum", "x-message-ttl": delay, "x-dead-letter-exchange": "", "x-dead-letter-strategy": "at-least-once",
			"x-overflow": "reject-publish",
		}
	}
	for _, q := range get[[]struct {
		Name      string
		Durable   bool
		Arguments map[string]any
	}](t, ui.client, "/api/queues/"+ui.vhost) {
		if !q.Durable || fmt.Sprint(q.Arguments) != fmt.Sprint(want[q.Name]) {
			t.Errorf("queue %s: durable %t, arguments %v, want %v", q.Name, q.Durable, q.Arguments, want[q.Name])
		}
		delete(want, q.Name)
	}
	if len(want) > 0 {
		t.Errorf("missing queues: %q", slices.Sorted(maps.Keys(want)))
	}
}

func checkExchanges(t *testing.T, ui *management) {
	t.Helper()
	want := map[string]string{"orders.events": "topic"}
	for queue := range queues {
		want[queue+".dlx"] = "fanout"
	}
	for _, delay := range []string{"1s", "10s", "60s", "300s", "500ms"} {
		want["orders.retry."+delay] = "fanout"
	}
	got := map[string]string{}
	for _, x := range get[[]struct {
		Name, Type string
		Durable    bool
	}](t, ui.client, "/api/exchanges/"+ui.vhost) {
		if x.Durable && x.Name != "" && !strings.HasPrefix(x.Name, "amq.") {
			got[x.Name] = x.Type
		}
	}
	if !maps.Equal(got, want) {
		t.Errorf("exchanges %v, want %v", got, want)
	}
}

func checkBindings(t *testing.T, ui *management) {
	t.Helper()
	var want, got []string
	for queue, keys := range queues {
		for _, key := range keys {
			want = append(want, "orders.events "+key+" "+queue)
		}
		want = append(want, queue+".dlx  "+queue+".dlq")
	}
	for _, delay := range []string{"1s", "10s", "60s", "300s", "500ms"} {
		want = append(want, "orders.retry."+delay+"  orders.retry."+delay)
	}
	for _, b := range get[[]struct {
		Source, Destination string
		RoutingKey          string `json:"routing_key"`
	}](t, ui.client, "/api/bindings/"+ui.vhost) {
		if b.Source != "" { // the default exchange's are there by themselves
			got = append(got, b.Source+" "+b.RoutingKey+" "+b.Destination)
		}
	}
	slices.Sort(want)
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Errorf("bindings\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// checkMessages gets an order's events with the button of the UI and compares them with the contract.
func checkMessages(t *testing.T, ui *management, o order, types []string) {
	t.Helper()
	type message struct {
		Payload         string
		PayloadEncoding string `json:"payload_encoding"`
		Exchange        string
		RoutingKey      string `json:"routing_key"`
		Properties      struct {
			MessageID     string `json:"message_id"`
			Type          string
			CorrelationID string `json:"correlation_id"`
			Timestamp     int64
			AppID         string `json:"app_id"`
			DeliveryMode  int    `json:"delivery_mode"`
			ContentType   string `json:"content_type"`
		}
	}
	var messages []message
	eventually(t, "messages", func() error {
		a := ui.call(t, http.MethodPost, "/api/queues/"+ui.vhost+"/test.look/get",
			`{"count": 100, "ackmode": "ack_requeue_true", "encoding": "auto"}`)
		if messages = unmarshal[[]message](t, a.body); len(messages) != len(types) {
			return fmt.Errorf("%d messages, want %d", len(messages), len(types))
		}
		return nil
	})
	cause := ""
	for _, want := range types {
		i := slices.IndexFunc(messages, func(m message) bool { return m.Properties.Type == want })
		if i < 0 {
			t.Errorf("no %s among %+v", want, messages)
			continue
		}
		m := messages[i]
		properties := m.Properties
		var envelope struct {
			SpecVersion, ID, Source, Type, Subject, DataContentType, DataSchema, CorrelationID, CausationID string
			Time                                                                                            time.Time
			Data                                                                                            placement
		}
		if err := json.Unmarshal([]byte(m.Payload), &envelope); err != nil || m.PayloadEncoding != "string" || m.Exchange != "orders.events" {
			t.Errorf("%s cannot be read: %v %s", want, err, m.Payload)
		}
		id, err := uuid.Parse(envelope.ID)
		if err != nil || id.Version() != 7 || properties.MessageID != envelope.ID {
			t.Errorf("%s: id %q, message_id %q", want, envelope.ID, properties.MessageID)
		}
		service := strings.TrimPrefix(envelope.Source, "/")
		if !strings.HasPrefix(envelope.Source, "/") || properties.AppID != service {
			t.Errorf("%s: source %q, app_id %q", want, envelope.Source, properties.AppID)
		}
		if properties.DeliveryMode != 2 || properties.ContentType != "application/cloudevents+json" ||
			time.Since(time.Unix(properties.Timestamp, 0)).Abs() > limit || time.Since(envelope.Time).Abs() > limit {
			t.Errorf("%s: properties %+v", want, properties)
		}
		if envelope.SpecVersion != "1.0" || envelope.Type != want || envelope.Subject != o.OrderID ||
			envelope.DataContentType != "application/json" || envelope.DataSchema != "urn:orderflow:event:"+want+":1" {
			t.Errorf("%s: envelope %+v", want, envelope)
		}
		if envelope.CorrelationID == "" || properties.CorrelationID != envelope.CorrelationID || envelope.CausationID != cause {
			t.Errorf("%s: correlation %q and %q, cause %q, want %q", want, envelope.CorrelationID, properties.CorrelationID, envelope.CausationID, cause)
		}
		if fmt.Sprint(envelope.Data) != fmt.Sprint(goodOrder(o.CustomerID)) {
			t.Errorf("%s does not carry the order: %s", want, m.Payload)
		}
		cause = envelope.ID
	}
}
