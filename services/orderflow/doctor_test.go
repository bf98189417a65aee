package main_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"orderflow/pkg/broker"
	"orderflow/pkg/devstack/devtest"
)

// checkup is what the doctor prints as JSON.
type checkup struct {
	OK              bool
	Wrong, Warnings int
	Findings        []finding
}

type finding struct{ Check, Status, Seen, Do string }

// of is the findings of a check, or of all, that are not fine.
func (c checkup) of(name string) (found []finding) {
	for _, f := range c.Findings {
		if f.Check == name || name == "" && f.Status != "ok" {
			found = append(found, f)
		}
	}
	return found
}

// says returns nil where a check has found that.
func (c checkup) says(name, status, seen, do string) error {
	for _, f := range c.of(name) {
		if f.Status == status && regexp.MustCompile(seen).MatchString(f.Seen) && regexp.MustCompile(do).MatchString(f.Do) {
			return nil
		}
	}
	return fmt.Errorf("no %s: %s that says %q and %q, but %+q", name, status, seen, do, c.of(name))
}

// examine runs the doctor, and looks at its exit code.
func examine(t *testing.T, settings []string, args ...string) checkup {
	t.Helper()
	stdout, stderr, code := call(t, settings, append([]string{"doctor", "--json"}, args...)...)
	var c checkup
	if err := json.Unmarshal([]byte(stdout), &c); err != nil {
		t.Fatalf("%v: %s%s", err, stdout, stderr)
	}
	wrong := slices.ContainsFunc(c.Findings, func(f finding) bool { return f.Status == "wrong" })
	if want := map[bool]int{true: 3, false: 0}[wrong]; code != want || c.OK == wrong || stderr != "" {
		t.Errorf("exit code %d, want %d; ok %t, %s", code, want, c.OK, stderr)
	}
	if strings.Contains(stdout, "secret") {
		t.Errorf("it tells a password: %s", stdout)
	}
	return c
}

// incidental are checks of the test's servers that say how they were set up, and how full the machine is.
var incidental = []string{"durability", "resources", "connections"}

// sound returns nil where nothing is to be said against an installation.
func (c checkup) sound() error {
	bad := slices.DeleteFunc(c.of(""), func(f finding) bool { return slices.Contains(incidental, f.Check) && f.Status != "not known" })
	if len(bad) > 0 {
		return fmt.Errorf("%+q", bad)
	}
	return nil
}

// ailment is something wrong with an installation.
type ailment struct {
	name      string
	make      func(*testing.T)
	settings  []string // of the doctor
	check     string
	status    string
	seen, do  string // regular expressions
	undo      func(*testing.T)
	elsewhere string // what another check says of it
}

