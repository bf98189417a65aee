package doctor

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"orderflow/pkg/broker/management"
	"orderflow/pkg/event"
	"orderflow/pkg/flow"
	"orderflow/pkg/postgres"
)

// shop is two services, of which one reads what the other says.
var shop = []Service{
	{Name: "order", Schema: "orders", Overhears: true, Daily: []string{"answers"}, Subscriptions: []flow.Subscription{{Queue: "order.progress", Events: []event.Type{"PaymentProcessed"}}}},
	{Name: "payment", Schema: "payment", Subscriptions: []flow.Subscription{{Queue: "payment.order-placed", Events: []event.Type{"OrderPlaced"}}}},
}

// facts is everything that is seen.
type facts struct {
	plan   *plan
	broker *brokerFacts
	db     *databaseFacts
	api    *apiFacts
}

func (f *facts) judge() []Finding {
	return judge(Config{Version: "1", DBMaxConns: 12}, f.plan, f.broker, f.db, f.api)
}

// queue is one of the broker's, to be changed, and copies is which nodes have it.
func (f *facts) queue(name string) *management.Queue { return named(f.broker.api.queues.value, name) }

func (f *facts) copies(name string) *management.Queue { return named(f.broker.api.copies.value, name) }

func named(all []management.Queue, name string) *management.Queue {
	return &all[slices.IndexFunc(all, func(q management.Queue) bool { return q.Name == name })]
}

func (f *facts) exchange(name string) *exchange {
	all := f.broker.api.exchanges.value
	return &all[slices.IndexFunc(all, func(x exchange) bool { return x.Name == name })]
}

func (f *facts) node() *node { return &f.broker.api.nodes.value[0] }

func (f *facts) server() *server { return &f.db.server.value }

// sound is what is seen of an installation where all is well.
func sound() *facts {
	p := newPlan(shop, []time.Duration{time.Second})
	none := 0
	a := &amqpFacts{release: "3.10.8", exchanges: map[string]answer[bool]{}, queues: map[string]answer[depth]{}, missing: map[string]bool{}}
	m := &managementFacts{user: "operator", tags: []string{"administrator"}}
	m.nodes.value = []node{{Name: "n1", Running: true, Memory: 1, MemoryLimit: 100, DiskFree: 9 << 30, DiskFreeLimit: 1 << 30, Files: 1, FilesLimit: 100}}
	m.flags.value = []flag{{"quorum_queue", "enabled"}, {"stream_queue", "enabled"}, {"other", "disabled"}}
	m.permissions.value = []permission{{User: "services", Configure: `^amq\.gen-`, Write: `^orders\.|\.dlx$|^amq\.gen-`, Read: ".*"}}
	for _, x := range p.exchanges {
		a.exchanges[x.Name] = answer[bool]{value: true}
		m.exchanges.value = append(m.exchanges.value, exchange{Name: x.Name, Type: x.Kind, Durable: true})
	}
	for _, q := range p.queues {
		arguments := map[string]any{}
		for name, value := range q.Arguments {
			if arguments[name] = value; number(value) != 0 {
				arguments[name] = number(value) // as JSON has it
			}
		}
		m.queues.value = append(m.queues.value, management.Queue{Name: q.Name, Type: "quorum", Durable: true, Arguments: arguments, Messages: &none})
		m.copies.value = append(m.copies.value, management.Queue{Name: q.Name, Type: "quorum", State: "running", Members: []string{"n1"}, Online: []string{"n1"}})
		seen := answer[depth]{}
		if service := p.work[q.Name]; service != "" {
			seen.value.consumers = 1
			one := consumer{Tag: "orderflow " + service + "-123-1"}
			one.Queue.Name = q.Name
			m.consumers.value = append(m.consumers.value, one)
			way := connection{User: "services", Given: "orderflow " + service + " (consume)"}
			way.Client.Version = "1"
			m.connections.value = append(m.connections.value, way)
		}
		a.queues[q.Name] = seen
	}
	for _, b := range p.bindings {
		m.bindings.value = append(m.bindings.value, binding{b.Exchange, b.Queue, "queue", b.RoutingKey})
		m.bindings.value = append(m.bindings.value, binding{"", b.Queue, "queue", b.Queue})
	}
	db := &databaseFacts{}
	db.server.value = server{Version: "15.4", Number: 150004, Role: "services", Database: "shop", ReadOnly: "off", Fsync: "on", FullPageWrites: "on",
		SynchronousCommit: "on", MaxConnections: 100, ReservedConnections: 3, SeesAll: true}
	db.sessions.value = []session{{"order", "services"}, {"payment", "services"}}
	now := time.Date(2026, 11, 22, 23, 59, 0, 0, time.UTC)
	days := map[time.Time]bool{now.Truncate(24 * time.Hour): true, now.Add(time.Hour).Truncate(24 * time.Hour): true}
	for _, s := range shop {
		one := schema{service: s.Name, name: s.Schema, exists: true, now: now, folders: []postgres.Progress{{Folder: "flow", Applied: 1, Known: 1}},
			days: map[string]map[time.Time]bool{"inbox": days}, rights: map[string]rights{"services": {"services", true, true, true, true}}}
		db.schemas = append(db.schemas, one)
	}
	return &facts{p, &brokerFacts{user: "services", vhost: "shop", amqp: a, api: m}, db, &apiFacts{}}
}

