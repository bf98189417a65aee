package main_test

import (
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
)

// where runs doctor order, and returns the one thing that the order waits for, which has to be at that place.
func (o operator) where(code int, id, queue, place string) awaited {
	o.Helper()
	d := o.diagnose(code, id)
	if len(d.Waits) != 1 || d.Waits[0].Queue != queue || d.Waits[0].Place != place {
		o.Fatalf("order %s: %+v, want it to wait for %s, %s", id, d, queue, place)
	}
	return d.Waits[0]
}

func (o operator) diagnose(code int, id string) diagnosed {
	o.Helper()
	out, said, got := call(o, o.settings, "doctor", "order", id, "--json")
	if got != code {
		o.Fatalf("doctor order: exit code %d, want %d\n%s%s", got, code, out, said)
	}
	return unmarshal[diagnosed](o, []byte(out))
}

// follows does what doctor order has told to do next.
func (o operator) follows(w awaited) {
	o.Helper()
	if out, said, code := call(o, o.settings, append(strings.Fields(w.Next)[1:], map[bool][]string{true: {"--yes"}}[strings.Contains(w.Next, " dlq ")]...)...); code != 0 {
		o.Fatalf("%s: exit code %d\n%s%s", w.Next, code, out, said)
	}
}

// TestDoctorOrder puts the message of an order into every place where it can be, and has that told, and the command that gets it going.
func TestDoctorOrder(t *testing.T) {
	t.Parallel()
	const queue = "payment.order-placed"
	s := newTale(t)
	ui, operator := newManagement(t, s.env), operator{t, settings(s.env)}
	s.with("payment", nothing) // so that it has an inbox
	p := run(t, settings(s.env), "serve", "order", "inventory", "shipping")
	id := place(t, p.client, goodOrder("customer")).OrderID

	// In a queue that nobody consumes.
	eventually(t, "the event is published", func() error { return outboxesEmpty(t, s.env) })
	if w := operator.where(3, id, queue, "queue"); w.Next != "orderflow serve payment" || w.EventType != "OrderPlaced" {
		t.Errorf("%+v", w)
	}
	if left := operator.nudge(3, id); len(left.Nudged) > 0 || len(left.Left) != 1 {
		t.Errorf("nudged what is not lost: %+v", left)
	}
	if out, _, code := call(t, operator.settings, "doctor", "orders", "--older-than", "0s"); code != 3 || !strings.Contains(out, id) || !strings.Contains(out, "orderflow serve payment") {
		t.Errorf("exit code %d\n%s", code, out)
	}

	// Among the dead.
	bury(t, s.broker, queue, "cursed")
	if w := operator.where(3, id, queue, "dead_letter"); w.Next != "orderflow dlq replay payment.order-placed --order "+id || !strings.Contains(w.Told, "cursed") {
		t.Errorf("%+v", w)
	} else {
		operator.follows(w)
	}
	operator.where(3, id, queue, "queue")

	// Dropped: nobody but a person undoes that.
	bury(t, s.broker, queue, "cursed")
	file := filepath.Join(t.TempDir(), "dropped")
	operator.dlq(0, "drop", queue, "--all", "--to", file, "--yes")
	if w := operator.where(3, id, queue, "dropped"); !strings.Contains(w.Told, file) {
		t.Errorf("%+v", w)
	}
	if left := operator.nudge(3, "--older-than", "0s"); len(left.Nudged) > 0 || len(left.Left) != 1 {
		t.Errorf("nudged what was dropped: %+v", left)
	}
	operator.dlq(0, "import", file)
	operator.dlq(0, "replay", queue, "--yes")

	// Lost.
	s.lose(queue, purge)
	w := operator.where(3, id, queue, "lost")
	if got := operator.nudge(0, "--older-than", "0s", "--dry-run"); len(got.Nudged) != 1 || got.Nudged[0].EventID != w.EventID {
		t.Errorf("a dry run: %+v", got)
	}
	operator.where(3, id, queue, "lost") // the dry run has left it so
	if w.Next != "orderflow nudge "+id {
		t.Errorf("%+v", w)
	}
	operator.follows(w)
	eventually(t, "the event is published again", func() error { return outboxesEmpty(t, s.env) })
	operator.where(3, id, queue, "queue")
	contain(t, operator.dlq(0, "history", "--order", id), "nudged", "dropped", "imported", "replayed")

	// In the outbox, since no queue takes it.
	manage(t, ui, http.MethodDelete, "/bindings/"+ui.vhost+"/e/orders.events/q/"+queue+"/order.placed", nil)
	stays := place(t, p.client, goodOrder("customer")).OrderID
	if w := operator.where(0, stays, queue, "outbox"); !strings.Contains(w.Next, "orderflow topology payment") {
		t.Errorf("%+v", w)
	}
	away := append(slices.Clone(operator.settings), "AMQP_URL="+changed(t, s.env.AMQPURL, on("127.0.0.1:1")))
	if out, said, code := call(t, away, "doctor", "order", stays); code != 0 || !strings.Contains(out, "in the outbox of order") {
		t.Errorf("without RabbitMQ: exit code %d\n%s%s", code, out, said)
	}
	if out, said, code := call(t, away, "doctor", "order", id); code != 3 || !strings.Contains(out, "RabbitMQ cannot be asked: connect to RabbitMQ at 127.0.0.1:1") {
		t.Errorf("without RabbitMQ: exit code %d\n%s%s", code, out, said)
	}
	if out, said, code := call(t, away, "nudge", id); code != 1 {
		t.Errorf("without RabbitMQ: exit code %d\n%s%s", code, out, said)
	}
	execute(t, s.env, `UPDATE orders.outbox SET created_at = created_at - interval '1 minute'`)
	operator.where(3, stays, queue, "outbox")
	if _, said, code := call(t, operator.settings, "topology", "payment"); code != 0 {
		t.Fatal(said)
	}

	run(t, settings(s.env), "serve", "payment")
	for _, id := range []string{id, stays} {
		follow(t, p.client, id)
		eventually(t, "everybody has followed", func() error {
			if _, _, code := call(t, operator.settings, "doctor", "order", id); code != 0 {
				return fmt.Errorf("exit code %d", code)
			}
			return nil
		})
		if d := operator.diagnose(0, id); d.Status != "shipped" || d.Stuck || len(d.Waits) > 0 || len(d.Timeline) != 5 {
			t.Errorf("at the end: %+v", d)
		}
	}

	for name, c := range map[string]struct {
		args string
		code int
		want string
	}{
		"unknown":           {"doctor order " + uuid.NewString(), 1, "there is no order"},
		"malformed":         {"doctor order 42", 2, `"42" is no id of an order`},
		"no id":             {"doctor order", 2, "accepts 1 arg"},
		"nudge unknown":     {"nudge " + uuid.NewString(), 1, "there is no order"},
		"nudge malformed":   {"nudge x", 2, `"x" is no id of an order`},
		"force nothing":     {"nudge --force", 2, "--force needs the ids"},
		"every and an id":   {"nudge --every 1m " + id, 2, "--every looks for orders by itself"},
		"too often":         {"nudge --every 1ms", 2, "--every 1ms is less than 1s"},
		"older":             {"doctor orders --older-than -1s", 2, "--older-than -1s is less than 0"},
		"limit":             {"doctor orders --limit -1", 2, "--limit -1 is less than 0"},
		"orders with an id": {"doctor orders " + id, 2, "unknown command"},
	} {
		if out, said, code := call(t, operator.settings, strings.Fields(c.args)...); code != c.code || !strings.Contains(said, c.want) {
			t.Errorf("%s: exit code %d, want %d: %s%s", name, code, c.code, out, said)
		}
	}
}

