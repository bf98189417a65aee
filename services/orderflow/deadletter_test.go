package main_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"orderflow/pkg/devstack/devtest"
)

// letterBox is what dlq list, show and replay print as JSON, as far as the test looks at it.
type letterBox struct {
	Queues []struct {
		Queue   string
		Depth   int
		Reasons map[string]int
	}
	Messages []struct {
		ID, Type, Reason, Error, Body string
		OrderID                       string `json:"order_id"`
		DiedIn                        string `json:"died_in"`
		Attempts, Replays             int
		FirstFailedAt                 time.Time `json:"first_failed_at"`
		DeadAt                        time.Time `json:"dead_at"`
	}
	Replayed int
}

// operator runs dlq commands.
type operator struct {
	*testing.T
	settings []string
}

func (o operator) dlq(code int, args ...string) string {
	o.Helper()
	stdout, stderr, got := call(o, o.settings, append([]string{"dlq"}, args...)...)
	if got != code {
		o.Fatalf("dlq %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), got, code, stdout, stderr)
	}
	return stdout
}

func (o operator) dlqJSON(args ...string) letterBox {
	o.Helper()
	return unmarshal[letterBox](o, []byte(o.dlq(0, append(args, "--json")...)))
}

// depths is how many dead letters there are, by queue.
func (o operator) depths() map[string]int {
	o.Helper()
	depths := map[string]int{}
	for _, q := range o.dlqJSON("list").Queues {
		if q.Depth > 0 {
			depths[q.Queue] = q.Depth
		}
	}
	return depths
}

func (o operator) awaitDepths(want map[string]int) {
	o.Helper()
	eventually(o, "dead letters", func() error {
		if got := o.depths(); fmt.Sprint(got) != fmt.Sprint(want) {
			return fmt.Errorf("%v, want %v", got, want)
		}
		return nil
	})
}

const (
	cursedQueue = "inventory.payment-processed"
	downQueue   = "payment.order-placed"
)

// TestDeadLetterAndReplay makes the database refuse one order's reservation until it is dead, takes the cause away, and replays it.
func TestDeadLetterAndReplay(t *testing.T) {
	t.Parallel()
	env := *devtest.New(t)
	p := serve(t, env)
	putStock(t, p.client, "cursed", 10)
	execute(t, env, `
		CREATE FUNCTION inventory.curse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'this one is cursed'; END $$;
		CREATE TRIGGER curse BEFORE INSERT ON inventory.reservations FOR EACH ROW
			WHEN (NEW.items::text LIKE '%cursed%') EXECUTE FUNCTION inventory.curse()`)
	o := goodOrder("customer-who-is-cursed")
	o.Items = []item{{"cursed", 3, "1.00"}}
	cursed := place(t, p.client, o)
	m := newCampaign(t, p.client, 60) // the others, in the same batches, are not concerned
	m.place()
	m.check()

	operator := operator{t, settings(env)}
	operator.awaitDepths(map[string]int{cursedQueue: 1})
	if got := get[order](t, p.client, "/v1/orders/"+cursed.OrderID); got.Status != "paid" {
		t.Errorf("the order that is stuck is %+v", got)
	}
	checkDeadLetter(operator, cursedQueue, "PaymentProcessed", cursed.OrderID, "this one is cursed", 5, 0, 3700*time.Millisecond)
	if got := finishedEvents(t, p.client, cursedQueue); got["dead_lettered"] != 1 || got["retried"] != 4 {
		t.Errorf("events of the queue: %v", got)
	}
	operator.dlq(3, "list", "--fail-if-any")
	operator.dlq(0, "replay", cursedQueue, "--dry-run")
	operator.awaitDepths(map[string]int{cursedQueue: 1})

	handled := finishedEvents(t, p.client, cursedQueue)["handled"]
	execute(t, env, `DROP FUNCTION inventory.curse CASCADE`)
	if got := operator.dlqJSON("replay", cursedQueue, "--yes"); got.Replayed != 1 {
		t.Errorf("replayed %+v", got)
	}
	if end := follow(t, p.client, cursed.OrderID); end.Status != "shipped" {
		t.Errorf("after the replay: %+v", end)
	}
	ledger := &placed{kind: &kind{ends: []string{shipped}}, id: cursed.OrderID, placement: o, total: 300}
	eventually(t, "the order that was replayed", func() error { return m.compare(t.Context(), ledger) })
	if err := m.checkTimeline(t.Context(), ledger); err != nil {
		t.Error(err)
	}
	want := stock{"cursed", 7, 0, 3, 7}
	eventually(t, "stock", func() error {
		if got := get[stock](t, p.client, "/v1/stock/cursed"); got != want {
			return fmt.Errorf("%+v, want %+v", got, want)
		}
		return nil
	})
	if got := finishedEvents(t, p.client, cursedQueue); got["handled"] != handled+1 || got["duplicate"] != 0 {
		t.Errorf("handled %d before the replay, then %v", handled, got)
	}
	if got := operator.dlqJSON("replay", cursedQueue, "--yes"); got.Replayed != 0 {
		t.Errorf("a second replay: %+v", got)
	}
	operator.dlq(0, "list", "--fail-if-any")
}

// TestGatewayNeverAnswers: what dies again after a replay is there again, and says so.
func TestGatewayNeverAnswers(t *testing.T) {
	t.Parallel()
	env := *devtest.New(t)
	p := serve(t, env, "GATEWAY_TIMEOUT=100ms", "RETRY_DELAYS=50ms,100ms")
	operator := operator{t, settings(env)}
	down := goodOrder("customer-without-luck")
	down.PaymentMethod = "pm_down"
	o := place(t, p.client, down)
	for replays := range 2 {
		eventually(t, "dead letter", func() error {
			if letters := operator.dlqJSON("show", downQueue).Messages; len(letters) != 1 || letters[0].Replays != replays {
				return fmt.Errorf("%+v", letters)
			}
			return nil
		})
		checkDeadLetter(operator, downQueue, "OrderPlaced", o.OrderID, "gateway did not answer within 100ms", 3, replays, 150*time.Millisecond)
		if replays == 0 {
			if got := operator.dlqJSON("replay", downQueue, "--yes"); got.Replayed != 1 {
				t.Errorf("replayed %+v", got)
			}
			// Meanwhile it can be cancelled, which comes true once the gateway has said what became of the charge.
			if a := p.call(t, http.MethodPost, "/v1/orders/"+o.OrderID+"/cancel", nil); a.status != http.StatusAccepted {
				t.Errorf("cancel: %s", a)
			}
		}
	}
	if got := get[order](t, p.client, "/v1/orders/"+o.OrderID); got.Status != "cancelling" {
		t.Errorf("it is %+v", got)
	}
	if got := get[struct{ Payments []payment }](t, p.client, "/v1/payments?order_id="+o.OrderID).Payments; len(got) != 1 || got[0].Status != "charging" {
		t.Errorf("its payment is %+v", got)
	}
}

// checkDeadLetter looks at the one dead letter of a queue, as text and as JSON.
func checkDeadLetter(o operator, queue, kind, orderID, why string, attempts, replays int, delays time.Duration) {
	o.Helper()
	for _, q := range o.dlqJSON("list", queue).Queues {
		if q.Queue != queue || q.Depth != 1 || q.Reasons["retries_exhausted"] != 1 {
			o.Errorf("list %s: %+v", queue, q)
		}
	}
	text := o.dlq(0, "list", queue) + o.dlq(0, "show", queue)
	for _, want := range []string{queue + ".dlq", "retries_exhausted 1", kind + ": retries_exhausted", orderID, why, fmt.Sprintf("attempts  %d, replayed %d time", attempts, replays)} {
		if !strings.Contains(text, want) {
			o.Errorf("%q is not in\n%s", want, text)
		}
	}
	letters := o.dlqJSON("show", queue).Messages
	if len(letters) != 1 {
		o.Fatalf("show %s: %+v", queue, letters)
	}
	l := letters[0]
	if l.Type != kind || l.OrderID != orderID || l.DiedIn != queue || l.Reason != "retries_exhausted" || !strings.Contains(l.Error, why) ||
		l.Attempts != attempts || l.Replays != replays || !strings.Contains(l.Body, orderID) {
		o.Errorf("show %s: %+v", queue, l)
	}
	if waited := l.DeadAt.Sub(l.FirstFailedAt); waited < delays {
		o.Errorf("it died after %s, but the delays add up to %s", waited, delays)
	}
}

// execute changes the database behind the program's back.
func execute(t *testing.T, env devtest.Env, sql string) {
	t.Helper()
	if err := executeIn(t.Context(), env, sql); err != nil {
		t.Fatal(err)
	}
}

func executeIn(ctx context.Context, env devtest.Env, sql string) error {
	conn, err := pgx.Connect(ctx, env.DatabaseURL)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, sql)
	return err
}
