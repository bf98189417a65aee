package main_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"orderflow/pkg/devstack/devtest"
)

// TestREST tries the rules of the API on one running program.
func TestREST(t *testing.T) {
	p := serve(t, *devtest.New(t))
	for _, product := range []string{"book", "lamp"} {
		putStock(t, p.client, product, 1_000_000)
	}
	for _, part := range []struct {
		name string
		run  func(*testing.T, *client)
	}{
		{"an order that says something wrong", testWrongOrders},
		{"a body that is no order", testWrongBodies},
		{"the largest orders", testLargestOrders},
		{"Idempotency-Key", testIdempotency},
		{"how a key is written", testKeyHeader},
		{"list of orders", testOrderList},
		{"a walk through a list that grows", testWalk},
		{"one order", testOneOrder},
		{"cancel", testCancel},
		{"stock", testStock},
		{"routes", testRoutes},
		{"queries", testQueries},
		{"methods", testMethods},
		{"documents", testDocuments},
	} {
		t.Run(part.name, func(t *testing.T) { part.run(t, p.client) })
	}
	if judge, _ := restJudge(); !t.Failed() && judge.Unseen() != nil {
		t.Errorf("no answer was judged of %v", judge.Unseen())
	}
}

// Orders are refused while as many as may be are under way, and taken again when those have ended.
func TestTooManyOrders(t *testing.T) {
	t.Parallel()
	const most = 8
	release := make(chan struct{})
	gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		<-release
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusCreated)
		fmt.Fprintf(w, `{"reference": %q}`, r.Header.Get("Idempotency-Key"))
	}))
	defer gateway.Close()
	answer := sync.OnceFunc(func() { close(release) })
	defer answer()
	p := serve(t, *devtest.New(t), fmt.Sprintf("MAX_OPEN_ORDERS=%d", most), "GATEWAY_URL="+gateway.URL, "GATEWAY_TIMEOUT=1m")
	putStock(t, p.client, "book", 1_000_000)
	putStock(t, p.client, "lamp", 1_000_000)
	var taken []string
	for range most {
		taken = append(taken, place(t, p.client, goodOrder("customer-with-time")).OrderID)
	}
	refused := p.call(t, http.MethodPost, "/v1/orders", goodOrder("customer-who-is-late"), "Idempotency-Key: late")
	expectProblem(t, refused, 503, "")
	expectProblem(t, p.call(t, http.MethodPost, "/v1/orders", map[string]any{"no": "order"}), 503, "") // not even read
	if after := refused.header.Get("Retry-After"); after != "1" || !strings.Contains(string(refused.body), "have not ended yet") {
		t.Errorf("Retry-After is %q: %s", after, refused)
	}
	answer()
	for _, id := range taken {
		if o := follow(t, p.client, id); o.Status != "shipped" {
			t.Errorf("an order that was taken is %s", o.Status)
		}
	}
	eventually(t, "an order that was refused is taken later", func() error {
		if a := p.call(t, http.MethodPost, "/v1/orders", goodOrder("customer-who-is-late"), "Idempotency-Key: late"); a.status != http.StatusCreated {
			return fmt.Errorf("%s", a)
		}
		return nil
	})
	if text := string(p.call(t, http.MethodGet, "/metrics", nil).body); strings.Contains(text, "\norderflow_orders_refused_total 0\n") {
		t.Error("nothing is counted as refused")
	}
	log := p.log.String()
	if !strings.Contains(log, "orders are refused") {
		t.Errorf("that orders are refused is not logged:\n%s", log)
	}
	for line := range strings.Lines(log) {
		if strings.Contains(line, "request failed") && strings.Contains(line, "have not ended yet") {
			t.Errorf("what is refused on purpose is logged as a failure: %s", line)
		}
	}
}