func TestSound(t *testing.T) {
	findings := sound().judge()
	checks := map[string]bool{}
	for _, f := range findings {
		if f.Status != OK || f.Do != "" || f.Seen == "" {
			t.Errorf("%+q", f)
		}
		if checks[f.Check] {
			t.Errorf("%s has two lines", f.Check)
		}
		checks[f.Check] = true
	}
	if r := newReport(findings); !r.OK || r.Wrong+r.Warnings+r.NotKnown > 0 {
		t.Errorf("%+v", r)
	}
}

// TestJudges changes one thing of a sound installation, and looks at what is found.
func TestJudges(t *testing.T) {
	gone, refused := errors.New("it is gone"), &management.StatusError{Code: 401}
	off := func(least, most time.Duration) answer[skew] { return answer[skew]{value: skew{least, most}} }
	say := func(f *facts, queue string, key string, value any) {
		f.queue(queue).Policy = "p"
		f.queue(queue).Effective = map[string]any{key: value}
	}
	const work, dead, delay = "payment.order-placed", "payment.order-placed.dlq", "orders.retry.1s"
	for name, c := range map[string]struct {
		change func(*facts)
		want   []string // check, status and what is seen, in part
	}{
		"old broker":        {func(f *facts) { f.broker.amqp.release = "3.9.1" }, []string{"rabbitmq wrong RabbitMQ 3.9.1 is too old"}},
		"broker of 3.10":    {func(f *facts) { f.broker.amqp.release = "3.10.0" }, nil},
		"broker of today":   {func(f *facts) { f.broker.amqp.release = "4.3.5" }, nil},
		"broker of then":    {func(f *facts) { f.broker.amqp.release = "5.0.0" }, []string{"rabbitmq warning RabbitMQ 5.0.0 is newer"}},
		"broker of no year": {func(f *facts) { f.broker.amqp.release = "" }, []string{`rabbitmq not known the broker's version is ""`}},
		"flag":              {func(f *facts) { f.broker.api.flags.value[1].State = "disabled" }, []string{"feature-flags wrong the feature flag stream_queue is disabled"}},
		"flag of 4": {func(f *facts) {
			f.broker.api.flags.value[1].State = "disabled"
			f.broker.amqp.release = "4.0.5"
		}, nil},
		"wrong login of the management API": {func(f *facts) { f.broker.api = &managementFacts{err: refused} }, []string{
			"management wrong the management API refuses the user", "feature-flags not known", "resources not known", "clock-rabbitmq not known", "queues not known all 5 are there",
			"bindings not known", "policies not known", "delays not known", "quorums not known", "broker-rights not known", "processes not known", "consumers not known every work queue has a consumer",
		}},
		"tag":                {func(f *facts) { f.broker.api.nodes.err = refused }, []string{`resources not known the management API does not tell this to user "operator"`}},
		"stopped node":       {func(f *facts) { f.node().Running = false }, []string{"resources wrong node n1 does not run"}},
		"partition":          {func(f *facts) { f.node().Partitions = []string{"n2"} }, []string{"resources wrong node n1 has lost sight of n2"}},
		"memory alarm":       {func(f *facts) { f.node().MemoryAlarm = true }, []string{"resources wrong node n1 has a memory alarm"}},
		"memory":             {func(f *facts) { f.node().Memory = 81 }, []string{"resources warning node n1 uses 81 bytes of 100 bytes of memory"}},
		"disk alarm":         {func(f *facts) { f.node().DiskAlarm = true }, []string{"resources wrong node n1 has a disk alarm"}},
		"disk unmeasured":    {func(f *facts) { f.node().DiskFree = unmeasured }, []string{"resources not known node n1 cannot measure its disk"}},
		"disk":               {func(f *facts) { f.node().DiskFree = 2<<30 - 1 }, []string{"resources warning node n1 has 2.0 GiB of disk free, limit 1.0 GiB"}},
		"files":              {func(f *facts) { f.node().Files = 81 }, []string{"resources warning node n1 uses 81 of 100 file descriptors"}},
		"sockets":            {func(f *facts) { f.node().Sockets, f.node().SocketsLimit = 9, 10 }, []string{"resources warning node n1 uses 9 of 10 sockets"}},
		"transient exchange": {func(f *facts) { f.broker.api.exchanges.value[0].Durable = false }, []string{"exchanges wrong exchange orders.events is not durable"}},
		"transient queue":    {func(f *facts) { f.queue(work).Durable = false }, []string{"queues wrong queue payment.order-placed is not durable"}},
		"delivery limit":     {func(f *facts) { f.queue(work).Arguments["x-delivery-limit"] = 5.0 }, []string{"queues wrong queue payment.order-placed has x-delivery-limit 5, and is declared with 20"}},
		"several arguments": {func(f *facts) {
			q := f.queue(delay)
			q.Arguments["x-message-ttl"], q.Arguments["x-dead-letter-exchange"], q.Arguments["x-max-length"] = 5.0, "x", 3.0
			delete(q.Arguments, "x-overflow")
		}, []string{
			`queues wrong queue orders.retry.1s has x-dead-letter-exchange x, and is declared with ""`, "queues wrong queue orders.retry.1s has x-max-length 3, and is declared without",
			"queues wrong queue orders.retry.1s has x-message-ttl 5, and is declared with 1000", "queues wrong queue orders.retry.1s has no x-overflow, and is declared with reject-publish",
		}},
		"type by default":                  {func(f *facts) { delete(f.queue(work).Arguments, "x-queue-type") }, nil},
		"binding of others":                {func(f *facts) { f.broker.api.bindings.value[0].Destination = "audit" }, []string{"bindings wrong"}},
		"harmless policy":                  {func(f *facts) { say(f, work, "delivery-limit", 50.0) }, nil},
		"policy: expires":                  {func(f *facts) { say(f, work, "expires", 1000.0) }, []string{"policies wrong policy p lets queue payment.order-placed be deleted"}},
		"policy: short delay":              {func(f *facts) { say(f, delay, "message-ttl", 500.0) }, []string{"policies warning policy p lets messages out of orders.retry.1s after 500 ms"}},
		"policy: long delay":               {func(f *facts) { say(f, delay, "message-ttl", 5000.0) }, nil},
		"policy: TTL of dead letters":      {func(f *facts) { say(f, dead, "message-ttl", 500.0) }, []string{"policies wrong policy p deletes dead letters"}},
		"policy: length of a work queue":   {func(f *facts) { say(f, work, "max-length", 5.0) }, []string{"policies warning policy p makes payment.order-placed refuse messages beyond max-length 5"}},
		"policy: length of dead letters":   {func(f *facts) { say(f, dead, "max-length-bytes", 5.0) }, []string{"policies wrong policy p drops the oldest messages of payment.order-placed.dlq beyond max-length-bytes 5"}},
		"policy: overflow":                 {func(f *facts) { say(f, delay, "overflow", "drop-head") }, []string{"policies wrong policy p sets overflow drop-head for orders.retry.1s: what leaves it may be lost"}},
		"policy: overflow of dead letters": {func(f *facts) { say(f, dead, "overflow", "drop-head") }, nil},
		"policy: routing key of a delay":   {func(f *facts) { say(f, delay, "dead-letter-routing-key", "x") }, []string{`policies wrong policy p sends what orders.retry.1s holds to queue "x"`}},
		"policy: strategy":                 {func(f *facts) { say(f, work, "dead-letter-strategy", "at-most-once") }, nil},
		"policy: exchange of a DLQ":        {func(f *facts) { say(f, dead, "dead-letter-exchange", "x") }, []string{`policies warning policy p sends what leaves payment.order-placed.dlq to exchange "x"`}},
		"policy: exchange of a work":       {func(f *facts) { say(f, work, "dead-letter-exchange", "x") }, nil},
		"exchange with another exchange": {func(f *facts) {
			f.exchange("orders.events").Arguments = map[string]any{"alternate-exchange": "unrouted"}
		}, []string{
			"exchanges wrong exchange orders.events has alternate-exchange unrouted, and is declared without"}},
		"internal exchange": {func(f *facts) { f.exchange("payment.order-placed.dlx").Internal = true }, []string{"exchanges wrong exchange payment.order-placed.dlx is internal"}},
		"policy: alternate exchange": {func(f *facts) {
			f.exchange("orders.events").Policy, f.exchange(delay).Policy, f.exchange("payment.order-placed.dlx").Policy = "p", "p", "q"
			f.broker.api.policies.value = []management.Policy{{Name: "p", Definition: map[string]any{"alternate-exchange": "unrouted"}}, {Name: "q", Definition: map[string]any{"max-length": 5.0}}}
		}, []string{`policies wrong policy p sends what exchange orders.events has no queue for to exchange "unrouted"`, "policies wrong policy p sends what exchange orders.retry.1s"}},
		"policy of an exchange that nobody knows": {func(f *facts) { f.exchange("orders.events").Policy = "p"; f.broker.api.policies.err = refused }, []string{
			"policies not known policy p applies to exchange orders.events"}},
		"policy: unlimited":        {func(f *facts) { say(f, dead, "delivery-limit", -1.0) }, nil},
		"policy that nobody knows": {func(f *facts) { f.queue(work).Policy = "p"; f.broker.api.policies.err = refused }, []string{"policies not known policy p applies to queue payment.order-placed"}},
		"two policies, the lowest counts": {func(f *facts) {
			q := f.queue(dead)
			q.Policy, q.OperatorPolicy = "p", "o"
			f.broker.api.policies.value = []management.Policy{{Name: "p", Definition: map[string]any{"delivery-limit": 9.0}}}
			f.broker.api.operator.value = []management.Policy{{Name: "o", Definition: map[string]any{"delivery-limit": 7.0}}}
		}, []string{"policies wrong policy p and o lets payment.order-placed.dlq lose a dead letter when it is looked at for the 8th"}},
		"crashed queue": {func(f *facts) { f.copies(work).State = "crashed" }, []string{"quorums wrong queue payment.order-placed is in state crashed"}},
		"quorum lost":   {func(f *facts) { f.copies(work).Members = []string{"n1", "n2"} }, []string{"quorums wrong queue payment.order-placed has lost its quorum: 1 of 2"}},
		"member offline": {func(f *facts) {
			f.copies(work).Members, f.copies(work).Online = []string{"n1", "n2", "n3"}, []string{"n1", "n3"}
		}, []string{"quorums warning queue payment.order-placed: 2 of 3"}},
		"copies unknown": {func(f *facts) { f.copies(work).Members = nil }, []string{"quorums not known the broker does not tell which nodes have payment.order-placed"}},
		"copies on one":  {func(f *facts) { f.broker.api.nodes.value = append(f.broker.api.nodes.value, *f.node(), *f.node()) }, []string{"quorums warning fewer than 3 of 3 nodes have a copy of"}},
		"rights of a run": {func(f *facts) { f.broker.api.permissions.value[0].Write = `^orders\.events$|\.dlx$|^amq\.` }, []string{
			`broker-rights wrong service order runs as user "services", who may not: write orders.retry.1s`, `broker-rights wrong service payment runs`,
			`broker-rights wrong user "services" of AMQP_URL may run none of the services; for order it lacks: write orders.retry.1s`}},
		"rights to overhear": {func(f *facts) { f.broker.api.permissions.value[0].Configure = "^$" }, []string{
			`broker-rights warning service order runs as user "services", who may not overhear events, so that its streams ask the database instead: configure amq.gen-x`}},
		"rights of an operator": {func(f *facts) {
			f.broker.api.permissions.value = append(f.broker.api.permissions.value, permission{"x", "", ".*", "^order"})
			f.broker.user = "x"
		}, nil},
		"no rights at all": {func(f *facts) { f.broker.user = "x" }, []string{`broker-rights wrong user "x" of AMQP_URL may run none`}},
		"rights on routing keys": {func(f *facts) {
			f.broker.api.topics.value = []topicPermission{{"services", "orders.events", `^(order\.|payment\.[pf])`}, {"services", "others", "^$"}, {"x", "orders.events", "^$"}}
		}, []string{`broker-rights wrong service payment runs as user "services", who may not: write payment.refunded (a topic permission), write payment.voided (a topic permission)`}},
		"rights that cannot be read": {func(f *facts) { f.broker.api.permissions.value[0].Write = "(?<!x)y" }, []string{"broker-rights not known the rights of user"}},
		"two versions":               {func(f *facts) { f.broker.api.connections.value[1].Client.Version = "2" }, []string{"processes warning services of several versions are connected: 1, 2"}},
		"another version": {func(f *facts) {
			for i := range f.broker.api.connections.value {
				f.broker.api.connections.value[i].Client.Version = ""
			}
		}, []string{"processes warning the services are of version unknown, and this is 1"}},
		"stopped service": {func(f *facts) {
			f.broker.api.consumers.value, f.broker.api.connections.value = f.broker.api.consumers.value[:1], nil
			f.broker.amqp.queues[work] = answer[depth]{}
		}, []string{"consumers wrong nobody takes messages from payment.order-placed: service payment does not run"}},
		"service that cannot consume": {func(f *facts) {
			f.broker.api.consumers.value = f.broker.api.consumers.value[:1]
			f.broker.amqp.queues[work] = answer[depth]{}
		}, []string{"consumers wrong service payment is connected, and nobody takes messages from payment.order-placed"}},
		"consumer that is not listed yet": {func(f *facts) { f.broker.api.consumers.value = nil }, nil},
		"thief alone": {func(f *facts) { f.broker.api.consumers.value[1].Tag = "x"; f.broker.api.connections.value = nil }, []string{
			"consumers wrong nobody takes messages from payment.order-placed: service payment does not run", `consumers wrong a foreign consumer takes messages away from payment.order-placed: tag "x"`}},
		"thief of dead letters": {func(f *facts) {
			f.broker.api.consumers.value = append(f.broker.api.consumers.value, consumer{Tag: "x", Queue: struct{ Name string }{dead}})
		},
			[]string{"consumers warning a foreign consumer takes dead letters"}},
		"look at dead letters": {func(f *facts) {
			f.broker.api.consumers.value = append(f.broker.api.consumers.value, consumer{Tag: "getter-1-000001", Queue: struct{ Name string }{dead}})
		}, nil},
		"backlog":         {func(f *facts) { f.broker.amqp.queues[work] = answer[depth]{value: depth{10_001, 1}} }, []string{"backlog warning 10001 messages wait in payment.order-placed"}},
		"old database":    {func(f *facts) { f.server().Number, f.server().Version = 140011, "14.11" }, []string{"postgres wrong Postgres 14.11 is too old"}},
		"standby":         {func(f *facts) { f.server().Standby = true }, []string{"writable wrong it is a standby"}},
		"full pages":      {func(f *facts) { f.server().FullPageWrites = "off" }, []string{"durability wrong full_page_writes is off"}},
		"few connections": {func(f *facts) { f.server().MaxConnections = 26 }, []string{"connections warning one process of each service may use 24 connections, and there are 23"}},
		"no connections":  {func(f *facts) { f.server().Backends = 90 }, []string{"connections warning 7 of 97 connections are left"}},
		"old transaction": {func(f *facts) {
			f.db.held.value = []transaction{{PID: 7, Role: "r", Program: "psql", State: "idle in transaction", Age: time.Hour}}
		}, []string{`transactions warning a transaction holds vacuum back since 1h0m0s: process 7, role "r", program "psql", idle in transaction`}},
		"prepared":         {func(f *facts) { f.db.held.value = []transaction{{Role: "r", Age: time.Hour, Prepared: "g"}} }, []string{"transactions warning a prepared transaction"}},
		"blind role":       {func(f *facts) { f.server().SeesAll = false }, []string{"transactions not known"}},
		"schema":           {func(f *facts) { f.db.schemas[1].exists = false; f.db.schemas[1].days = nil }, []string{"migrations wrong schema payment is missing"}},
		"schema of others": {func(f *facts) { f.db.schemas[1].denied, f.db.schemas[1].err = true, gone; f.db.schemas[1].rights = nil }, []string{"migrations not known schema payment", "days not known schema payment", "outbox not known schema payment"}},
		"rights of a role": {func(f *facts) { f.db.schemas[1].rights["services"] = rights{"services", true, true, true, false} }, []string{`database-rights wrong service payment is connected as role "services", which lacks INSERT, UPDATE, DELETE`}},
		"database is away": {func(f *facts) { f.db = &databaseFacts{err: gone} }, []string{"postgres wrong it is gone", "durability not known", "writable not known", "clock-postgres not known", "migrations not known", "database-rights not known", "days not known", "outbox not known", "connections not known", "transactions not known"}},
		"clock ahead":      {func(f *facts) { f.db.clock = off(1200*time.Millisecond, 1300*time.Millisecond) }, []string{"clock-postgres warning the clock of Postgres is 1.2s or more ahead of"}},
		"clock far behind": {func(f *facts) { f.broker.api.clock = off(-8*time.Second, -6*time.Second) }, []string{"clock-rabbitmq wrong the clock of RabbitMQ is 6s or more behind"}},
		"clock, perhaps":   {func(f *facts) { f.broker.api.clock = off(-500*time.Millisecond, 1500*time.Millisecond) }, nil},
		"clock of the API": {func(f *facts) { f.api.clock = off(6*time.Second, 7*time.Second) }, []string{"clock-api wrong"}},
		"API not ready":    {func(f *facts) { f.api.said = "503" }, []string{"api wrong it is not ready: 503"}},
	} {
		t.Run(name, func(t *testing.T) {
			f := sound()
			c.change(f)
			var got []Finding
			for _, one := range f.judge() {
				if one.Status == OK {
					continue
				}
				if got = append(got, one); one.Do == "" {
					t.Errorf("nothing to do about %+q", one)
				}
			}
			if len(got) != len(c.want) {
				t.Fatalf("%+q, want %q", got, c.want)
			}
			for i, one := range got {
				if line := fmt.Sprint(one.Check, " ", one.Status, " ", one.Seen); !strings.HasPrefix(line, c.want[i]) {
					t.Errorf("%s, want %s", line, c.want[i])
				}
			}
		})
	}
}

