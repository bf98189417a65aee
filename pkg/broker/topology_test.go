package broker

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"orderflow/pkg/devstack/devtest"
)

var sample = Topology{
	Exchange: "orders.events",
	Queues: []Queue{
		{Name: "payment.order-placed", RoutingKeys: []string{"order.placed"}},
		{Name: "order.progress", RoutingKeys: []string{"payment.processed", "shipment.created"}},
	},
	Delays: []time.Duration{time.Second, 10 * time.Second, 1500 * time.Millisecond, time.Second},
}

func TestDelayQueueNames(t *testing.T) {
	for delay, want := range map[time.Duration]string{
		time.Second: "orders.retry.1s", 5 * time.Minute: "orders.retry.300s", 50 * time.Millisecond: "orders.retry.50ms",
	} {
		if got := DelayQueue("orders.events", delay); got != want {
			t.Errorf("DelayQueue(orders.events, %s) = %q, want %q", delay, got, want)
		}
		if got, ok := DelayOf("orders.events", want); !ok || got != delay {
			t.Errorf("%s is a delay queue of %s, %v; want %s", want, got, ok, delay)
		}
	}
	for _, name := range []string{"orders.retry.", "orders.retry.1", "orders.retry.s", "orders.retry.1h", "orders.retry.x1s", "orders.retry.-1s", "orders.retry.1m", "a.retry.1s", "order.progress"} {
		if IsDelayQueue("orders.events", name) {
			t.Errorf("%s is a delay queue", name)
		}
	}
}

// queueInfo is a queue as the management API shows it.
type queueInfo struct {
	Name      string
	Type      string
	Durable   bool
	Arguments map[string]any
}

func TestDeclareMakesTheContract(t *testing.T) {
	env := devtest.New(t)
	b := connect(t, env.AMQPURL)
	for range 2 {
		if err := b.Declare(t.Context(), sample); err != nil {
			t.Fatal(err)
		}
	}
	var queues []queueInfo
	manage(t, env, "GET", "/api/queues/"+vhost(t, env.AMQPURL), nil, &queues)
	byName := map[string]queueInfo{}
	for _, q := range queues {
		byName[q.Name] = q
		if q.Arguments["x-queue-type"] != "quorum" || !q.Durable {
			t.Errorf("queue %s is not a durable quorum queue: %+v", q.Name, q)
		}
	}
	for name, want := range map[string]map[string]any{
		"payment.order-placed": {"x-delivery-limit": 20.0, "x-dead-letter-exchange": "payment.order-placed.dlx",
			"x-dead-letter-strategy": "at-least-once", "x-overflow": "reject-publish"},
		"payment.order-placed.dlq": {"x-delivery-limit": 2147483647.0},
		"order.progress":           {"x-dead-letter-exchange": "order.progress.dlx"},
		"order.progress.dlq":       {},
		"orders.retry.1s":          {"x-message-ttl": 1000.0, "x-dead-letter-exchange": "", "x-dead-letter-strategy": "at-least-once", "x-overflow": "reject-publish"},
		"orders.retry.1500ms":      {"x-message-ttl": 1500.0},
		"orders.retry.10s":         {"x-message-ttl": 10000.0},
	} {
		q, ok := byName[name]
		if !ok {
			t.Errorf("there is no queue %s", name)
			continue
		}
		for arg, value := range want {
			if q.Arguments[arg] != value {
				t.Errorf("queue %s: %s is %v, want %v", name, arg, q.Arguments[arg], value)
			}
		}
	}
	if len(byName) != 7 {
		t.Errorf("there are %d queues, want 7: %v", len(byName), byName)
	}
}

// user makes a user with these rights in the vhost of env, and returns a URL with it.
func user(t *testing.T, env *devtest.Env, configure, write, read string) string {
	t.Helper()
	name := "u-" + vhost(t, env.AMQPURL)
	manage(t, env, "PUT", "/api/users/"+name, map[string]string{"password": "secret-" + name, "tags": ""}, nil)
	t.Cleanup(func() {
		req := "/api/users/" + name
		manageBackground(t, env, "DELETE", req)
	})
	manage(t, env, "PUT", "/api/permissions/"+vhost(t, env.AMQPURL)+"/"+name,
		map[string]string{"configure": configure, "write": write, "read": read}, nil)
	return as(t, env.AMQPURL, name, "secret-"+name)
}

