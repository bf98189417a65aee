package main_test

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"orderflow/pkg/devstack/devtest"
)

// databaseRole makes a role that may log in and nothing else, and returns the address of the test's database with it.
func databaseRole(t *testing.T, env devtest.Env, name string) (role, address string) {
	t.Helper()
	role = name + "-" + databaseOf(t, env)
	execute(t, env, fmt.Sprintf(`CREATE ROLE %q LOGIN PASSWORD 'secret'`, role))
	t.Cleanup(func() {
		if err := executeIn(context.WithoutCancel(t.Context()), env, fmt.Sprintf(`DROP OWNED BY %[1]q CASCADE; DROP ROLE %[1]q`, role)); err != nil {
			t.Errorf("drop role %s: %v", role, err)
		}
	})
	return role, changed(t, env.DatabaseURL, as(role, "secret"))
}

// databaseOf is the name of the test's database.
func databaseOf(t *testing.T, env devtest.Env) string {
	t.Helper()
	u, err := url.Parse(env.DatabaseURL)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimPrefix(u.Path, "/")
}

// TestPostgresAtTheStart starts the program where something is wrong with Postgres.
func TestPostgresAtTheStart(t *testing.T) {
	t.Parallel()
	env := *devtest.New(t)
	_, powerless := databaseRole(t, env, "powerless")
	stranger, outside := databaseRole(t, env, "stranger")
	closed := *devtest.New(t)
	database := databaseOf(t, closed)
	execute(t, env, fmt.Sprintf(`REVOKE CONNECT ON DATABASE %q FROM PUBLIC`, database))
	full, crowded := databaseRole(t, env, "full")
	execute(t, env, fmt.Sprintf(`ALTER ROLE %q CONNECTION LIMIT 0`, full))
	owned := *devtest.New(t)
	if _, said, code := call(t, settings(owned), "migrate"); code != 0 {
		t.Fatal(said)
	}
	newer := *devtest.New(t)
	if _, said, code := call(t, settings(newer), "migrate"); code != 0 {
		t.Fatal(said)
	}
	execute(t, newer, `INSERT INTO orders.flow_migrations (version_id, is_applied) VALUES (77, true)`)

	url := func(address string) string { return "DATABASE_URL=" + address }
	const where = `connect to Postgres at 127.0.0.1:\d+, database "test-\w+": `
	expectFaults(t, env, map[string]startFault{
		"wrong password":   {url(changed(t, env.DatabaseURL, as("orderflow", "secret"))), "serve", 1, where + `.*check the user and the password in DATABASE_URL`, false},
		"unknown user":     {url(changed(t, env.DatabaseURL, as("nobody", "secret"))), "migrate", 1, where + `.*check the user and the password in DATABASE_URL`, false},
		"unknown database": {url(changed(t, env.DatabaseURL, path("/none"))), "serve", 1, `database "none".*create the database, or name another in DATABASE_URL`, false},
		"no right to connect": {url(changed(t, outside, path(database))), "serve", 1,
			where + `.*grant the user CONNECT on the database`, false},
		"no right to make a schema": {url(powerless), "serve", 1,
			`create schema "\w+": .*permission denied.*grant the user CREATE on the database, or run .orderflow migrate. once`, false},
		"no right to use the schema": {url(changed(t, owned.DatabaseURL, as(stranger, "secret"))), "migrate order", 1,
			`migrate schema "orders": .*permission denied.*grant the user USAGE and CREATE on the schema`, false},
		"a newer schema": {url(newer.DatabaseURL), "migrate", 1,
			`migrate schema "orders": it is newer than this program: migration 77 of flow is applied, .* up to \d+; run the version of orderflow that`, false},
		"nobody listens": {url(changed(t, env.DatabaseURL, on("127.0.0.1:1"))), "serve", 1,
			`connect to Postgres at 127.0.0.1:1,.*connection refused \(by DATABASE_URL\)`, true},
		"nobody listens, migrate": {url(changed(t, env.DatabaseURL, on("127.0.0.1:1"))), "migrate", 1, `connect to Postgres at 127.0.0.1:1,`, true},
		"it says nothing":         {url(changed(t, env.DatabaseURL, on(front(t, "", silent).address))), "serve", 1, where + `no answer`, true},
		"it hangs up":             {url(changed(t, env.DatabaseURL, on(front(t, "", curt).address))), "migrate", 1, where, true},
		"too many connections":    {url(crowded), "serve", 1, where + `.*too many connections.*SQLSTATE 53300`, true},
		"it is starting up":       {url(changed(t, env.DatabaseURL, on(front(t, "", startingUp).address))), "serve", 1, where + `.*starting up.*SQLSTATE 57P03`, true},
	})
}

