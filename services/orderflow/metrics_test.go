package main_test

import (
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"orderflow/pkg/broker"
	"orderflow/pkg/devstack/devtest"
)

// promised is the metrics that are promised, with their labels.
var promised = map[string]string{
	"orderflow_events_total": "outcome queue service", "orderflow_reaction_seconds_count": "queue", "orderflow_batch_size_count": "queue",
	"orderflow_outbox_pending": "service", "orderflow_outbox_oldest_seconds": "service", "orderflow_event_lag_seconds_count": "queue",
	"orderflow_retries_total": "queue", "orderflow_dead_letters_total": "queue reason", "orderflow_orders_total": "status",
	"orderflow_order_seconds_count": "", "orderflow_breaker_state": "dependency",
}

// series are what a scrape has, by name and labels, with their values.
type series map[string]string

var (
	sample     = regexp.MustCompile(`^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$`)
	labelValue = regexp.MustCompile(`(\w+)="((?:[^"\\]|\\.)*)"`)
	idLike     = regexp.MustCompile(`[0-9a-fA-F]{8}-|^\d+$|(?i)customer|\.\.|%|\s`)
)

func scrape(t testing.TB, c *client, path string) series {
	t.Helper()
	a := c.call(t, http.MethodGet, path, nil)
	if a.status != http.StatusOK {
		t.Fatalf("%s: %s", path, a)
	}
	all := series{}
	for line := range strings.Lines(string(a.body)) {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		found := sample.FindStringSubmatch(line)
		if found == nil {
			t.Fatalf("not a sample: %s", line)
		}
		all[found[1]+"{"+found[2]+"}"] = found[3]
	}
	return all
}

// names are the metrics' names, each with the labels that it has.
func (s series) names() map[string]string {
	names := map[string]string{}
	for one := range s {
		name, rest, _ := strings.Cut(one, "{")
		var labels []string
		for _, l := range labelValue.FindAllStringSubmatch(rest, -1) {
			labels = append(labels, l[1])
		}
		slices.Sort(labels)
		names[name] = strings.Join(labels, " ")
	}
	return names
}

// TestSeries counts the series of a program whose clients and messages say all sorts of things, and finds no more after many orders than
// after a few.
func TestSeries(t *testing.T) {
	t.Parallel()
	env := *devtest.New(t)
	p := serve(t, env, "GATEWAY_TIMEOUT=3s")
	first := scrape(t, p.client, "/metrics")
	got := first.names()
	for name, labels := range promised {
		if found, is := got[name]; !is || found != labels {
			t.Errorf("at the first scrape %s is there: %t, with the labels %q, want %q", name, is, found, labels)
		}
	}
	for queue := range queues {
		for _, one := range []string{
			`orderflow_dead_letters_total{queue="` + queue + `",reason="invalid_message"}`, `orderflow_retries_total{queue="` + queue + `"}`,
			`orderflow_event_lag_seconds_count{queue="` + queue + `"}`,
		} {
			if first[one] != "0" {
				t.Errorf("at the first scrape %s is %q, want 0", one, first[one])
			}
		}
	}

	m := strange{T: t, program: p, broker: brokerOf(t, env)}
	m.round(50)
	before := scrape(t, p.client, "/metrics")
	m.round(200)
	after := scrape(t, p.client, "/metrics")
	for _, one := range slices.Sorted(maps.Keys(after)) {
		if _, known := before[one]; !known {
			t.Errorf("there is a new series %s", one)
		}
		for _, l := range labelValue.FindAllStringSubmatch(one, -1) {
			if name, value := l[1], l[2]; name != "le" && name != "quantile" && name != "code" && idLike.MatchString(value) {
				t.Errorf("%s: what is %q in it?", one, value)
			}
		}
	}
	t.Logf("%d series at the start, %d after 50 orders, %d after 250", len(first), len(before), len(after))
	promtool(t, ".", string(p.call(t, http.MethodGet, "/metrics", nil).body), "check", "metrics")
}

// strange is the clients of a program, and others who send messages, who have many ideas.
type strange struct {
	*testing.T
	*program
	broker *broker.Broker
	rounds int
}