// Whoever holds an idempotency key in a transaction, and has stopped, holds up those with the same key and nobody else.
func TestKeyThatIsHeld(t *testing.T) {
	t.Parallel()
	env := *devtest.New(t)
	p := serve(t, env)
	holder, err := pgx.Connect(t.Context(), env.DatabaseURL)
	if err != nil {
		t.Fatal(err)
	}
	defer holder.Close(context.WithoutCancel(t.Context()))
	tx, err := holder.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `INSERT INTO orders.idempotency_keys (key, request_hash, order_id, response)
		VALUES ('held', '', gen_random_uuid(), '')`); err != nil {
		t.Fatal(err)
	}
	post := func(key string) (*answer, error) {
		return p.send(t.Context(), http.MethodPost, "/v1/orders", goodOrder("customer-"+key), "Idempotency-Key: "+key)
	}
	var group errgroup.Group
	for i := range 40 {
		group.Go(func() error {
			key, want := fmt.Sprintf("key-%d", i), http.StatusCreated
			if i%20 == 7 {
				key, want = "held", http.StatusServiceUnavailable
			}
			if a, err := post(key); err != nil || a.status != want {
				return fmt.Errorf("%s: %s, %w", key, a, err)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Error(err)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if a, err := post("held"); err != nil || a.status != http.StatusCreated || a.header.Get("Idempotency-Replayed") != "" {
		t.Errorf("when the key is free: %s, %v", a, err)
	}
}

// goodOrder is an order that can be shipped.
func goodOrder(customer string) placement {
	return placement{
		CustomerID: customer, Currency: "EUR", PaymentMethod: "pm_ok", Items: []item{{"book", 2, "19.99"}, {"lamp", 1, "0.05"}},
		ShippingAddress: address{"Ada Lovelace", "12 St James Square", "London", "SW1Y 4JH", "GB"},
	}
}

// absent is the value of a field that is left out.
type absent struct{}

// with changes one field of what v is as JSON; the pointer says which.
func with(v any, pointer string, value any) map[string]any {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	var root map[string]any
	if err := json.Unmarshal(text, &root); err != nil {
		panic(err)
	}
	steps := strings.Split(pointer, "/")[1:]
	at := any(root)
	for _, step := range steps[:len(steps)-1] {
		switch node := at.(type) {
		case map[string]any:
			at = node[step]
		case []any:
			var i int
			fmt.Sscan(step, &i)
			at = node[i]
		}
	}
	last := at.(map[string]any)
	if last[steps[len(steps)-1]] = value; value == (absent{}) {
		delete(last, steps[len(steps)-1])
	}
	return root
}

// expectProblem checks that an answer is problem details of that status, about that field before all others if there is one.
func expectProblem(t *testing.T, a *answer, status int, pointer string) {
	t.Helper()
	if kind := a.header.Get("Content-Type"); kind != "application/problem+json" || a.status != status {
		t.Errorf("%q %s, want problem details of status %d", kind, a, status)
		return
	}
	p := unmarshal[problem](t, a.body)
	if p.Status != status || p.Type == "" || p.Title == "" || p.Detail == "" || strings.TrimSpace(p.Detail) != p.Detail {
		t.Errorf("problem details are not complete: %s", a)
	}
	if pointer != "" && (len(p.Errors) == 0 || p.Errors[0].Pointer+p.Errors[0].Parameter != pointer || p.Errors[0].Detail == "") {
		t.Errorf("want something about %s: %s", pointer, a)
	}
}

func place(t *testing.T, c *client, body any, headers ...string) order {
	t.Helper()
	a := c.call(t, http.MethodPost, "/v1/orders", body, headers...)
	if a.status != http.StatusCreated {
		t.Fatalf("place: %s", a)
	}
	o := unmarshal[order](t, a.body)
	if a.header.Get("Location") != "/v1/orders/"+o.OrderID {
		t.Errorf("Location is %q, the order %s", a.header.Get("Location"), o.OrderID)
	}
	return o
}

func follow(t *testing.T, c *client, id string) order {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), limit)
	defer stop()
	o, err := c.await(ctx, id)
	if err != nil {
		t.Fatalf("order %s: %v", id, err)
	}
	return o
}

func putStock(t testing.TB, c *client, product string, onHand int64) {
	t.Helper()
	all, err := c.api()
	if err == nil {
		_, err = all.PutStock(t.Context(), product, onHand)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func testRoutes(t *testing.T, c *client) {
	id := "01890000-0000-7000-8000-000000000001"
	for _, r := range []struct {
		method, path string
		status       int
	}{
		{"GET", "/", 404}, {"GET", "/v1", 404}, {"GET", "/v2/orders", 404}, {"GET", "/v1/orders/", 404}, {"GET", "/v1/orders/" + id + "/none", 404},
		{"DELETE", "/v1/orders", 405}, {"PUT", "/v1/orders", 405}, {"PATCH", "/v1/orders/" + id, 405}, {"GET", "/v1/orders/" + id + "/cancel", 405},
		{"POST", "/v1/payments", 405}, {"DELETE", "/v1/stock/book", 405}, {"POST", "/healthz", 405},
		{"GET", "/v1/orders/" + id, 404}, {"GET", "/v1/orders/" + id + "/events", 404}, {"POST", "/v1/orders/" + id + "/cancel", 404},
		{"GET", "/v1/orders/1", 404}, {"GET", "/v1/orders/" + strings.Repeat("9", 5000), 404}, {"GET", "/v1/orders/%00", 404},
		{"GET", "/v1/orders/1/events", 404}, {"POST", "/v1/orders/1/cancel", 404}, {"GET", "/v1/stock/none", 404},
	} {
		t.Run(r.method+" "+r.path[:min(len(r.path), 60)], func(t *testing.T) {
			a := c.call(t, r.method, r.path, nil)
			expectProblem(t, a, r.status, "")
			if allow := a.header.Get("Allow"); r.status == 405 && allow == "" {
				t.Error("what is allowed is not said")
			}
		})
	}
	for _, what := range []string{"payments", "reservations", "shipments"} {
		expectProblem(t, c.call(t, "GET", "/v1/"+what, nil), 400, "order_id")
		expectProblem(t, c.call(t, "GET", "/v1/"+what+"?order_id=1", nil), 400, "order_id")
		expectProblem(t, c.call(t, "GET", "/v1/"+what+"?order_id=%00", nil), 400, "order_id")
		if a := c.call(t, "GET", "/v1/"+what+"?order_id="+id, nil); a.status != 200 || strings.TrimSpace(string(a.body)) != `{"`+what+`":[]}` {
			t.Errorf("%s of an order that does not exist: %s", what, a)
		}
	}
	for path, want := range map[string]string{"/healthz": "ok", "/readyz": "ready"} {
		if got := get[struct{ Status string }](t, c, path).Status; got != want {
			t.Errorf("%s says %q, want %q", path, got, want)
		}
	}
}