// TestMigrateHasOneDeadline keeps the program from migrating a first schema for a while, and the next one for good: START_TIMEOUT is
// for all of them together.
func TestMigrateHasOneDeadline(t *testing.T) {
	t.Parallel()
	env := *devtest.New(t)
	conn, err := pgx.Connect(t.Context(), env.DatabaseURL)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	lock := func(f, schema string) {
		t.Helper()
		h := fnv.New64a()
		h.Write([]byte("orderflow/" + schema))
		if _, err := conn.Exec(t.Context(), "SELECT "+f+"($1)", int64(h.Sum64()>>1)); err != nil {
			t.Fatal(err)
		}
	}
	lock("pg_advisory_lock", "orders")
	lock("pg_advisory_lock", "payment")
	const patience = 10 * time.Second
	began := time.Now()
	w := wait(t, settings(env, "START_TIMEOUT="+patience.String()), "migrate")
	<-time.After(patience * 7 / 10)
	lock("pg_advisory_unlock", "orders")
	w.endsWith(1)
	if took := time.Since(began); took > patience*14/10 {
		t.Errorf("it took %s, and START_TIMEOUT is %s", took, patience)
	}
	const want = `migrate schema "payment": another process migrates it: `
	if log := w.log.String(); !strings.Contains(log, want) {
		t.Errorf("it does not say %q:\n%s", want, log)
	}
}

// TestServeWithANewerSchema restarts a service after a later version has migrated: it says so, once, and works.
func TestServeWithANewerSchema(t *testing.T) {
	t.Parallel()
	env := *devtest.New(t)
	run(t, settings(env), "serve").stop()
	execute(t, env, `INSERT INTO orders.flow_migrations (version_id, is_applied) VALUES (77, true)`)
	p := run(t, settings(env), "serve")
	const want = `"level":"WARN","msg":"the schema is newer than this program, going on: migrations only add","schema":"orders","folder":"flow","applied":77,"known":1}`
	if log := p.log.String(); strings.Count(log, want) != 1 || strings.Count(log, "newer") != 1 {
		t.Errorf("it does not say once %q:\n%s", want, log)
	}
	putStock(t, p.client, "book", 1)
	if o := follow(t, p.client, place(t, p.client, with(goodOrder("customer"), "/items/0/product_id", "nowhere")).OrderID); o.CancelReason != "unknown_product" {
		t.Errorf("an order ended as %s %s", o.Status, o.CancelReason)
	}
}

// TestMigrationsAtOnce has four processes migrate the same empty database, five times: each migration is applied once.
func TestMigrationsAtOnce(t *testing.T) {
	t.Parallel()
	envs := map[string]devtest.Env{}
	for i := range 5 {
		envs[fmt.Sprint(i+1)] = *devtest.New(t)
	}
	sideBySide(t, envs, migrateAtOnce)
}

func migrateAtOnce(t *testing.T, env devtest.Env) {
	var mu sync.Mutex
	times := map[string]int{}
	var processes sync.WaitGroup
	for range 4 {
		processes.Go(func() {
			stdout, said, code := call(t, settings(env), "migrate", "--json")
			var done struct{ Applied []string }
			if err := json.Unmarshal([]byte(stdout), &done); code != 0 || err != nil {
				t.Errorf("exit code %d, %v: %s%s", code, err, stdout, said)
			}
			mu.Lock()
			defer mu.Unlock()
			for _, name := range done.Applied {
				times[name]++
			}
		})
	}
	processes.Wait()
	for name, n := range times {
		if n != 1 {
			t.Errorf("%s was applied %d times", name, n)
		}
	}
	rows, err := queryOne[int](t.Context(), env, `
			SELECT count(*) FROM (
				SELECT 'orders', version_id FROM orders.flow_migrations UNION ALL SELECT 'orders own', version_id FROM orders.orders_migrations UNION ALL
				SELECT 'payment', version_id FROM payment.flow_migrations UNION ALL SELECT 'payment own', version_id FROM payment.payment_migrations UNION ALL
				SELECT 'inventory', version_id FROM inventory.flow_migrations UNION ALL SELECT 'inventory own', version_id FROM inventory.inventory_migrations UNION ALL
				SELECT 'shipping', version_id FROM shipping.flow_migrations UNION ALL SELECT 'shipping own', version_id FROM shipping.shipping_migrations UNION ALL
				SELECT 'dlq', version_id FROM dlq.dlq_migrations
			) AS applied WHERE version_id > 0`)
	if err != nil || rows != len(times) || len(times) < 9 {
		t.Errorf("%d migrations are noted as applied, and the processes told of %d: %v", rows, len(times), err)
	}
}

// TestServicesAtOnce starts the four services at once, as processes, on servers where nothing is yet.
func TestServicesAtOnce(t *testing.T) {
	t.Parallel()
	env := *devtest.New(t)
	sideBySide(t, map[string]string{"1": "order", "2": "payment", "3": "inventory", "4": "shipping"}, func(t *testing.T, name string) {
		if a := run(t, settings(env), "serve", name).call(t, "GET", "/readyz", nil); a.status != 200 {
			t.Errorf("readyz: %s", a)
		}
	})
}