// round places n orders of every kind, sends what is no order, and waits until all of it is over.
func (s *strange) round(n int) {
	s.T.Helper()
	s.rounds++
	for _, product := range []string{"book", "lamp"} {
		putStock(s, s.client, product, 1_000_000)
	}
	var ids []string
	for i := range n {
		o := goodOrder(fmt.Sprintf("customer-%d-%s", i, uuid.NewString()))
		switch i % 8 {
		case 1:
			o.PaymentMethod = "pm_declined"
		case 2:
			o.PaymentMethod = "pm_" + uuid.NewString()
		case 3:
			o.ShippingAddress.PostalCode = "UNDELIVERABLE"
		case 4:
			o.Items = []item{{uuid.NewString(), 1, "1.00"}}
		case 5:
			o.Items = []item{{"book", 999_999, "1.00"}, {"lamp", 999_999, "0.01"}}
		case 6:
			if o.PaymentMethod = "pm_slow"; i > 6 {
				o.PaymentMethod = "pm_flaky"
			}
		}
		ids = append(ids, place(s.T, s.client, o).OrderID)
	}
	for _, r := range []struct{ method, path string }{
		{"POST", "/v1/orders/" + ids[6] + "/cancel"}, {"GET", "/v1/orders/" + ids[0]}, {"GET", "/v1/orders/" + uuid.NewString()}, {"GET", "/v1/orders/" + ids[0] + "/events"},
		{"GET", "/" + uuid.NewString()}, {"GET", "/v1/" + uuid.NewString() + "/42"}, {"BREW", "/v1/orders"}, {uuid.NewString(), "/v1/orders/" + ids[0]},
		{"GET", "/v1/payments?order_id=" + ids[0]}, {"GET", "/v1/stock/" + uuid.NewString()}, {"DELETE", "/v1/stock/" + ids[0]}, {"GET", "/metrics"},
		{"HEAD", "/v1/orders"}, {"GET", "/v1/orders?status=" + ids[0]}, {"GET", "/v1/orders/" + ids[0] + "/" + ids[1]},
	} {
		if _, err := s.send(s.Context(), r.method, r.path, nil); err != nil {
			s.Fatal(err)
		}
	}
	var messages []broker.Message
	for key := range eventTypes {
		for _, g := range allGarbage[:5] {
			id := uuid.NewString()
			messages = append(messages, broker.Message{
				Exchange: "orders.events", RoutingKey: key, Mandatory: true, Body: []byte(g.body(key)), ID: id, Type: id, AppID: id,
				Headers: map[string]any{"orderflow-reason": id, "orderflow-queue": id, "orderflow-service": id},
			})
		}
	}
	// This one is tried again before it dies, with a reason on it that is nobody's.
	messages = append(messages, broker.Message{
		Exchange: "orders.events", RoutingKey: "order.placed", Mandatory: true, Body: []byte(spoilt("/data/payment_method", "pm_down")("order.placed")),
		Headers: map[string]any{"orderflow-reason": "customer-4711"},
	})
	for _, err := range newPublisher(s, s.broker).PublishAll(s.Context(), messages) {
		if err != nil {
			s.Fatal(err)
		}
	}
	for _, id := range ids {
		follow(s.T, s.client, id)
	}
	s.call(s, http.MethodPost, "/v1/orders/"+ids[0]+"/cancel", nil)
	eventually(s, "everything is handled", func() error {
		all := scrape(s, s.client, "/metrics")
		unanswered := all[`orderflow_dead_letters_total{queue="payment.order-placed",reason="retries_exhausted"}`]
		if open := all["orderflow_orders_open{}"]; open != "0" || unanswered != fmt.Sprint(s.rounds) {
			return fmt.Errorf("%s orders are open, %s messages whose bank did not answer are dead", open, unanswered)
		}
		return nil
	})
}

// elsewhere are the metrics of which no process here tells: those of Postgres's exporter (0.17), and Prometheus's own.
var elsewhere = []string{
	"ALERTS", "up", "pg_stat_database_numbackends", "pg_settings_max_connections", "pg_stat_database_xact_commit", "pg_stat_database_xact_rollback",
	"pg_locks_count", "pg_stat_user_tables_n_dead_tup", "pg_stat_user_tables_n_live_tup", "pg_database_size_bytes",
}

var (
	metricName = regexp.MustCompile(`\b(?:orderflow|rabbitmq|pg|go|process)_\w+|\b(?:ALERTS|up)\b`)
	quoted     = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)
)

// What the alerts and the dashboard ask for is there, in a process of the program or in RabbitMQ.
func TestMetricsThatAreAskedFor(t *testing.T) {
	t.Parallel()
	env := *devtest.New(t)
	p := serve(t, env)
	p.call(t, http.MethodGet, "/healthz", nil)
	asked := map[string]string{}
	for _, expression := range expressions(t) {
		for _, name := range metricName.FindAllString(quoted.ReplaceAllString(expression, ""), -1) {
			asked[name] = expression
		}
	}
	if len(asked) < 40 {
		t.Errorf("only %d metrics were found in all expressions", len(asked))
	}
	eventually(t, "everything that is asked for is there", func() error { // RabbitMQ tells of a queue after some seconds
		there := scrape(t, p.client, "/metrics").names()
		for _, name := range elsewhere {
			there[name] = ""
		}
		if env.MetricsURL != "" {
			rabbitmq := newClient(t, env.MetricsURL)
			maps.Copy(there, scrape(t, rabbitmq, "/metrics").names())
			maps.Copy(there, scrape(t, rabbitmq, "/metrics/detailed?family=queue_coarse_metrics&family=queue_consumer_count").names())
		}
		for name, expression := range asked {
			if _, is := there[name]; !is && (env.MetricsURL != "" || !strings.HasPrefix(name, "rabbitmq_")) {
				return fmt.Errorf("nobody tells %s, which is asked for in %s", name, expression)
			}
		}
		return nil
	})
}
