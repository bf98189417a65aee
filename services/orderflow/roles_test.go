package main_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"orderflow/pkg/broker"
	"orderflow/pkg/devstack/devtest"
)

// rolesOfCompose makes the roles of deploy/postgres/init.sh, as psql would, and returns the settings of a program that is one of them.
func rolesOfCompose(t *testing.T, env devtest.Env) (settled map[string][]string) {
	t.Helper()
	_, script, _ := strings.Cut(readText(t, "../../deploy/postgres/init.sh"), "<<'SQL'\n")
	script, _, _ = strings.Cut(script, "\nSQL\n")
	settled = map[string][]string{}
	replace := []string{`:"DBNAME"`, fmt.Sprintf("%q", databaseOf(t, env))}
	var sql []string
	for line := range strings.Lines(script) {
		if variable, is := strings.CutPrefix(line, `\getenv `); is {
			role, _, _ := strings.Cut(variable, " ")
			replace = append(replace, ":'"+role+"'", "'secret'")
			settled[role] = append(settings(env), "DATABASE_URL="+changed(t, env.DatabaseURL, as(role, "secret")))
		} else if !strings.HasPrefix(line, `\`) {
			sql = append(sql, line)
		}
	}
	execute(t, env, strings.NewReplacer(replace...).Replace(strings.Join(sql, "")))
	return settled
}

// TestRolesOfCompose runs the services as the database roles that Compose has for them, loses an event, and gets it back as the role nudge.
// That is the first to write the history, which operator goes on with, and may neither change nor delete what is the services'.
func TestRolesOfCompose(t *testing.T) {
	t.Parallel()
	own := devtest.Own(t)
	who := rolesOfCompose(t, own.Env)
	if _, said, code := call(t, who["operator"], "topology"); code != 0 {
		t.Fatal(said)
	}
	s := &tale{T: t, env: own.Env, broker: openBroker(t, own.Env)}
	order := run(t, who["order"], "serve", "order")
	run(t, who["payment"], "serve", "payment")
	await := func(queue string) {
		t.Helper()
		eventually(t, "a message in "+queue, func() error {
			if n, err := s.broker.Depth(t.Context(), queue); n != 1 || err != nil {
				return fmt.Errorf("%d, %v", n, err)
			}
			return nil
		})
	}
	id := place(t, order.client, goodOrder("whose event is lost")).OrderID
	await("inventory.payment-processed")
	s.lose("inventory.payment-processed", purge)
	inventory := run(t, who["inventory"], "serve", "inventory")
	run(t, who["shipping"], "serve", "shipping")
	for _, product := range []string{"book", "lamp"} {
		putStock(t, inventory.client, product, 100)
	}

	if done := (operator{t, who["nudge"]}).nudge(0, id); len(done.Nudged) != 1 {
		t.Errorf("%+v", done)
	}
	if o := follow(t, order.client, id); o.Status != "shipped" {
		t.Errorf("the order is %s", o.Status)
	}
	for _, err := range newPublisher(t, s.broker).PublishAll(t.Context(), []broker.Message{{RoutingKey: "order.progress", Body: []byte("no event")}}) {
		if err != nil {
			t.Fatal(err)
		}
	}
	await("order.progress.dlq")
	if _, said, code := call(t, who["operator"], "dlq", "drop", "order.progress", "--all", "--to", t.TempDir()+"/dropped.jsonl", "--yes"); code != 0 {
		t.Errorf("operator drops a dead letter: exit code %d, %s", code, said)
	}
	if n := count(t, own.Env, "SELECT count(DISTINCT who) FROM dlq.history"); n != 2 {
		t.Errorf("%d roles have written into the history", n)
	}

	for role, statements := range map[string][]string{
		"nudge": {"UPDATE payment.payments SET status = status", "DELETE FROM orders.outbox", "TRUNCATE inventory.stock", "DROP TABLE shipping.shipments",
			"CREATE TABLE orders.mine ()", "SET ROLE payment"},
		"operator": {"INSERT INTO orders.outbox SELECT * FROM orders.outbox", "DELETE FROM payment.payments", "SET ROLE nudge"},
	} {
		env := own.Env
		env.DatabaseURL = changed(t, env.DatabaseURL, as(role, "secret"))
		for _, statement := range statements {
			if err := executeIn(t.Context(), env, statement); err == nil || !slices.ContainsFunc([]string{"permission denied", "must be owner"},
				func(refusal string) bool { return strings.Contains(err.Error(), refusal) }) {
				t.Errorf("%s: %s: %v", role, statement, err)
			}
		}
	}
}
