package main_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// TestNudgeLeavesWhatWasEdited loses an event that was said after somebody had edited a dead letter of its order: what the rows have of it would take
// that back. A copy with another id is looked for by that.
func TestNudgeLeavesWhatWasEdited(t *testing.T) {
	t.Parallel()
	const first, second, third = "payment.order-placed", "inventory.payment-processed", "shipping.inventory-reserved"
	s := newTale(t)
	operator := operator{t, settings(s.env)}
	patch := filepath.Join(t.TempDir(), "patch.json")
	write(t, patch, `{"data":{"shipping_address":{"city":"Corrected"}}}`)
	edit := func(queue string, more ...string) {
		t.Helper()
		bury(t, s.broker, queue, "cursed")
		operator.dlq(0, append([]string{"edit", queue, "--patch", patch, "--to", filepath.Join(t.TempDir(), "originals"), "--yes"}, more...)...)
	}
	s.with("inventory payment", nothing) // so that they have inboxes
	var id string
	s.with("order payment", func(c *client) { id = place(t, c, goodOrder("customer")).OrderID })
	edit(second)
	operator.where(3, id, second, "queue")
	s.with("inventory order", nothing)
	s.lose(third, purge)
	if w := operator.where(3, id, third, "edited"); !strings.Contains(w.Told, "PaymentProcessed of the order was edited in "+second+".dlq") || !strings.Contains(w.Next, "nudge --force "+id) {
		t.Errorf("%+v", w)
	}
	for _, args := range [][]string{{id}, {"--older-than", "0s"}} {
		if got := operator.nudge(3, args...); len(got.Nudged) > 0 || len(got.Left) != 1 || got.Left[0].Place != "edited" {
			t.Errorf("nudge %v has done %+v", args, got)
		}
	}
	if out, said, code := call(t, operator.settings, "nudge", "--force", id); code != 0 || !strings.Contains(said, "warning: order "+id) || !strings.Contains(out, "1 of 1 orders nudged") {
		t.Errorf("exit code %d\n%s%s", code, out, said)
	}

	s.with("order inventory", func(c *client) { id = place(t, c, goodOrder("customer")).OrderID })
	edit(first, "--new-id")
	operator.where(3, id, first, "queue")
	edit(first, "--new-id", "--patch", changedCity(t, "Better"))
	operator.where(3, id, first, "queue")
	bury(t, s.broker, first, "cursed")
	if w := operator.where(3, id, first, "dead_letter"); w.Next != "orderflow dlq replay "+first+" --order "+id {
		t.Errorf("%+v", w)
	}
	operator.dlq(0, "drop", first, "--all", "--to", filepath.Join(t.TempDir(), "dropped"), "--yes")
	operator.where(3, id, first, "dropped")
}

func changedCity(t *testing.T, city string) (file string) {
	file = filepath.Join(t.TempDir(), "patch.json")
	write(t, file, fmt.Sprintf(`{"data":{"shipping_address":{"city":%q}}}`, city))
	return file
}

// TestNudgeOfOldRows is about rows that were written, or changed, by a version that does not note what they said.
func TestNudgeOfOldRows(t *testing.T) {
	t.Parallel()
	s := newTale(t)
	operator := operator{t, settings(s.env)}
	var ids []string
	s.with("order payment", func(c *client) {
		for range 2 {
			o := goodOrder("customer")
			o.Items = []item{{"nothing", 1, "1.00"}}
			ids = append(ids, place(t, c, o).OrderID)
		}
	})
	s.with("order inventory", nothing)
	s.lose("payment.inventory-released", purge)
	execute(t, s.env, `UPDATE inventory.reservations SET reason = NULL`)
	execute(t, s.env, fmt.Sprintf(`UPDATE inventory.reservations SET missing = NULL WHERE order_id = '%s'`, ids[1]))
	got := operator.nudge(3, "--older-than", "0s")
	if len(got.Nudged) != 1 || got.Nudged[0].OrderID != ids[0] || len(got.Left) != 1 || got.Left[0].OrderID != ids[1] || got.Left[0].Place != "not_nameable" {
		t.Errorf("%+v", got)
	}
	var id string
	s.with("order payment inventory shipping", func(c *client) {
		if got := follow(t, c, ids[0]); got.CancelReason != "unknown_product" {
			t.Errorf("%+v", got)
		}
		id = place(t, c, goodOrder("customer")).OrderID
		follow(t, c, id)
	})
	for table, status := range map[string]string{"payment.payments": "refunded", "shipping.shipments": "cancelled", "inventory.reservations": "released"} {
		names := "SELECT count(*) FROM " + table + " WHERE said_id IS NOT NULL AND order_id = '" + id + "'"
		execute(t, s.env, fmt.Sprintf(`UPDATE %s SET said_id = '01890000-0000-7000-8000-000000000001' WHERE order_id = '%s'`, table, id))
		if count(t, s.env, names) != 1 {
			t.Errorf("%s does not keep what it said", table)
		}
		execute(t, s.env, fmt.Sprintf(`UPDATE %s SET status = '%s', said_id = '01890000-0000-7000-8000-000000000002' WHERE order_id = '%s'`, table, status, id))
		if count(t, s.env, names) != 1 {
			t.Errorf("%s does not keep what it said of the new state", table)
		}
		execute(t, s.env, fmt.Sprintf(`UPDATE %s SET status = 'voided' WHERE order_id = '%s'`, table, id))
		if count(t, s.env, names) != 0 {
			t.Errorf("%s says that an old event told of the new state", table)
		}
	}
}

// TestNudgeWithoutTheRight has somebody nudge who may read and write the history, but not publish: the history says nothing then.
func TestNudgeWithoutTheRight(t *testing.T) {
	t.Parallel()
	s := newTale(t)
	operator := operator{t, settings(s.env)}
	var id string
	s.with("payment", nothing)
	s.with("order", func(c *client) { id = place(t, c, goodOrder("customer")).OrderID })
	operator.nudge(3, id) // makes the history
	s.lose(downQueue, purge)
	role, address := databaseRole(t, s.env, "reader")
	execute(t, s.env, fmt.Sprintf(`GRANT USAGE ON SCHEMA orders, payment, inventory, shipping, dlq TO %[1]q;
		GRANT SELECT ON ALL TABLES IN SCHEMA orders, payment, inventory, shipping TO %[1]q; GRANT ALL ON ALL TABLES IN SCHEMA dlq TO %[1]q`, role))
	out, said, code := call(t, append(operator.settings, "DATABASE_URL="+address), "nudge", id)
	if code != 1 || !strings.Contains(said, "nothing was published: service order: the database user "+role+" may not insert into orders.outbox") {
		t.Errorf("exit code %d\n%s%s", code, out, said)
	}
	if n := count(t, s.env, "SELECT count(*) FROM dlq.history WHERE outcome = 'nudged'"); n > 0 {
		t.Errorf("the history knows of %d nudges", n)
	}
	operator.nudge(0, id)
}