func TestDeclareByAUserWhoMayNotConfigure(t *testing.T) {
	env := devtest.New(t)
	b := connect(t, user(t, env, "^$", ".*", ".*"))

	err := b.Declare(t.Context(), sample)
	if !IsSetup(err) {
		t.Fatalf("nothing exists: the error is %v, want one that is a fault of the setup", err)
	}
	mustSay(t, err, "orders.events", "orderflow topology")

	if err := connect(t, env.AMQPURL).Declare(t.Context(), sample); err != nil {
		t.Fatal(err)
	}
	if err := b.Declare(t.Context(), sample); err != nil {
		t.Errorf("everything exists: %v", err)
	}
}

func TestDeclareByAUserWithoutAnyRight(t *testing.T) {
	env := devtest.New(t)
	if err := connect(t, env.AMQPURL).Declare(t.Context(), sample); err != nil {
		t.Fatal(err)
	}
	b := connect(t, user(t, env, "^$", "^$", "^$"))
	if err := b.Declare(t.Context(), sample); err != nil && !IsSetup(err) {
		t.Errorf("error %v, want none or a fault of the setup", err)
	}
}

// What was declared by somebody else, and differently, is named, with what differs and the way out; and the way out works.
func TestDeclareNamesWhatClashes(t *testing.T) {
	env := devtest.New(t)
	b := connect(t, env.AMQPURL)
	for name, c := range map[string]struct {
		path string // below the vhost's queues or exchanges
		body map[string]any
		says []string
	}{
		"arguments of a queue": {"queues/%s/payment.order-placed",
			map[string]any{"arguments": map[string]any{"x-queue-type": "quorum", "x-delivery-limit": 7}}, []string{"x-d", "delete_queue -p %s"}},
		"a classic queue": {"queues/%s/payment.order-placed", map[string]any{}, []string{"x-dead-letter-exchange", "delete_queue -p %s"}},
		"a classic dead-letter queue": {"queues/%s/payment.order-placed.dlq", map[string]any{"arguments": map[string]any{"x-queue-type": "classic"}},
			[]string{"x-queue-type", "'quorum'", "'classic'", "delete_queue -p %s"}},
		"a dead-letter queue": {"queues/%s/payment.order-placed.dlq",
			map[string]any{"arguments": map[string]any{"x-queue-type": "quorum"}}, []string{"x-delivery-limit", "delete_queue -p %s"}},
		"a delay queue": {"queues/%s/orders.retry.1s", map[string]any{"arguments": map[string]any{"x-queue-type": "quorum", "x-message-ttl": 5}},
			[]string{"x-", "delete_queue -p %s"}},
		"an exchange": {"exchanges/%s/orders.events", map[string]any{"type": "direct"}, []string{"'type'", "'topic'", "'direct'", "management UI"}},
	} {
		t.Run(name, func(t *testing.T) {
			path := "/api/" + fmt.Sprintf(c.path, vhost(t, env.AMQPURL))
			manageBackground(t, env, "DELETE", path)
			c.body["durable"] = true
			manage(t, env, "PUT", path, c.body, nil)
			err := b.Declare(t.Context(), sample)
			if !IsSetup(err) {
				t.Fatalf("error %v, want a fault of the setup", err)
			}
			mustSay(t, err, path[strings.LastIndex(path, "/")+1:])
			for _, word := range c.says {
				mustSay(t, err, strings.ReplaceAll(word, "%s", vhost(t, env.AMQPURL)))
			}
			manage(t, env, "DELETE", path, nil, nil)
			if err := b.Declare(t.Context(), sample); err != nil {
				t.Errorf("after the way out that the error names: %v", err)
			}
		})
	}
}

func mustSay(t testing.TB, err error, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("the error %q does not say %q", err, w)
		}
	}
}
