package main_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"orderflow/pkg/broker"
	"orderflow/pkg/devstack/devtest"
)

// brokerOf connects to the broker of a test.
func brokerOf(t testing.TB, env devtest.Env) *broker.Broker {
	t.Helper()
	b, err := broker.Open(t.Context(), broker.Config{URLs: []string{env.AMQPURL}, Name: t.Name(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

// bury makes dead letters of everything that waits in a queue, as its service does.
func bury(t testing.TB, b *broker.Broker, queue, why string) int {
	t.Helper()
	publisher := newPublisher(t, b)
	var letters []broker.Message
	for _, d := range takeAll(t, b, queue) {
		m := d.Copy()
		m.Exchange, m.RoutingKey, m.Mandatory = "", broker.DeadLetterQueue(queue), true
		now := time.Now().UTC().Format(time.RFC3339Nano)
		for name, value := range map[string]any{
			"orderflow-queue": queue, "orderflow-service": "payment", "orderflow-reason": "retries_exhausted", "orderflow-error": why,
			"orderflow-attempts": int64(5), "orderflow-first-failed-at": now, "orderflow-dead-at": now,
		} {
			m.Headers[name] = value
		}
		letters = append(letters, m)
	}
	for _, err := range publisher.PublishAll(t.Context(), letters) {
		if err != nil {
			t.Fatal(err)
		}
	}
	return len(letters)
}

// stranded places orders while no payment service runs, and makes dead letters of their events.
func stranded(t *testing.T, env devtest.Env, n int) (p *program, ids []string) {
	t.Helper()
	if _, said, code := call(t, settings(env), "topology"); code != 0 {
		t.Fatal(said)
	}
	p = run(t, settings(env), "serve", "order", "inventory", "shipping")
	for _, product := range []string{"book", "lamp"} {
		putStock(t, p.client, product, int64(10*n))
	}
	for i := range n {
		ids = append(ids, place(t, p.client, goodOrder(fmt.Sprintf("customer-%d", i%7))).OrderID)
	}
	b := brokerOf(t, env)
	eventually(t, "all events are in the queue", func() error {
		if depth, err := b.Depth(t.Context(), downQueue); err != nil || depth < n {
			return fmt.Errorf("%d of %d, %v", depth, n, err)
		}
		return nil
	})
	if got := bury(t, b, downQueue, "gateway 10.0.0.7:443 has not answered within 5s"); got != n {
		t.Fatalf("%d dead letters, want %d", got, n)
	}
	return p, ids
}

// proven checks that every order has ended and every promise holds.
func proven(t *testing.T, env devtest.Env, orders int) {
	t.Helper()
	out, said, code := call(t, settings(env), "verify", "--wait", "60s", "--json")
	if code != 0 {
		t.Fatalf("verify: exit code %d\n%s%s", code, out, said)
	}
	if got := count(t, env, "SELECT count(*) FROM payment.payments WHERE status = 'charged'"); got != orders {
		t.Errorf("%d orders are paid, want %d", got, orders)
	}
	if got := count(t, env, "SELECT count(*) FROM shipping.shipments WHERE status = 'created'"); got != orders {
		t.Errorf("%d parcels are booked, want %d", got, orders)
	}
}

// TestReplayIsKilled kills replays, of a command that runs and of a plan that is applied, ten times at random moments and runs them again.
func TestReplayIsKilled(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"replay", "apply"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			const n = 300
			env := *devtest.New(t)
			stranded(t, env, n)
			run(t, settings(env), "serve", "payment")
			args := []string{"dlq", "replay", downQueue, "--yes", "--rate", "150"}
			if how == "apply" {
				args = []string{"dlq", "apply", planOf(t, env, downQueue), "--yes", "--rate", "150"}
			}
			seed := rand.Uint64()
			r := rand.New(rand.NewPCG(seed, 0))
			for range 10 {
				cmd := invoke(t.Context(), settings(env), args...)
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				<-time.After(time.Duration(100+r.IntN(500)) * time.Millisecond)
				cmd.Process.Kill()
				cmd.Wait()
			}
			if how == "apply" {
				finishPlan(t, env, args, n)
			}
			operator := operator{t, settings(env)}
			eventually(t, fmt.Sprintf("the dead letters are gone (seed %d)", seed), func() error {
				if how == "replay" {
					operator.dlq(0, args[1:]...)
				}
				if left := operator.depths(); len(left) > 0 {
					return fmt.Errorf("%v left", left)
				}
				return nil
			})
			proven(t, env, n)
			if got := count(t, env, "SELECT count(DISTINCT message_id) FROM dlq.history WHERE outcome = 'replayed'"); got != n {
				t.Errorf("the history knows %d of %d messages", got, n)
			}
		})
	}
}

// planOf makes a plan of everything that is dead in a queue, and returns the file that it is in.
func planOf(t *testing.T, env devtest.Env, queue string) string {
	t.Helper()
	plan, said, code := call(t, settings(env), "dlq", "plan", queue)
	if code != 0 {
		t.Fatal(said)
	}
	file := filepath.Join(t.TempDir(), "plan.json")
	if err := os.WriteFile(file, []byte(plan), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// finishPlan applies a plan until all of it is replayed. What the killed ones had taken comes back when the broker has noticed.
func finishPlan(t *testing.T, env devtest.Env, args []string, n int) {
	t.Helper()
	eventually(t, "the plan is carried out", func() error {
		out, said, code := call(t, settings(env), append(args, "--json")...)
		if code != 0 {
			return fmt.Errorf("exit code %d\n%s%s", code, out, said)
		}
		return nil
	})
	if _, said, code := call(t, settings(env), args...); code != 0 || !strings.Contains(said, fmt.Sprintf("%d dead letters replayed by an earlier apply", n)) {
		t.Errorf("applied once more: exit code %d\n%s", code, said)
	}
}

// TestOperatorsDay does with dead letters all that can be done, and tells the history of it.
func TestOperatorsDay(t *testing.T) {
	t.Parallel()
	env := *devtest.New(t)
	p, ids := stranded(t, env, 12)
	operator, folder := operator{t, settings(env)}, t.TempDir()
	p2 := run(t, settings(env), "serve", "payment")
	defer p2.stop()

	list := operator.dlq(0, "list")
	contain(t, list, "retries_exhausted 12", "     12  gateway <address> has not answered within <n>s")
	first := operator.dlqJSON("show", downQueue, "--limit", "1").Messages[0]
	contain(t, operator.dlq(0, "show", downQueue, "--id", first.ID), "orderflow-attempts: 5", `"customer_id": "customer-0"`)
	operator.dlq(1, "show", downQueue, "--id", uuid.NewString())
	operator.dlq(1, "show", downQueue, "--id", uuid.NewString(), "--json")

	out := operator.dlq(0, "replay", downQueue, "--dry-run", "--where", `data.customer_id == "customer-1"`)
	contain(t, out, "2   would go to payment.order-placed, which has not handled them yet", "10  left: not chosen")

	// One order, by its id.
	operator.dlq(0, "replay", "--order", ids[3], "--yes")
	if end := follow(t, p.client, ids[3]); end.Status != "shipped" {
		t.Errorf("the order that was replayed is %+v", end)
	}
	// What was handled is known.
	file := filepath.Join(folder, "one.jsonl")
	contain(t, operator.dlq(0, "drop", downQueue, "--order", ids[4], "--to", file, "--yes"), "1 dead letter dropped")
	contain(t, operator.dlq(0, "import", file), "1 dead letter imported, 0 there already, 0 twice in the file")
	contain(t, operator.dlq(0, "import", file), "0 dead letters imported, 1 there already")
	operator.dlq(0, "replay", "--order", ids[4], "--yes")
	follow(t, p.client, ids[4])
	operator.dlq(0, "import", file)
	contain(t, operator.dlq(0, "replay", "--order", ids[4], "--dry-run"), "1   would go to payment.order-placed, which has handled them before: no effect")

	// An address is mended on the way.
	patch := filepath.Join(folder, "patch.json")
	write(t, patch, `[{"op":"replace","path":"/data/shipping_address/city","value":"Manchester"}]`)
	originals := filepath.Join(folder, "originals.jsonl")
	_, said, code := call(t, settings(env), "dlq", "edit", "--order", ids[5], "--patch", patch, "--to", originals, "--dry-run")
	if contain(t, said, `-      "city": "London"`, `+      "city": "Manchester"`); code != 0 {
		t.Errorf("exit code %d", code)
	}
	operator.dlq(0, "edit", "--order", ids[5], "--patch", patch, "--to", originals, "--yes")
	follow(t, p.client, ids[5])
	if text, err := os.ReadFile(originals); err != nil || bytes.Count(text, []byte("\n")) != 1 || !bytes.Contains(text, []byte("London")) {
		t.Errorf("originals %s, %v", text, err)
	}

	// Some go ahead, and then the others.
	contain(t, operator.dlq(0, "replay", downQueue, "--canary", "2", "--rate", "1000", "--yes"), "sent ahead: 2, of which 2 were handled, 0 died again, and of 0 nothing is known")
	proven(t, env, 12)

	contain(t, operator.dlq(0, "history"), "edited", "dropped", "imported", "payment.order-placed, originals in "+originals)
	contain(t, operator.dlq(0, "history", "--order", ids[4]), "OrderPlaced", "dropped", "imported", file)
	var history struct{ Messages []map[string]any }
	if err := json.Unmarshal([]byte(operator.dlq(0, "history", "--id", first.ID, "--json")), &history); err != nil || len(history.Messages) != 1 {
		t.Errorf("history of %s: %v, %v", first.ID, history, err)
	}
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func contain(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("no %q in:\n%s", part, text)
		}
	}
}

// count asks the database for a number.
func count(t testing.TB, env devtest.Env, sql string) (n int) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), env.DatabaseURL)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	if err := conn.QueryRow(t.Context(), sql).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestForeignQueue works on the dead letters of a program that knows nothing of orderflow.
func TestForeignQueue(t *testing.T) {
	t.Parallel()
	env := *devtest.New(t)
	ui := newManagement(t, env)
	manage(t, ui, http.MethodPut, "/queues/"+ui.vhost+"/billing_errors", map[string]any{"durable": true, "arguments": map[string]any{"x-queue-type": "quorum"}})
	manage(t, ui, http.MethodPut, "/queues/"+ui.vhost+"/billing", map[string]any{"durable": true, "arguments": map[string]any{
		"x-queue-type": "quorum", "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "billing_errors",
	}})
	b := brokerOf(t, env)
	publisher := newPublisher(t, b)
	for i := range 3 {
		m := broker.Message{RoutingKey: "billing", Mandatory: true, ID: fmt.Sprint(i), Headers: map[string]any{"theirs": int32(i)}, Body: []byte{0xff, byte(i)}}
		if err := publisher.PublishAll(t.Context(), []broker.Message{m})[0]; err != nil {
			t.Fatal(err)
		}
	}
	manage(t, ui, http.MethodPost, "/queues/"+ui.vhost+"/billing/get", map[string]any{"count": 3, "ackmode": "reject_requeue_false", "encoding": "auto"})
	operator := operator{t, settings(env)}
	eventually(t, "they have died", func() error {
		if got := operator.dlqJSON("list", "billing_errors").Queues[0]; got.Depth != 3 || got.Reasons["rejected"] != 3 {
			return fmt.Errorf("%+v", got)
		}
		return nil
	})
	contain(t, operator.dlq(0, "list"), "billing_errors ") // found by way of the management API
	if got := operator.dlqJSON("show", "billing_errors").Messages; len(got) != 3 || got[0].DiedIn != "billing" {
		t.Errorf("shown %+v", got)
	}
	file := filepath.Join(t.TempDir(), "all.jsonl")
	write(t, file, operator.dlq(0, "export", "billing_errors"))
	operator.dlq(0, "drop", "billing_errors", "--where", `headers.theirs == 1`, "--to", filepath.Join(t.TempDir(), "one"), "--yes")
	contain(t, operator.dlq(0, "import", file), "1 dead letter imported, 2 there already")
	contain(t, operator.dlq(0, "replay", "billing_errors", "--yes"), "3  replayed to billing")
	var bodies []string
	for _, d := range takeAll(t, b, "billing") {
		bodies = append(bodies, string(d.Body))
	}
	if fmt.Sprint(bodies) != fmt.Sprint([]string{"\xff\x00", "\xff\x02", "\xff\x01"}) {
		t.Errorf("arrived %q", bodies)
	}
}