// TestDoctorOrderInFlight is about messages that go on by themselves: in the hands of a service that asks another system, and in a delay queue,
// which is then purged.
func TestDoctorOrderInFlight(t *testing.T) {
	t.Parallel()
	s := newTale(t)
	others := newProvider(t)
	set := settings(s.env, "RETRY_DELAYS=1h", "CARRIER_URL="+others.URL+"/carrier", "CARRIER_TIMEOUT=1m")
	operator := operator{t, set}
	p := run(t, set, "serve")

	o := goodOrder("customer")
	o.ShippingAddress.City = "Hold"
	held := place(t, p.client, o).OrderID
	<-others.held
	if w := operator.where(0, held, "shipping.inventory-reserved", "in_flight"); !strings.Contains(w.Told, "ask another system") {
		t.Errorf("%+v", w)
	}
	others.let <- struct{}{}
	follow(t, p.client, held)

	execute(t, s.env, `
		CREATE FUNCTION inventory.curse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'this one is cursed'; END $$;
		CREATE TRIGGER curse BEFORE INSERT ON inventory.reservations FOR EACH ROW EXECUTE FUNCTION inventory.curse()`)
	id := place(t, p.client, goodOrder("customer")).OrderID
	const delayed = "orders.retry.3600s"
	eventually(t, "it waits for another try", func() error {
		if n, err := s.broker.Depth(t.Context(), delayed); err != nil || n != 1 {
			return fmt.Errorf("%d messages, %v", n, err)
		}
		return nil
	})
	for range 3 { // to look does it no harm
		if w := operator.where(0, id, "inventory.payment-processed", "delay_queue"); !strings.Contains(w.Told, "this one is cursed") {
			t.Errorf("%+v", w)
		}
	}
	if got := operator.nudge(0, id); len(got.Nudged) > 0 {
		t.Errorf("nudged what goes on by itself: %+v", got)
	}
	execute(t, s.env, `DROP FUNCTION inventory.curse CASCADE`)
	s.lose(delayed, purge)
	w := operator.where(3, id, "inventory.payment-processed", "lost")
	operator.follows(w)
	if end := follow(t, p.client, id); end.Status != "shipped" {
		t.Errorf("it ended as %+v", end)
	}
	if out, said, code := call(t, set, "verify", "--wait", "30s"); code != 0 {
		t.Errorf("verify: exit code %d\n%s%s", code, out, said)
	}
}
