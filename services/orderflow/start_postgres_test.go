package main_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"

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
		"a newer schema": {url(newer.DatabaseURL), "serve order", 1,
			`migrate schema "orders": it is newer than this program: migration 77 of flow is applied, .* up to \d+; run the version of orderflow that`, false},
		"a newer schema, migrate": {url(newer.DatabaseURL), "migrate", 1, `migration 77 of flow is applied`, false},
		"nobody listens": {url(changed(t, env.DatabaseURL, on("127.0.0.1:1"))), "serve", 1,
			`connect to Postgres at 127.0.0.1:1,.*connection refused \(by DATABASE_URL\)`, true},
		"nobody listens, migrate": {url(changed(t, env.DatabaseURL, on("127.0.0.1:1"))), "migrate", 1, `connect to Postgres at 127.0.0.1:1,`, true},
		"it says nothing":         {url(changed(t, env.DatabaseURL, on(front(t, "", silent).address))), "serve", 1, where + `no answer`, true},
		"it hangs up":             {url(changed(t, env.DatabaseURL, on(front(t, "", curt).address))), "migrate", 1, where, true},
		"too many connections":    {url(crowded), "serve", 1, where + `.*too many connections.*SQLSTATE 53300`, true},
		"it is starting up":       {url(changed(t, env.DatabaseURL, on(front(t, "", startingUp).address))), "serve", 1, where + `.*starting up.*SQLSTATE 57P03`, true},
	})
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
				SELECT 'shipping', version_id FROM shipping.flow_migrations UNION ALL SELECT 'shipping own', version_id FROM shipping.shipping_migrations
			) AS applied WHERE version_id > 0`)
	if err != nil || rows != len(times) || len(times) < 8 {
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
