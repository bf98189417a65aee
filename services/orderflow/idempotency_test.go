package main_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"orderflow/pkg/devstack/devtest"
)

// testKeyHeader tries the ways in which clients write a key.
func testKeyHeader(t *testing.T, c *client) {
	body := goodOrder("customer-who-quotes")
	first := place(t, c, body, `Idempotency-Key: "8e03978e-40d5-43e8-bc93-6894a57f9324"`)
	for _, key := range []string{"8e03978e-40d5-43e8-bc93-6894a57f9324", `"8e03978e-40d5-43e8-bc93-6894a57f9324"; by=proxy`} {
		if again := place(t, c, body, "Idempotency-Key: "+key); again.OrderID != first.OrderID {
			t.Errorf("with the key written %s it is another order", key)
		}
	}
	for _, lines := range [][]string{{""}, {`""`}, {`"open`}, {`"a", "b"`}, {"a", "a"}} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.base+"/v1/orders", bytes.NewReader(nil))
		if err != nil {
			t.Fatal(err)
		}
		request.Header["Idempotency-Key"] = lines
		response, err := c.http.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		text, _ := io.ReadAll(response.Body)
		a := &answer{response.StatusCode, response.Header, text}
		expectProblem(t, a, 400, "")
		if !bytes.Contains(a.body, []byte("Idempotency-Key ")) {
			t.Errorf("%q: it is not said what is wrong: %s", lines, a)
		}
	}
}

// withheld is a connection with a program, on which nothing is said to it any more from some moment on.
type withheld struct {
	net.Conn
	from    func() bool
	reached func()
	gone    <-chan struct{} // closed when the program is no more
}

func (c *withheld) Write(b []byte) (int, error) {
	if !c.from() {
		return c.Conn.Write(b)
	}
	c.reached()
	<-c.gone
	return 0, net.ErrClosed
}

// TestKilledBeforeTheAnswer kills the program when an order is committed, and the program has not been told so.
func TestKilledBeforeTheAnswer(t *testing.T) {
	t.Parallel()
	const customer = "customer-without-an-answer"
	env := *devtest.New(t)
	db, err := pgx.Connect(t.Context(), env.DatabaseURL)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(context.WithoutCancel(t.Context()))
	var mu sync.Mutex // of db, and watched
	watched := false
	committed := func() (is bool) {
		mu.Lock()
		defer mu.Unlock()
		if !watched {
			return false
		}
		err := db.QueryRow(t.Context(), "SELECT EXISTS (SELECT FROM orders.orders WHERE customer_id = $1)", customer).Scan(&is)
		return is || err != nil
	}
	watch := func(on bool) {
		mu.Lock()
		defer mu.Unlock()
		watched = on
	}
	reached, gone := make(chan struct{}), make(chan struct{})
	reach, leave := sync.OnceFunc(func() { close(reached) }), sync.OnceFunc(func() { close(gone) })
	database := front(t, hostOf(t, env.DatabaseURL), func(c net.Conn) (net.Conn, error) {
		return &withheld{c, committed, reach, gone}, nil
	})
	defer leave()
	p := serve(t, env, "DATABASE_URL="+changed(t, env.DatabaseURL, on(database.address)))
	watch(true)
	answers := make(chan *answer, 1)
	go func() {
		a, _ := p.send(t.Context(), http.MethodPost, "/v1/orders", goodOrder(customer), "Idempotency-Key: key")
		answers <- a
	}()
	select {
	case <-reached:
	case a := <-answers:
		t.Fatalf("the program knows already that the order is committed: %v", a)
	}
	p.kill()
	leave()
	if a := <-answers; a != nil {
		t.Fatalf("the first request was answered %s", a)
	}
	watch(false)
	p.start()

	again := p.call(t, http.MethodPost, "/v1/orders", goodOrder(customer), "Idempotency-Key: key")
	if again.status != http.StatusCreated || again.header.Get("Idempotency-Replayed") != "true" {
		t.Fatalf("the second request, Idempotency-Replayed %q: %s", again.header.Get("Idempotency-Replayed"), again)
	}
	orders := get[struct{ Orders []order }](t, p.client, "/v1/orders?customer_id="+customer).Orders
	if first := unmarshal[order](t, again.body); len(orders) != 1 || orders[0].OrderID != first.OrderID || first.Status != "placed" {
		t.Errorf("there are the orders %+v, and the answer is %s", orders, again)
	}
}