// TestDoctor makes an installation ill in many ways, one after the other. Each is seen, with what to do, and so is that it has gone.
func TestDoctor(t *testing.T) {
	t.Parallel()
	env := *devtest.New(t)
	ui := newManagement(t, env)
	p := serve(t, env)
	set := append(settings(env), "ORDERFLOW_URL="+p.base)
	well := func() {
		t.Helper()
		eventually(t, "the installation is sound", func() error { return examine(t, set).sound() }) // the management API is seconds behind
	}
	well()
	before := definitionsOf(t, ui)

	put := func(path string, body any) func(*testing.T) {
		return func(t *testing.T) { manage(t, ui, http.MethodPut, path, body) }
	}
	post := func(path string, body any) func(*testing.T) {
		return func(t *testing.T) { manage(t, ui, http.MethodPost, path, body) }
	}
	remove := func(path string) func(*testing.T) {
		return func(t *testing.T) { manage(t, ui, http.MethodDelete, path, nil) }
	}
	sql := func(text string) func(*testing.T) { return func(t *testing.T) { execute(t, env, text) } }
	all := func(steps ...func(*testing.T)) func(*testing.T) {
		return func(t *testing.T) {
			for _, step := range steps {
				step(t)
			}
		}
	}
	topology := func(t *testing.T) {
		if _, said, code := call(t, settings(env), "topology"); code != 0 {
			t.Fatal(said)
		}
	}
	in := func(what string) string { return "/" + what + "/" + ui.vhost }
	policy := func(pattern, definition string) func(*testing.T) {
		return put(in("policies")+"/ill", json.RawMessage(`{"pattern":"`+pattern+`","apply-to":"queues","definition":`+definition+`}`))
	}
	publish := func(queue string) func(*testing.T) {
		return post(in("exchanges")+"/amq.default/publish", json.RawMessage(`{"properties":{},"routing_key":"`+queue+`","payload":"x","payload_encoding":"string"}`))
	}
	const dead, work, delay, old = "payment.order-placed.dlq", "payment.order-placed", "orders.retry.500ms", "orders.retry.77s"
	quorum := json.RawMessage(`{"durable":true,"arguments":{"x-queue-type":"quorum"}}`)
	poor := brokerUser(t, env, ui, "poor")
	poorRights := put("/permissions/"+ui.vhost+"/poor-"+ui.vhost, map[string]string{"configure": "^$", "write": "^orders[.]", "read": "^payment[.]"})
	poorRights(t)
	least := brokerUser(t, env, ui, "least")
	database := databaseOf(t, env)
	stealing, stopStealing := context.WithCancel(t.Context())
	stolen := make(chan error, 1)

	for _, a := range []ailment{
		{name: "a binding is gone", make: remove(in("bindings") + "/e/orders.events/q/" + work + "/order.placed"), undo: topology,
			check: "bindings", status: "wrong", seen: `orders\.events → payment\.order-placed order\.placed is missing`, do: "orderflow topology"},
		{name: "a binding too many", make: post(in("bindings")+"/e/orders.events/q/"+work, json.RawMessage(`{"routing_key":"shipment.created"}`)),
			undo:  remove(in("bindings") + "/e/orders.events/q/" + work + "/shipment.created"),
			check: "bindings", status: "warning", seen: `payment\.order-placed has a binding too many.*"shipment\.created"`, do: "remove it"},
		{name: "an exchange is gone", make: remove(in("exchanges") + "/" + delay), undo: topology,
			check: "exchanges", status: "wrong", seen: "exchange orders.retry.500ms is missing", do: "orderflow topology"},
		{name: "an exchange of another type", undo: all(remove(in("exchanges")+"/"+delay), topology),
			make:  all(remove(in("exchanges")+"/"+delay), put(in("exchanges")+"/"+delay, json.RawMessage(`{"type":"direct","durable":true}`))),
			check: "exchanges", status: "wrong", seen: "orders.retry.500ms is of type direct, and is declared as fanout", do: "delete it"},
		{name: "a queue is gone", make: remove(in("queues") + "/" + dead), undo: topology,
			check: "queues", status: "wrong", seen: dead + " is missing", do: "orderflow topology", elsewhere: "bindings"},
		{name: "a queue without its arguments", make: all(remove(in("queues")+"/"+dead), put(in("queues")+"/"+dead, quorum)), undo: all(remove(in("queues")+"/"+dead), topology),
			check: "queues", status: "wrong", seen: dead + " has no x-delivery-limit, and is declared with 2147483647", do: "rabbitmqctl delete_queue -p " + ui.vhost, elsewhere: "bindings"},
		{name: "a queue with other arguments", undo: all(remove(in("queues")+"/"+delay), topology),
			make: all(remove(in("queues")+"/"+delay), put(in("queues")+"/"+delay, json.RawMessage(`{"durable":true,"arguments":{"x-queue-type":"quorum","x-message-ttl":7,
				"x-dead-letter-exchange":"","x-dead-letter-strategy":"at-most-once","x-overflow":"reject-publish","x-max-length":9}}`))),
			check: "queues", status: "wrong", seen: delay + ` has x-dead-letter-strategy at-most-once, and is declared with at-least-once`, do: "drain it", elsewhere: "bindings"},
		{name: "a classic queue", make: all(remove(in("queues")+"/"+delay), put(in("queues")+"/"+delay, json.RawMessage(`{"durable":true}`))), undo: all(remove(in("queues")+"/"+delay), topology),
			check: "queues", status: "wrong", seen: delay + " is of type classic, and is declared as quorum", do: "drain it", elsewhere: "bindings"},
		{name: "a policy that drops heads", make: policy(`.*[.]dlq$`, `{"max-length":5,"overflow":"drop-head"}`), undo: remove(in("policies") + "/ill"),
			check: "policies", status: "wrong", seen: `policy ill drops the oldest messages of payment\.order-placed\.dlq beyond max-length 5`, do: "take max-length out of policy ill"},
		{name: "a policy that takes dead-lettering at least once away", make: policy(`^payment[.]order-placed$`, `{"overflow":"drop-head"}`), undo: remove(in("policies") + "/ill"),
			check: "policies", status: "wrong", seen: `policy ill sets overflow drop-head for payment\.order-placed`, do: "take overflow out"},
		{name: "a policy that lets messages expire", make: policy(`^payment`, `{"message-ttl":60000}`), undo: remove(in("policies") + "/ill"),
			check: "policies", status: "wrong", seen: `policy ill makes dead letters of events that wait in payment\.order-placed for 60000 ms`, do: "message-ttl"},
		{name: "a policy that counts looks", make: policy(`.*[.]dlq$`, `{"delivery-limit":5}`), undo: remove(in("policies") + "/ill"),
			check: "policies", status: "wrong", seen: `lets payment\.order-placed\.dlq lose a dead letter when it is looked at for the 6th time`, do: "delivery-limit"},
		{name: "a policy that swallows what no queue takes", undo: remove(in("policies") + "/ill"),
			make:  put(in("policies")+"/ill", json.RawMessage(`{"pattern":"^orders[.]events$","apply-to":"exchanges","definition":{"alternate-exchange":"unrouted"}}`)),
			check: "policies", status: "wrong", seen: `policy ill sends what exchange orders\.events has no queue for to exchange "unrouted"`, do: "take alternate-exchange out of policy ill"},
		{name: "an exchange that swallows what no queue takes", undo: all(remove(in("exchanges")+"/"+delay), topology),
			make:  all(remove(in("exchanges")+"/"+delay), put(in("exchanges")+"/"+delay, json.RawMessage(`{"type":"fanout","durable":true,"arguments":{"alternate-exchange":"unrouted"}}`))),
			check: "exchanges", status: "wrong", seen: delay + " has alternate-exchange unrouted, and is declared without", do: "delete it", elsewhere: "bindings"},
		{name: "an operator policy", undo: remove(in("operator-policies") + "/ill"),
			make:  put(in("operator-policies")+"/ill", json.RawMessage(`{"pattern":"^order.progress$","apply-to":"queues","definition":{"delivery-limit":3}}`)),
			check: "policies", status: "warning", seen: `policy ill lowers the delivery limit of order\.progress from 20 to 3`, do: "delivery-limit"},
		{name: "a delay that is not needed any more", undo: remove(in("queues") + "/" + old), make: all(put(in("queues")+"/"+old, quorum), publish(old)),
			check: "delays", status: "warning", seen: "orders.retry.77s, which holds 1 messages", do: "RETRY_DELAYS"},
		{name: "a dead letter", make: publish(dead), undo: remove(in("queues") + "/" + dead + "/contents"),
			check: "dead-letters", status: "warning", seen: "1 dead letters wait in " + dead, do: "orderflow dlq list"},
		{name: "a thief", check: "consumers", status: "wrong", seen: `takes messages away from order\.progress: tag "TestDoctor`, do: "stop that program",
			make: func(t *testing.T) {
				b := brokerOf(t, env)
				go func() {
					stolen <- b.Consume(stealing, broker.ConsumerConfig{Queue: "order.progress", Prefetch: 1, Batch: 1}, func([]*broker.Delivery) {})
				}()
			},
			undo: func(*testing.T) { stopStealing(); <-stolen }},
		{name: "a user who may not do enough", settings: []string{"AMQP_URL=" + poor}, check: "broker-rights", status: "wrong",
			seen: `user "poor-[\w-]+" of AMQP_URL may run none of the services; for payment it lacks: write payment\.order-placed\.dlx`, do: "set_permissions"},
		{name: "a user with the least rights", make: leastRights(ui, "inventory", "least-"+ui.vhost), settings: []string{"AMQP_URL=" + least}, check: "broker-rights", status: "ok",
			seen: `user "least-[\w-]+" of AMQP_URL may run inventory;`, do: "^$"},
		{name: "a wrong password of RabbitMQ", settings: []string{"AMQP_URL=" + changed(t, env.AMQPURL, as("orderflow", "secret"))}, check: "rabbitmq", status: "wrong",
			seen: `403.*check the user "orderflow" and its password`, do: "AMQP_URL"},
		{name: "a wrong password of the management API", settings: []string{"RABBITMQ_MANAGEMENT_URL=" + changed(t, env.ManagementURL, as("orderflow", "secret"))},
			check: "management", status: "wrong", seen: "401", do: "RABBITMQ_MANAGEMENT_URL"},
		{name: "a wrong password of Postgres", settings: []string{"DATABASE_URL=" + changed(t, env.DatabaseURL, as("orderflow", "secret"))}, check: "postgres", status: "wrong",
			seen: `check the user and the password`, do: "DATABASE_URL"},
		{name: "an API that is not there", settings: []string{"ORDERFLOW_URL=http://127.0.0.1:1"}, check: "api", status: "wrong", seen: "refused", do: "orderflow serve"},
		{name: "a migration of a later version", make: sql(`UPDATE payment.payment_migrations SET version_id = version_id + 1000 WHERE version_id = 2`), undo: sql(`UPDATE payment.payment_migrations SET version_id = 2 WHERE version_id = 1002`),
			check: "migrations", status: "warning", seen: `schema payment is at migration 1002 of payment, and this program knows them up to`, do: "use the version"},
		{name: "a migration that was not applied", make: sql(`CREATE TABLE payment.saved AS SELECT * FROM payment.payment_migrations WHERE version_id > 1; DELETE FROM payment.payment_migrations WHERE version_id > 1`),
			check: "migrations", status: "wrong", seen: `schema payment is at migration 1 of payment, and this program needs \d`, do: "orderflow migrate"},
		{name: "an outbox that is not emptied", undo: sql(`DELETE FROM shipping.outbox`),
			make: sql(`INSERT INTO shipping.outbox (event_id, type, correlation_id, body, created_at, due_at)
				VALUES (gen_random_uuid(), 'x', 'x', 'x', now() - interval '3 days', now() + interval '1 day')`),
			check: "outbox", status: "warning", seen: `1 events of shipping wait to be published, the oldest since 72h`, do: "RabbitMQ takes messages"},
		{name: "no day for tomorrow", make: sql(dropDay("inventory.inbox", 1)),
			check: "days", status: "warning", seen: "inventory.inbox has no partition for tomorrow", do: "orderflow serve inventory"},
		{name: "no day for today", make: sql(dropDay("orders.answers", 0)),
			check: "days", status: "wrong", seen: "orders.answers has no partition for today", do: "orderflow serve order"},
		{name: "no writing", make: sql(fmt.Sprintf(`ALTER DATABASE %q SET default_transaction_read_only = on`, database)), undo: sql(fmt.Sprintf(`BEGIN READ WRITE; ALTER DATABASE %q RESET default_transaction_read_only; COMMIT`, database)),
			check: "writable", status: "wrong", seen: "default_transaction_read_only is on", do: "RESET"},
		{name: "no waiting for the disk", make: sql(fmt.Sprintf(`ALTER DATABASE %q SET synchronous_commit = off`, database)), undo: sql(fmt.Sprintf(`ALTER DATABASE %q RESET synchronous_commit`, database)),
			check: "durability", status: "wrong", seen: "synchronous_commit is off", do: "synchronous_commit = on"},
	} {
		t.Run(a.name, func(t *testing.T) {
			if a.make != nil {
				a.make(t)
			}
			var c checkup
			eventually(t, "it is seen", func() error {
				c = examine(t, append(slices.Clone(set), a.settings...))
				return c.says(a.check, a.status, a.seen, a.do)
			})
			if a.elsewhere != "" && len(c.of(a.elsewhere)) == 0 {
				t.Errorf("%s says nothing", a.elsewhere)
			}
			if a.undo != nil {
				a.undo(t)
			}
		})
	}
	// What the tests have not undone. The topology is as it was before, so nobody has changed anything that a test does not know of.
	sql(`INSERT INTO payment.payment_migrations SELECT * FROM payment.saved; DROP TABLE payment.saved`)(t)
	p.stop()
	p.start()
	well()
	if after := definitionsOf(t, ui); after != before {
		t.Errorf("there is\n%s\nwhere there was\n%s", after, before)
	}

	p.stop()
	for _, service := range []string{"order", "payment", "inventory", "shipping"} {
		eventually(t, "no consumer", func() error {
			return examine(t, set).says("consumers", "wrong", `: service `+service+` does not run`, "orderflow serve "+service)
		})
	}
}

