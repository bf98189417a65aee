package main_test

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"orderflow/pkg/broker"
	"orderflow/pkg/devstack/devtest"
)

// verdict is what verify prints as JSON.
type verdict struct {
	OK    bool
	Lines []struct {
		Line            string
		Checked, Broken int
	}
	Orders   map[string]int
	UnderWay int `json:"under_way"`
	Money    map[string]struct{ Charged, Refunded, Shipped, Held string }
	Broken   []struct{ Line, ID, Reason string }
	Letters  []struct {
		DLQ    string
		Exists bool
		Depth  int
	} `json:"dead_letters"`
}

// breaks lists "line id" of everything that is broken.
func (v verdict) breaks() (all []string) {
	for _, b := range v.Broken {
		all = append(all, b.Line+" "+b.ID)
	}
	slices.Sort(all)
	return all
}

// letters is how many dead letters there are, by queue.
func (v verdict) letters() map[string]int {
	depths := map[string]int{}
	for _, l := range v.Letters {
		if l.Depth > 0 {
			depths[l.DLQ] = l.Depth
		}
	}
	return depths
}

func verify(t testing.TB, env devtest.Env, code int, args ...string) string {
	t.Helper()
	stdout, stderr, got := call(t, settings(env), append([]string{"verify"}, args...)...)
	if got != code {
		t.Fatalf("verify %v: exit code %d, want %d\n%s%s", args, got, code, stdout, stderr)
	}
	return stdout
}

func verifyJSON(t testing.TB, env devtest.Env, code int, args ...string) verdict {
	t.Helper()
	v := unmarshal[verdict](t, []byte(verify(t, env, code, append(args, "--json")...)))
	if v.OK != (code == 0) || len(v.Lines) != 10 {
		t.Errorf("verify %v: exit code %d, and %+v", args, code, v)
	}
	return v
}

// TestVerify proves a system while orders of all kinds are under way and when they have ended, and then one in which everything is
// wrong that can be.
func TestVerify(t *testing.T) {
	t.Parallel()
	env := *devtest.New(t)
	p := serve(t, env)
	m := newCampaign(t, p.client, 100)
	times, met, over := 0, 0, m.begin()
	for going := true; going; times++ {
		// A look finds nothing wrong, however many orders it meets half-done; nor does it if it waits for those to end.
		args := []string{}
		if times%4 == 3 {
			args = append(args, "--wait=60s")
		}
		v := verifyJSON(t, env, 0, args...)
		met += v.UnderWay
		select {
		case err := <-over:
			if err != nil {
				t.Fatal(err)
			}
			going = false
		default:
		}
	}
	t.Logf("verified %d times, met %d orders under way", times, met)
	if times < 3 || met == 0 {
		t.Errorf("verified %d times, met %d orders under way: the campaign was too short to show anything", times, met)
	}
	m.check()
	verifyCampaign(t, env, m)

	slow := goodOrder("customer-who-waits")
	slow.PaymentMethod, slow.Items = "pm_slow", []item{{m.product("0"), 1, "1.00"}}
	place(t, p.client, slow)
	if v := verifyJSON(t, env, 0); v.UnderWay != 1 || v.Orders["placed"] != 1 {
		t.Errorf("with an order under way: %+v", v)
	}
	if v := verifyJSON(t, env, 0, "--wait=60s"); v.UnderWay != 0 || v.Lines[0].Checked != len(m.orders)+1 {
		t.Errorf("after the wait for it: %+v", v)
	}
	deadLetter(t, env)
	p.stop()
	verifyLooksAgain(t, env, m)
	verifyAllows(t, env, m)
	verifyFaults(t, env, m)
}

// verifyCampaign compares what verify adds up with what the campaign knows.
func verifyCampaign(t *testing.T, env devtest.Env, m *campaign) {
	t.Helper()
	v := verifyJSON(t, env, 0)
	orders, kept := map[string]int{}, map[string]int64{}
	for _, o := range m.orders {
		orders[o.end.Status]++
		if o.end.Status == "shipped" {
			kept[o.Currency] += o.total
		}
	}
	maps.DeleteFunc(v.Orders, func(_ string, n int) bool { return n == 0 })
	if !maps.Equal(v.Orders, orders) || v.UnderWay != 0 {
		t.Errorf("orders are %v, want %v", v.Orders, orders)
	}
	for currency, total := range kept {
		money, none := v.Money[currency], decimal(0, currencies[currency])
		if money.Shipped != decimal(total, currencies[currency]) || money.Held != none {
			t.Errorf("%s is %+v, want %d shipped", currency, money, total)
		}
	}
	for _, l := range v.Lines {
		if l.Broken != 0 || l.Checked == 0 && l.Line != "outboxes_empty" {
			t.Errorf("%+v", l)
		}
	}
	if len(v.Broken) != 0 || len(v.letters()) != 0 || len(v.Letters) != len(queues) {
		t.Errorf("broken: %v, dead letters: %v", v.Broken, v.Letters)
	}
	if text := verify(t, env, 0); !strings.HasSuffix(text, "\nevery promise holds\n") {
		t.Error(text)
	}
}