func TestUnmeasured(t *testing.T) {
	var n node
	err := json.Unmarshal([]byte(`{"name":"n1","running":true,"disk_free":"NaN","disk_free_limit":50000000,"fd_used":"unknown","fd_total":1048576}`), &n)
	if want := (node{Name: "n1", Running: true, DiskFree: unmeasured, DiskFreeLimit: 50_000_000, Files: unmeasured, FilesLimit: 1 << 20}); err != nil || !reflect.DeepEqual(n, want) {
		t.Errorf("%+v, %v, want %+v", n, err, want)
	}
}

func TestCompareClocks(t *testing.T) {
	asked := time.Date(2026, 1, 1, 0, 0, 10, 0, time.UTC)
	answered := asked.Add(200 * time.Millisecond)
	for _, c := range []struct {
		told   time.Duration // after it was asked
		coarse time.Duration
		want   time.Duration
	}{
		{100 * time.Millisecond, 0, 0}, {0, 0, 0}, {200 * time.Millisecond, 0, 0}, // it said it at some time in between
		{3200 * time.Millisecond, 0, 3 * time.Second}, {-3 * time.Second, 0, -3 * time.Second},
		{-900 * time.Millisecond, time.Second, 0}, {-3 * time.Second, time.Second, -2 * time.Second}, {3200 * time.Millisecond, time.Second, 3 * time.Second},
	} {
		if got := compareClocks(asked, asked.Add(c.told), answered, c.coarse).surely(); got != c.want {
			t.Errorf("%+v: off by %s at least", c, got)
		}
	}
}