// leastRights gives a user those of a service in compose.yaml.
func leastRights(ui *management, service, user string) func(*testing.T) {
	return func(t *testing.T) {
		compose, err := os.ReadFile("../../compose.yaml")
		if err != nil {
			t.Fatal(err)
		}
		given := map[string]bool{}
		for line := range strings.Lines(strings.ReplaceAll(string(compose), "$$", "$")) {
			var rights struct{ User, Exchange, Configure, Write, Read string }
			line = strings.TrimSuffix(strings.TrimSpace(line), ",")
			if json.Unmarshal([]byte(line), &rights) != nil || rights.User != service {
				continue
			}
			kind := "permissions"
			if rights.Exchange != "" {
				kind = "topic-permissions"
			}
			given[kind] = true
			manage(t, ui, http.MethodPut, "/"+kind+"/"+ui.vhost+"/"+user, json.RawMessage(line))
		}
		if len(given) != 2 {
			t.Fatalf("compose.yaml has only %v", given)
		}
	}
}

// dropDay is SQL that drops the partition of a table for today, or so many days later.
func dropDay(table string, later int) string {
	return fmt.Sprintf(`DO $$ BEGIN EXECUTE 'DROP TABLE %s_' || to_char((clock_timestamp() AT TIME ZONE 'UTC') + interval '%d days', 'YYYYMMDD'); END $$`, table, later)
}