// verifyLooksAgain lets a parcel appear when verify has already taken the snapshot in which it is missing.
func verifyLooksAgain(t *testing.T, env devtest.Env, m *campaign) {
	t.Helper()
	o := m.orders[slices.IndexFunc(m.orders, func(o *placed) bool { return o.summary == shipped })]
	execute(t, env, `
		CREATE TABLE parcel AS SELECT * FROM shipping.shipments WHERE order_id = '`+o.id+`';
		DELETE FROM shipping.shipments WHERE order_id = '`+o.id+`'`)
	conn, err := pgx.Connect(t.Context(), env.DatabaseURL)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `LOCK TABLE shipping.shipments; INSERT INTO shipping.shipments SELECT * FROM parcel`); err != nil {
		t.Fatal(err)
	}
	verified := make(chan string, 1)
	go func() {
		stdout, stderr, code := call(t, settings(env), "verify")
		verified <- fmt.Sprintf("%s%sexit code %d", stdout, stderr, code)
	}()
	eventually(t, "verify waits for the lock", func() error {
		n, err := queryOne[int](t.Context(), env, `SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'shipping.shipments'::regclass`)
		if n != 1 {
			return fmt.Errorf("%d wait, %v", n, err)
		}
		return nil
	})
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := <-verified; !strings.HasSuffix(got, "\nevery promise holds\nexit code 0") {
		t.Error(got)
	}
}

// verifyAllows has an order ship whose goods are still in the house: that may be so for a while, by the database's clock, however wrong
// that of the service is.
func verifyAllows(t *testing.T, env devtest.Env, m *campaign) {
	t.Helper()
	o := m.orders[slices.IndexFunc(m.orders, func(o *placed) bool { return o.summary == shipped })]
	move := func(status string, out int) {
		t.Helper()
		execute(t, env, fmt.Sprintf(`
			UPDATE inventory.reservations SET status = '%[2]s' WHERE order_id = '%[1]s';
			UPDATE inventory.stock s SET on_hand = on_hand - q * %[3]d, reserved = reserved - q * %[3]d, shipped = shipped + q * %[3]d
			FROM (SELECT product_id, sum(quantity) AS q FROM inventory.reservations, jsonb_to_recordset(items) AS i (product_id text, quantity bigint)
				WHERE order_id = '%[1]s' GROUP BY product_id) AS i
			WHERE s.product_id = i.product_id`, o.id, status, out))
	}
	seen := func(ago string) {
		t.Helper()
		execute(t, env, fmt.Sprintf(`UPDATE orders.timeline SET seen_at = now() - interval '%s' WHERE order_id = '%s'`, ago, o.id))
	}
	move("reserved", -1)
	execute(t, env, `UPDATE orders.orders SET updated_at = updated_at - interval '1 hour' WHERE order_id = '`+o.id+`'`)
	seen("0s")
	verifyJSON(t, env, 0)
	if v := verifyJSON(t, env, 3, "--wait=1s"); !slices.Equal(v.breaks(), []string{"reservations_fit " + o.id}) {
		t.Errorf("after a wait: %v", v.Broken)
	}
	seen("1 minute")
	if v := verifyJSON(t, env, 3); !slices.Equal(v.breaks(), []string{"reservations_fit " + o.id}) {
		t.Errorf("a minute later: %v", v.Broken)
	}
	move("shipped", 1)
	verifyJSON(t, env, 0)
}

// deadLetter makes a message that nobody can read, and waits until it is dead.
func deadLetter(t *testing.T, env devtest.Env) {
	t.Helper()
	b := openBroker(t, env)
	message := broker.Message{Exchange: "orders.events", RoutingKey: "order.placed", Mandatory: true, ID: "garbage", Body: []byte("garbage")}
	for _, err := range newPublisher(t, b).PublishAll(t.Context(), []broker.Message{message}) {
		if err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "dead letter", func() error {
		if n, err := b.Depth(t.Context(), downQueue+".dlq"); n != 1 {
			return fmt.Errorf("%d, %v", n, err)
		}
		return nil
	})
}

