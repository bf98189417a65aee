package main_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"orderflow/pkg/broker"
	"orderflow/pkg/devstack/devtest"
)

// planted is what customers and callers of the tests say, and no log may repeat: names, addresses, tokens.
var planted = []string{"Ada Lovelace", "St James Square", "SW1Y 4JH", "orderflow_PLANTED", "planted-token", "4111 1111 1111 1111"}

// keepsSilent looks for secrets and personal data in what a program logs: in every test of the suite, when the program ends.
func keepsSilent(t testing.TB, settings []string, log string) {
	t.Helper()
	secrets := planted
	for _, setting := range settings {
		name, value, _ := strings.Cut(setting, "=")
		if u, err := url.Parse(value); err == nil && (name == "AMQP_URL" || name == "DATABASE_URL") && u.User != nil {
			if password, _ := u.User.Password(); password != "" && len(password) > 8 { // a shorter one may be any word
				secrets = append(secrets[:len(secrets):len(secrets)], password)
			}
		}
	}
	for line := range strings.Lines(log) {
		for _, secret := range secrets {
			if strings.Contains(line, secret) {
				t.Errorf("a log tells %q: %s", secret, line)
			}
		}
	}
}

// logged is the lines of the log among what a command says. What it shows to who has asked for it, such as the letter that is to be edited, is none.
func logged(said string) string {
	var log strings.Builder
	for line := range strings.Lines(said) {
		if strings.Contains(line, "level=") || strings.Contains(line, `"level":`) {
			log.WriteString(line)
		}
	}
	return log.String()
}

// TestQuietLogs: orders that go as they should, or as they may, are no news to an operator; a message that fails is, once for each time, with ids.
func TestQuietLogs(t *testing.T) {
	t.Parallel()
	env := devtest.New(t)
	p := serve(t, *env, "RETRY_DELAYS=200ms")
	putStock(t, p.client, "book", 100)
	putStock(t, p.client, "lamp", 20)
	before := p.log.String()
	var orders []order
	for i := range 30 {
		o := goodOrder("customer-1")
		switch i % 5 {
		case 1:
			o.PaymentMethod = "pm_declined"
		case 2:
			o.ShippingAddress.PostalCode = "UNDELIVERABLE"
		case 3:
			o.Items[0].ProductID = "no-such-product"
		}
		orders = append(orders, place(t, p.client, o))
	}
	for i, o := range orders {
		if i%5 == 4 {
			p.call(t, http.MethodPost, "/v1/orders/"+o.OrderID+"/cancel", nil)
		}
		follow(t, p.client, o.OrderID)
	}
	if more := strings.TrimPrefix(p.log.String(), before); more != "" {
		t.Errorf("30 orders without a failure, and the log says\n%s", more)
	}

	down := goodOrder("customer-1")
	down.PaymentMethod = "pm_down"
	id := place(t, p.client, down).OrderID
	type line struct {
		Level, Msg, Service, Queue, Reason, Error string
		OrderID                                   string `json:"order_id"`
		EventID                                   string `json:"event_id"`
	}
	count := func() (retried, dead int) {
		for text := range strings.Lines(p.log.String()) {
			var l line
			if json.Unmarshal([]byte(text), &l) != nil || l.OrderID != id {
				continue
			}
			complete := l.EventID != "" && l.Service == "payment" && l.Queue == "payment.order-placed" && l.Error != ""
			switch {
			case l.Level == "WARN" && l.Msg == "failed, will be tried again" && complete:
				retried++
			case l.Level == "ERROR" && l.Msg == "dead-lettered" && l.Reason == "retries_exhausted" && complete:
				dead++
			default:
				t.Fatalf("what is this line for? %s", text)
			}
		}
		return retried, dead
	}
	eventually(t, "it is dead-lettered, and that is logged", func() error {
		if _, dead := count(); dead == 0 {
			return fmt.Errorf("%s", p.log)
		}
		return nil
	})
	if retried, dead := count(); retried != 1 || dead != 1 {
		t.Errorf("one retry is logged %d times, one death %d times", retried, dead)
	}
}