// TestKilledAmongKeys kills the program again and again while clients repeat each order until they have an answer.
func TestKilledAmongKeys(t *testing.T) {
	t.Parallel()
	const customer, clients, each, kills = "customer-who-insists", 6, 25, 4
	p := serve(t, *devtest.New(t))
	r, _ := random(t)
	answered := make(chan struct{}, clients*each)
	insist := func(ctx context.Context, key string) (first *answer, err error) {
		err = devtest.Until(ctx, func() (err error) {
			first, err = p.send(ctx, http.MethodPost, "/v1/orders", goodOrder(customer), "Idempotency-Key: "+key)
			if err == nil && first.status != http.StatusCreated {
				err = fmt.Errorf("%s", first)
			}
			return err
		})
		answered <- struct{}{}
		return first, err
	}
	firsts := make([][each]*answer, clients)
	ctx, stop := context.WithTimeout(t.Context(), limit)
	defer stop()
	var group errgroup.Group
	for c := range clients {
		group.Go(func() (err error) {
			for i := range each {
				if firsts[c][i], err = insist(ctx, fmt.Sprintf("%d-%d", c, i)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	for range kills {
		for range 5 + r.IntN(clients*each/kills-10) {
			<-answered
		}
		p.kill()
		p.start()
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}

	placed := map[string]bool{}
	for _, o := range get[struct{ Orders []order }](t, p.client, "/v1/orders?limit=200&customer_id="+customer).Orders {
		placed[o.OrderID] = true
	}
	replayed := 0
	for c := range clients {
		for i, first := range firsts[c] {
			again := p.call(t, http.MethodPost, "/v1/orders", goodOrder(customer), fmt.Sprintf("Idempotency-Key: %d-%d", c, i))
			if !bytes.Equal(again.body, first.body) || again.header.Get("Idempotency-Replayed") != "true" {
				t.Errorf("answered %s first, and then %s", first, again)
			}
			if first.header.Get("Idempotency-Replayed") != "" {
				replayed++
			}
			delete(placed, unmarshal[order](t, first.body).OrderID)
		}
	}
	if n := len(get[struct{ Orders []order }](t, p.client, "/v1/orders?limit=200&customer_id="+customer).Orders); n != clients*each || len(placed) > 0 {
		t.Errorf("%d orders of %d keys; no answer tells of %v", n, clients*each, placed)
	}
	t.Logf("%d orders were answered by a later process than the one that had placed them", replayed)
}

// TestDaysOfAnswers takes the table of answers its days while the program runs, and gives it an old one while it does not.
func TestDaysOfAnswers(t *testing.T) {
	t.Parallel()
	env := *devtest.New(t)
	p := serve(t, env)
	days := func() int {
		t.Helper()
		n, err := queryOne[int](t.Context(), env, "SELECT count(*) FROM pg_inherits WHERE inhparent = 'orders.answers'::regclass")
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	eventually(t, "there are partitions", func() error {
		if n := days(); n != 3 {
			return fmt.Errorf("there are %d, want yesterday's, today's and tomorrow's", n)
		}
		return nil
	})
	execute(t, env, `DO $$ DECLARE day regclass; BEGIN
		FOR day IN SELECT inhrelid FROM pg_inherits WHERE inhparent = 'orders.answers'::regclass LOOP EXECUTE 'DROP TABLE ' || day; END LOOP; END $$`)
	var group errgroup.Group
	for i := range 40 {
		group.Go(func() error {
			a, err := p.send(t.Context(), http.MethodPost, "/v1/orders", goodOrder("customer-without-a-day"), fmt.Sprintf("Idempotency-Key: %d", i/2))
			if err == nil && a.status != http.StatusCreated {
				err = fmt.Errorf("%s", a)
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Error(err)
	}
	if n := len(get[struct{ Orders []order }](t, p.client, "/v1/orders?customer_id=customer-without-a-day").Orders); n != 20 || days() != 3 {
		t.Errorf("%d orders of 20 keys, %d days", n, days())
	}

	p.stop()
	execute(t, env, `CREATE TABLE orders.answers_20200102 PARTITION OF orders.answers FOR VALUES FROM ('2020-01-02T00:00:00Z') TO ('2020-01-03T00:00:00Z')`)
	p.start()
	eventually(t, "the old day is dropped", func() error {
		gone, err := queryOne[bool](t.Context(), env, "SELECT to_regclass('orders.answers_20200102') IS NULL")
		if err == nil && !gone {
			err = errors.New("it is there")
		}
		return err
	})
	place(t, p.client, goodOrder("customer-without-a-day"), "Idempotency-Key: 0")
	if n := days(); n != 3 {
		t.Errorf("%d days are left", n)
	}
}

// What the version before noted, under the header as it came, is the answer here, too.
func TestHeaderAsTheVersionBeforeNotedIt(t *testing.T) {
	t.Parallel()
	env := *devtest.New(t)
	p := serve(t, env)
	const header = `Idempotency-Key: "key";by=proxy`
	first := place(t, p.client, goodOrder("customer-of-both"), header)
	execute(t, env, `INSERT INTO orders.idempotency_keys (key, request_hash, order_id, response)
		SELECT '"key";by=proxy', request_hash, order_id, response FROM orders.answers`)
	execute(t, env, "DELETE FROM orders.answers")
	if again := place(t, p.client, goodOrder("customer-of-both"), header); again.OrderID != first.OrderID {
		t.Errorf("the order is %s, and then %s", first.OrderID, again.OrderID)
	}
}