// fault is something that must never be, and how to make it so. In SQL, $1 is the id of an order that has ended as in, or of none.
type fault struct {
	name   string
	in     string
	sql    string
	lines  string // that it breaks, of the order's id
	money  bool   // it breaks the sums of the order's currency, too
	reason string
}

const copyPayment = `
	INSERT INTO payment.payments (order_id, payment_id, status, amount, currency) SELECT $1, order_id, status, amount, currency
	FROM payment.payments WHERE `

var faults = []fault{
	{name: "a charge of the wrong amount", in: shipped, money: true, lines: "payments_fit", reason: "its total is",
		sql: `UPDATE payment.payments SET amount = amount + 1 WHERE order_id = $1`},
	{name: "a second charge", in: shipped, money: true, lines: "one_of_each", reason: "there are 2 payments",
		sql: copyPayment + `order_id = $1`},
	{name: "a refund of a part", in: outOfStock, money: true, lines: "payments_fit", reason: "were paid back",
		sql: `UPDATE payment.payments SET amount = amount + 2, refunded_amount = amount + 1 WHERE order_id = $1`},
	{name: "money that was not paid back", in: undeliverable, money: true, lines: "payments_fit", reason: "but its payment is charged",
		sql: `UPDATE payment.payments SET amount = amount + 1, status = 'charged', refunded_amount = 0 WHERE order_id = $1`},
	{name: "a payment without an order", lines: "one_of_each", reason: "a payment without an order",
		sql: copyPayment + `status = 'failed' LIMIT 1`},
	{name: "a reservation without an order", lines: "one_of_each", reason: "a reservation without an order",
		sql: `INSERT INTO inventory.reservations (order_id, reservation_id, status, items) VALUES ($1, $1, 'voided', '[]')`},
	{name: "a parcel without an order", lines: "one_of_each", reason: "a shipment without an order",
		sql: `INSERT INTO shipping.shipments (order_id, shipment_id, status) VALUES ($1, $1, 'created')`},
	{name: "a timeline without an order", lines: "one_of_each", reason: "a timeline without an order",
		sql: `INSERT INTO orders.timeline (order_id, event_id, type, source, time) VALUES ($1, $1, 'OrderPlaced', 'order', now())`},
	{name: "a second reservation", in: outOfStock, lines: "one_of_each", reason: "there are 2 reservations",
		sql: `INSERT INTO inventory.reservations (order_id, reservation_id, status, items) SELECT $1, $1, 'rejected', items FROM orders.orders WHERE order_id = $1`},
	{name: "a reservation of another quantity", in: outOfStock, lines: "reservations_fit", reason: "were ordered, but its reservation is of ",
		sql: `UPDATE inventory.reservations SET items = jsonb_set(items, '{0,quantity}', '77') WHERE order_id = $1`},
	{name: "a reservation without the last item", in: unknown, lines: "reservations_fit", reason: "but its reservation is of 0",
		sql: `UPDATE inventory.reservations SET items = items - -1 WHERE order_id = $1`},
	{name: "an item that the total leaves out", in: declined, lines: "payments_fit", reason: "but its items add up to",
		sql: `UPDATE orders.orders SET items = items || '{"product_id": "free", "quantity": 1, "unit_price": "1"}' WHERE order_id = $1`},
	{name: "a second parcel", in: shipped, lines: "one_of_each", reason: "there are 2 shipments",
		sql: `INSERT INTO shipping.shipments (order_id, shipment_id, status) VALUES ($1, $1, 'created')`},
	{name: "no parcel", in: shipped, lines: "one_of_each", reason: "it is shipped without a shipment",
		sql: `DELETE FROM shipping.shipments WHERE order_id = $1`},
	{name: "a parcel for a refunded order", in: outOfStock, lines: "parcels_fit", reason: "its parcel is booked, but its payment is refunded",
		sql: `INSERT INTO shipping.shipments (order_id, shipment_id, status) VALUES ($1, $1, 'created')`},
	{name: "a parcel that was not booked", in: shipped, lines: "parcels_fit", reason: "but its shipment is failed",
		sql: `UPDATE shipping.shipments SET status = 'failed' WHERE order_id = $1`},
	{name: "goods that were not released", in: undeliverable, lines: "reservations_fit", reason: "but its reservation is reserved",
		sql: `UPDATE inventory.reservations SET status = 'reserved', items = '[{"product_id": "of nobody", "quantity": 2}]' WHERE order_id = $1`},
	{name: "an order without an end", lines: "orders_end", reason: "is still reserved, 1h0m",
		sql: `WITH o AS (
				INSERT INTO orders.orders (order_id, customer_id, currency, total_amount, items, payment_method, shipping_address, status, placed_at, updated_at)
				VALUES ($1, 'customer', 'EUR', 0, '[]', 'pm_ok', '{}', 'reserved', now() - interval '1 hour', now()) RETURNING order_id)
			INSERT INTO orders.timeline (order_id, event_id, type, source, time) SELECT order_id, order_id, 'OrderPlaced', 'order', now() FROM o`},
	{name: "an event that was said twice", in: shipped, lines: "said_once", reason: "PaymentProcessed was said twice",
		sql: `INSERT INTO orders.timeline (order_id, event_id, type, source, time) VALUES ($1, $1, 'PaymentProcessed', 'payment', now())`},
	{name: "an end that was not said", in: shipped, lines: "said_once", reason: "it is shipped, but OrderShipped was never said",
		sql: `DELETE FROM orders.timeline WHERE order_id = $1 AND type = 'OrderShipped'`},
	{name: "an end that was not so", in: declined, lines: "said_once", reason: "it is cancelled, but OrderShipped was said",
		sql: `INSERT INTO orders.timeline (order_id, event_id, type, source, time) VALUES ($1, $1, 'OrderShipped', 'order', now())`},
	{name: "an event that waits", lines: "outboxes_empty", reason: "PaymentProcessed of somebody waits in the outbox of payment for 1m",
		sql: `INSERT INTO payment.outbox (event_id, type, correlation_id, body, created_at)
			VALUES ($1, 'PaymentProcessed', 'somebody', '{}', now() - interval '1 minute')`},
	{name: "an unknown status", in: shipped, lines: "statuses_known", reason: `its status is "lost"`,
		sql: `UPDATE orders.orders SET status = 'lost' WHERE order_id = $1`},
}