// definitionsOf is what is declared in the vhost: exchanges, queues, bindings, policies.
func definitionsOf(t *testing.T, ui *management) string {
	t.Helper()
	var lines []string
	for _, path := range []string{"queues", "exchanges", "bindings", "policies"} {
		for _, one := range get[[]map[string]any](t, ui.client, "/api/"+path+"/"+ui.vhost) {
			if text := fmt.Sprint(one["name"], one["source"], one["destination"], one["routing_key"], one["arguments"], one["type"]); !strings.Contains(text, "amq.gen") {
				lines = append(lines, path+" "+text)
			}
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// TestDoctorChangesNothing looks at servers where nothing was set up yet, and leaves them so; and at an installation as users who may do
// nothing but read.
func TestDoctorChangesNothing(t *testing.T) {
	t.Parallel()
	env := *devtest.New(t)
	ui := newManagement(t, env)
	empty := definitionsOf(t, ui)
	c := examine(t, settings(env))
	for _, want := range []struct{ check, seen string }{
		{"exchanges", "orders.events is missing"}, {"queues", "order.progress is missing"}, {"bindings", "is missing"},
		{"migrations", "schema orders is missing"},
	} {
		if err := c.says(want.check, "wrong", want.seen, "orderflow (topology|migrate)"); err != nil {
			t.Error(err)
		}
	}
	made, err := queryOne[int](t.Context(), env, `SELECT count(*) FROM pg_namespace WHERE nspname IN ('orders', 'payment', 'inventory', 'shipping', 'dlq')`)
	if after := definitionsOf(t, ui); after != empty || made != 0 || err != nil {
		t.Errorf("there are %d schemas, %v, and\n%s", made, err, after)
	}

	serve(t, env)
	role, database := databaseRole(t, env, "reader")
	for _, schema := range schemas {
		grant := fmt.Sprintf(`GRANT USAGE ON SCHEMA %[1]s TO %[2]q; GRANT SELECT ON ALL TABLES IN SCHEMA %[1]s TO %[2]q`, schema, role)
		eventually(t, "no service is just making a partition", func() error { return executeIn(t.Context(), env, grant) })
	}
	mute := brokerUser(t, env, ui, "mute")
	manage(t, ui, http.MethodPut, "/permissions/"+ui.vhost+"/mute-"+ui.vhost, map[string]string{"configure": "^$", "write": "^$", "read": "^$"})
	manage(t, ui, http.MethodPut, "/users/mute-"+ui.vhost, map[string]string{"password": "secret-mute-" + ui.vhost, "tags": "monitoring"})
	who, err := url.Parse(mute)
	if err != nil {
		t.Fatal(err)
	}
	least := append(settings(env), "AMQP_URL="+mute, "DATABASE_URL="+database,
		"RABBITMQ_MANAGEMENT_URL="+changed(t, env.ManagementURL, func(u *url.URL) { u.User = who.User }))
	eventually(t, "all is seen but what needs more rights", func() error {
		c := examine(t, least)
		for _, f := range c.of("") {
			if slices.Contains(incidental, f.Check) {
				continue
			}
			if f.Status != "not known" || !slices.Contains([]string{"broker-rights", "feature-flags", "transactions", "api"}, f.Check) {
				return fmt.Errorf("%+q", f)
			}
		}
		return c.says("database-rights", "ok", fmt.Sprintf("role %q may read order, payment, inventory, shipping", role), "")
	})
}

// TestDoctorAndSickServers takes servers away, and their memory and disk.
func TestDoctorAndSickServers(t *testing.T) {
	if testing.Short() {
		t.Skip("needs RabbitMQ and Postgres")
	}
	t.Parallel()
	servers, err := devtest.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := servers.Stop(); err != nil {
			t.Error(err)
		}
	})
	migrated(t, servers.Env)
	set := settings(servers.Env)
	if _, said, code := call(t, set, "topology"); code != 0 {
		t.Fatal(said)
	}
	if err := examine(t, set).says("durability", "wrong", "fsync is off", "fsync = on"); err != nil {
		t.Error(err)
	}
	control := func(args ...string) {
		t.Helper()
		if out, err := servers.Control(t.Context(), args...); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	sees := func(what, check, seen string) {
		t.Helper()
		eventually(t, what, func() error { return examine(t, set).says(check, "wrong", seen, ".") })
	}
	control("set_vm_memory_high_watermark", "0.00001")
	sees("the memory alarm is seen", "resources", "has a memory alarm and takes no messages")
	control("set_vm_memory_high_watermark", "0.4")
	control("set_disk_free_limit", "100000GB")
	sees("the disk alarm is seen", "resources", "has a disk alarm and takes no messages")
	control("set_disk_free_limit", "100MB")

	for _, s := range []struct {
		server   devtest.Server
		check    string
		unknown  []string // checks
		answered []string
	}{
		{servers.RabbitMQ, "rabbitmq", []string{"management", "resources", "exchanges", "queues", "bindings", "consumers", "dead-letters", "broker-rights"}, []string{"postgres", "migrations", "outbox"}},
		{servers.Postgres, "postgres", []string{"durability", "writable", "migrations", "database-rights", "days", "outbox", "clock-postgres"}, []string{"rabbitmq", "exchanges", "queues", "bindings"}},
	} {
		alone := func(how string) {
			t.Helper()
			began := time.Now()
			c := examine(t, set, "--timeout=2s")
			took := time.Since(began)
			t.Logf("%s %s: %s", s.check, how, took)
			if took > 15*time.Second {
				t.Errorf("%s %s: it took %s", s.check, how, took)
			}
			if err := c.says(s.check, "wrong", ".", "start "); err != nil {
				t.Errorf("%s: %v", how, err)
			}
			for _, f := range c.Findings {
				if slices.Contains(s.unknown, f.Check) && (f.Status != "not known" || f.Do == "") || slices.Contains(s.answered, f.Check) && f.Status != "ok" {
					t.Errorf("%s %s: %+q", s.check, how, f)
				}
			}
		}
		if err := s.server.Freeze(); err != nil {
			t.Fatal(err)
		}
		alone("does not answer")
		if err := s.server.Thaw(); err != nil {
			t.Fatal(err)
		}
		if err := s.server.Kill(); err != nil {
			t.Fatal(err)
		}
		alone("is gone")
		if err := s.server.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// TestDoctorForPeople looks at what is printed, and at wrong use.
func TestDoctorForPeople(t *testing.T) {
	t.Parallel()
	nowhere := []string{"AMQP_URL=amqp://127.0.0.1:1", "DATABASE_URL=postgres://127.0.0.1:1/none"}
	stdout, stderr, code := call(t, nowhere, "doctor")
	for _, line := range []string{
		`(?m)^CHECK +STATUS +SEEN`, `(?m)^orderflow +ok +version`, `(?m)^rabbitmq +wrong .*refused → start RabbitMQ`, `(?m)^management +not known .*→ set RABBITMQ_MANAGEMENT_URL`,
		`(?m)^postgres +wrong .*refused.* → start Postgres`, `(?m)^outbox +not known +Postgres does not answer → see postgres$`, `(?m)^2 wrong, 0 warnings, \d+ not known$`,
	} {
		if !regexp.MustCompile(line).MatchString(stdout) {
			t.Errorf("no line %q in\n%s", line, stdout)
		}
	}
	if code != 3 || stderr != "" {
		t.Errorf("exit code %d, %s", code, stderr)
	}
	for _, args := range [][]string{{"doctor", "--timeout=0s"}, {"doctor", "--nonsense"}} {
		if _, stderr, code := call(t, nowhere, args...); code != 2 {
			t.Errorf("%v: exit code %d, %s", args, code, stderr)
		}
	}
	if stdout, _, code := call(t, nowhere, "doctor", "--help"); code != 0 || !strings.Contains(stdout, "Nothing is changed") {
		t.Errorf("exit code %d, %s", code, stdout)
	}
}