// TestDLQRefusals: whatever is wrong, it is said before anything is touched, and the dead letters stay.
func TestDLQRefusals(t *testing.T) {
	t.Parallel()
	env := *devtest.New(t)
	stranded(t, env, 2)
	plan := planOf(t, env, downQueue)
	folder := t.TempDir()
	full, wrong := filepath.Join(folder, "full"), filepath.Join(folder, "wrong")
	elsewhere, past, live := filepath.Join(folder, "elsewhere"), filepath.Join(folder, "past"), filepath.Join(folder, "live")
	write(t, live, `{"dlq":"payment.order-placed","message":{"body":"x"}}`+"\n")
	write(t, full, "something\n")
	write(t, wrong, "{")
	text, err := os.ReadFile(plan)
	if err != nil {
		t.Fatal(err)
	}
	write(t, elsewhere, strings.Replace(string(text), `"virtual_host": "`, `"virtual_host": "other-`, 1))
	write(t, past, strings.ReplaceAll(string(text), `"id":"0`, `"id":"1`))
	ui := newManagement(t, env)
	deaf := "AMQP_URL=" + brokerUser(t, env, ui, "deaf")
	manage(t, ui, http.MethodPut, "/permissions/"+ui.vhost+"/deaf-"+ui.vhost, map[string]string{"configure": "^$", "write": ".*", "read": "^$"})
	mute := "AMQP_URL=" + brokerUser(t, env, ui, "mute")
	manage(t, ui, http.MethodPut, "/permissions/"+ui.vhost+"/mute-"+ui.vhost, map[string]string{"configure": "^$", "write": "^$", "read": ".*"})
	for name, c := range map[string]struct {
		setting, args string
		code          int
		want          string
	}{
		"no queue":           {"", "dlq replay paymet.order-placed --yes", 2, `no dead-letter queue "paymet.order-placed.dlq"; did you mean payment.order-placed?`},
		"nothing is meant":   {"", "dlq replay --yes", 2, "requires at least 1 arg"},
		"no order":           {"", "dlq replay --order 42 --yes", 2, `--order "42" is no id of an order`},
		"expression":         {"", "dlq drop payment.order-placed --yes --to x --where kind==1", 2, "unknown name kind"},
		"drop to nowhere":    {"", "dlq drop payment.order-placed --all --yes", 2, "name it by --to"},
		"drop what":          {"", "dlq drop payment.order-placed --to x --yes", 2, "say what to drop"},
		"a file in use":      {"", "dlq drop payment.order-placed --all --yes --to " + full, 2, "the file is not empty: name another, or use --append"},
		"a folder":           {"", "dlq drop payment.order-placed --all --yes --to " + folder, 2, "is a directory"},
		"a full disk":        {"", "dlq drop payment.order-placed --all --yes --append --to /dev/full", 1, "no space left on device"},
		"no patch":           {"", "dlq edit payment.order-placed --to x --yes", 2, "needs --patch"},
		"patch":              {"", "dlq edit payment.order-placed --to x --yes --patch " + wrong, 2, "the patch is no JSON"},
		"to standard output": {"", "dlq drop payment.order-placed --all --yes --to -", 2, "--to - is no file"},
		"an empty order":     {"", "dlq replay payment.order-placed --yes --order=", 2, "--order is empty"},
		"another order":      {"", "dlq replay --yes --order 01A202AD-28C9-7126-B67E-0906C03FB240", 1, "no dead letter is of order 01a202ad-28c9-7126-b67e-0906c03fb240"},
		"an odd constant":    {"", "dlq replay payment.order-placed --yes --where age>duration('1hour')", 2, "--where can be applied to none of the 2 dead letters: "},
		"rate nan":           {"", "dlq replay payment.order-placed --rate nan --yes", 2, "--rate NaN is less than 0.01 messages a second"},
		"a delay queue":      {"", "dlq show orders.retry.1s", 2, "orders.retry.1s is no dead-letter queue"},
		"a live queue":       {"", "dlq import " + live, 2, "payment.order-placed is no dead-letter queue: its messages are under way"},
		"no right to write":  {mute, "dlq replay payment.order-placed --yes", 1, "nothing was touched, since nothing can be sent"},
		"no plan":            {"", "dlq apply " + wrong + " --yes", 2, "it is no plan"},
		"no such plan":       {"", "dlq apply /none --yes", 2, "no such file"},
		"plan of elsewhere":  {"", "dlq apply " + elsewhere + " --yes", 2, `the plan is for the virtual host "other-`},
		"plan of the past":   {"", "dlq apply " + past + " --yes", 1, "of the plan, 2 dead letters not there, and not replayed by it as far as is known, the first being "},
		"rate":               {"", "dlq replay payment.order-placed --rate -1 --yes", 2, "--rate -1 is less than 0.01 messages a second"},
		"canary":             {"", "dlq replay payment.order-placed --max-failures 1 --yes", 2, "--max-failures belongs to --canary"},
		"canary's patience":  {"", "dlq replay payment.order-placed --canary 1 --canary-wait 0s --yes", 2, "--canary-wait 0s is not more than 0"},
		"import":             {"", "dlq import " + wrong, 2, "is no file of dead letters, or a damaged one: line 1: it is cut off"},
		"no rights":          {deaf, "dlq replay payment.order-placed --yes", 1, "ACCESS_REFUSED"},
		"no database":        {"DATABASE_URL=" + changed(t, env.DatabaseURL, on("127.0.0.1:1")), "dlq replay payment.order-placed --yes", 1, "use --no-database"},
	} {
		t.Run(name, func(t *testing.T) {
			out, said, code := call(t, settings(env, c.setting), strings.Fields(c.args)...)
			if contain(t, said, c.want); code != c.code {
				t.Errorf("exit code %d, want %d\n%s%s", code, c.code, out, said)
			}
		})
	}
	if got := (operator{t, settings(env)}).depths(); got[downQueue] != 2 {
		t.Errorf("%v are left", got)
	}
}