// stockFaults are those of products; $1 is a product's id.
var stockFaults = []fault{
	{name: "0", reason: "were put in", sql: `UPDATE inventory.stock SET on_hand = on_hand - 1 WHERE product_id = $1`},
	{name: "1", reason: "1 are reserved, but reservations hold 0", sql: `UPDATE inventory.stock SET reserved = reserved + 1 WHERE product_id = $1`},
	{name: "2", reason: "have left the house, but",
		sql: `UPDATE inventory.stock SET shipped = shipped + 1, on_hand = on_hand - 1 WHERE product_id = $1`},
}

// verifyFaults plants all faults and finds each of them, and nothing else. The services do not run.
func verifyFaults(t *testing.T, env devtest.Env, m *campaign) {
	t.Helper()
	execute(t, env, `
		ALTER TABLE payment.payments DROP CONSTRAINT payments_pkey; ALTER TABLE inventory.reservations DROP CONSTRAINT reservations_pkey;
		ALTER TABLE shipping.shipments DROP CONSTRAINT shipments_pkey`)
	conn, err := pgx.Connect(t.Context(), env.DatabaseURL)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	plant := func(sql string, id any) {
		t.Helper()
		if tag, err := conn.Exec(t.Context(), sql, id); err != nil || tag.RowsAffected() != 1 {
			t.Fatalf("%s of %v: %d rows, %v", sql, id, tag.RowsAffected(), err)
		}
	}
	ofNobody := "stock_adds_up of nobody" // what the goods are that were not released
	want, orders := []string{ofNobody}, slices.Clone(m.orders)
	reasons := map[string]string{ofNobody: "reservations hold 2 and have shipped 0 of it, but it is not in the stock"}
	for _, f := range faults {
		id := uuid.NewString()
		if f.in != "" {
			i := slices.IndexFunc(orders, func(o *placed) bool { return o.summary == f.in })
			if i < 0 {
				t.Fatalf("%s: no order is left that ended as %q", f.name, f.in)
			}
			if id = orders[i].id; f.money {
				want = append(want, "money_adds_up "+orders[i].Currency)
			}
			orders = slices.Delete(orders, i, i+1)
		}
		plant(f.sql, id)
		want, reasons[f.lines+" "+id] = append(want, f.lines+" "+id), f.reason
	}
	for _, f := range stockFaults {
		product := m.product(f.name)
		plant(f.sql, product)
		want, reasons["stock_adds_up "+product] = append(want, "stock_adds_up "+product), f.reason
	}
	slices.Sort(want)
	want = slices.Compact(want) // two faults may be of one currency

	v := verifyJSON(t, env, 3)
	if got := v.breaks(); !slices.Equal(got, want) {
		t.Errorf("verify and what was planted differ:\n%s", difference(strings.Join(want, "\n"), strings.Join(got, "\n")))
	}
	for _, b := range v.Broken {
		if reason := reasons[b.Line+" "+b.ID]; !strings.Contains(b.Reason, reason) {
			t.Errorf("%s %s: %q, want %q", b.Line, b.ID, b.Reason, reason)
		}
	}
	if got := v.letters(); !maps.Equal(got, map[string]int{downQueue + ".dlq": 1}) {
		t.Errorf("dead letters: %v", got)
	}
	verifyText(t, env, v)
}