// TestPrivateLogs: what customers and other systems say is not repeated, also where it is what has failed.
func TestPrivateLogs(t *testing.T) {
	t.Parallel()
	parrot := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.WriteHeader(http.StatusInternalServerError)
		fmt.Fprintf(w, "no: card 4111 1111 1111 1111 of Ada Lovelace; %.150s", body)
	}))
	defer parrot.Close()
	env := devtest.New(t)
	p := serve(t, *env, "GATEWAY_URL="+parrot.URL, "RETRY_DELAYS=200ms", "LOG_LEVEL=debug")
	wrong := goodOrder("Ada Lovelace")
	wrong.ShippingAddress.Name = strings.Repeat("Ada Lovelace ", 100)
	for _, body := range []any{
		wrong, with(goodOrder("Ada Lovelace"), "/shipping_address/line1", 12), with(goodOrder("x"), "/currency", "Ada Lovelace"),
		`{"customer_id": "Ada Lovelace`, with(goodOrder("x"), "/items/0/unit_price", "Ada Lovelace"), with(goodOrder("x"), "/Ada Lovelace", 1),
	} {
		if a := p.call(t, http.MethodPost, "/v1/orders", body, "Authorization: Bearer planted-token"); a.status/100 != 4 {
			t.Errorf("%v: %s", body, a)
		}
	}
	p.call(t, http.MethodGet, "/v1/orders?customer_id=Ada+Lovelace&token=planted-token", nil)
	p.call(t, http.MethodGet, "/v1/orders/planted-token", nil)
	place(t, p.client, goodOrder("Ada Lovelace"), "Idempotency-Key: planted-token", "Authorization: Bearer orderflow_PLANTED")

	b := openBroker(t, *env)
	publisher := b.NewPublisher()
	if err := publisher.Await(t.Context()); err != nil {
		t.Fatal(err)
	}
	bodies := []string{
		"Ada Lovelace, 12 St James Square", `{"name": "Ada Lovelace"`, `{"specversion": "1.0", "id": "0198c5a0-0000-7000-8000-000000000000", "source": "/order",
		"type": "OrderPlaced", "subject": "x", "time": "2026-01-01T00:00:00Z", "dataschema": "urn:orderflow:event:OrderPlaced:1",
		"data": {"shipping_address": {"name": "Ada Lovelace", "line1": 12, "city": "SW1Y 4JH"}, "customer_id": {"Ada Lovelace": 1}}}`,
		`{"specversion": "1.0", "data": {"shipping_address": "12 St James Square"}, "data": 1}`,
	}
	for _, body := range bodies {
		m := broker.Message{RoutingKey: "payment.order-placed", Mandatory: true, ID: "garbage", Body: []byte(body)}
		for _, err := range publisher.PublishAll(t.Context(), []broker.Message{m}) {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	eventually(t, "all of them are dead-lettered", func() error {
		if n, err := b.Depth(t.Context(), "payment.order-placed.dlq"); n != len(bodies)+1 {
			return fmt.Errorf("%d dead letters, %v", n, err)
		}
		return nil
	})
	if log := p.log.String(); strings.Count(log, `"msg":"dead-lettered"`) != len(bodies)+1 || !strings.Contains(log, "(answer not shown)") {
		t.Errorf("%d dead letters, and the log says\n%s", len(bodies)+1, log)
	}
	keepsSilent(t, p.settings, p.log.String())
	// With the message itself, which has the whole order, the answer stays.
	if out, _, _ := call(t, settings(*env), "dlq", "show", "payment.order-placed", "--json"); !strings.Contains(out, "4111 1111 1111 1111") {
		t.Errorf("the dead letter does not tell what the gateway answered: %s", out)
	}
}