// TestBrokerIsKilledDuringReplay: the replay says what happened and how to go on, and that loses and doubles nothing.
func TestBrokerIsKilledDuringReplay(t *testing.T) {
	t.Parallel()
	const n = 200
	env := devtest.Own(t)
	stranded(t, env.Env, n)
	run(t, settings(env.Env), "serve", "payment")
	replay := invoke(t.Context(), settings(env.Env), "dlq", "replay", downQueue, "--yes", "--rate", "50")
	var out, said bytes.Buffer
	replay.Stdout, replay.Stderr = &out, &said
	if err := replay.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a part is replayed", func() error {
		if got := count(t, env.Env, "SELECT count(*) FROM payment.inbox"); got < n/4 {
			return fmt.Errorf("%d of %d handled", got, n)
		}
		return nil
	})
	env.KillRabbitMQ()
	code := exitCode(replay.Wait())
	if contain(t, said.String(), "orderflow: replay "+downQueue+".dlq: ", "run it again to go on"); code != 1 {
		t.Errorf("exit code %d", code)
	}
	contain(t, out.String(), "replayed to payment.order-placed")
	env.StartRabbitMQ()
	operator := operator{t, settings(env.Env)}
	eventually(t, "the rest is replayed", func() error { // what the first had taken is back when RabbitMQ has noticed that nobody has it any more
		operator.dlq(0, "replay", downQueue, "--yes")
		if got := count(t, env.Env, "SELECT count(*) FROM payment.inbox"); got < n {
			return fmt.Errorf("%d of %d handled", got, n)
		}
		return nil
	})
	if left := operator.depths(); len(left) > 0 {
		t.Errorf("%v left", left)
	}
	proven(t, env.Env, n)
}