// verifyText compares what people see with what programs get.
func verifyText(t *testing.T, env devtest.Env, v verdict) {
	t.Helper()
	text := verify(t, env, 3, "--limit=1")
	shown := map[string]bool{}
	for _, b := range v.Broken {
		if seen := strings.Contains(text, "\n  "+b.ID+"  "); seen == shown[b.Line] {
			t.Errorf("%s %s is shown: %v; of each line the first is", b.Line, b.ID, seen)
		}
		shown[b.Line] = true
	}
	for _, want := range []string{"dead letters  1 in " + downQueue + ".dlq\n", "1 lost", "\n10 promises are broken\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	for _, l := range v.Lines {
		if more := fmt.Sprintf("  … and %d more, see --limit\n", l.Broken-1); l.Broken > 1 && !strings.Contains(text, more) {
			t.Errorf("%q is not in\n%s", more, text)
		}
	}
}

// TestVerifyWithoutServers says what is missing.
func TestVerifyWithoutServers(t *testing.T) {
	t.Parallel()
	env := *devtest.New(t)
	fails := func(env devtest.Env, code int, want string, args ...string) {
		t.Helper()
		_, stderr, got := call(t, settings(env), append([]string{"verify"}, args...)...)
		if got != code || !strings.Contains(stderr, want) {
			t.Errorf("verify %v: exit code %d, %q; want %d, %q", args, got, stderr, code, want)
		}
	}
	fails(env, 1, "orderflow migrate", "--tables-only")
	fails(env, 2, "--wait", "--wait=-1s")
	fails(env, 2, "--deadline", "--deadline=0s")
	fails(env, 2, "--limit", "--limit=-1")
	fails(env, 2, "unknown", "everything")
	if _, stderr, code := call(t, settings(env), "migrate"); code != 0 {
		t.Fatal(stderr)
	}
	elsewhere := env
	elsewhere.AMQPURL = "amqp://guest:guest@127.0.0.1:1/"
	fails(elsewhere, 1, "--tables-only")
	if v := verifyJSON(t, elsewhere, 0, "--tables-only"); v.Letters != nil || v.Lines[0].Checked != 0 {
		t.Errorf("of empty tables: %+v", v)
	}
	if text := verify(t, env, 0); !strings.Contains(text, downQueue+".dlq does not exist") {
		t.Error(text)
	}
	u, err := url.Parse(env.DatabaseURL)
	if err != nil {
		t.Fatal(err)
	}
	u.Host = "127.0.0.1:1"
	elsewhere.DatabaseURL = u.String()
	fails(elsewhere, 1, "127.0.0.1:1", "--tables-only")
}

// An order that does not end is waited for, and broken when the wait is over, be it as young as it may.
func TestVerifyWaitsInVain(t *testing.T) {
	t.Parallel()
	env := *devtest.New(t)
	p := serve(t, env, "GATEWAY_TIMEOUT=100ms", "RETRY_DELAYS=50ms")
	down := goodOrder("customer-without-luck")
	down.PaymentMethod = "pm_down"
	o := place(t, p.client, down)
	if v := verifyJSON(t, env, 0); v.UnderWay != 1 {
		t.Errorf("a young order: %+v", v)
	}
	execute(t, env, `UPDATE orders.orders SET placed_at = placed_at + interval '5 seconds'`) // the clock of its service is ahead
	v := verifyJSON(t, env, 3, "--wait=1s")
	if got := v.breaks(); !slices.Equal(got, []string{"orders_end " + o.OrderID}) {
		t.Errorf("broken is %v, want the order %s", v.Broken, o.OrderID)
	}
	eventually(t, "the deadline", func() error {
		_, _, code := call(t, settings(env), "verify", "--deadline="+(3*time.Second).String())
		if code != 3 {
			return fmt.Errorf("exit code %d", code)
		}
		return nil
	})
}
