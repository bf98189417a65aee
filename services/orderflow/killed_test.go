package main_test

import (
	"cmp"
	"fmt"
	"net/http"
	"testing"

	"orderflow/pkg/devstack/devtest"
)

// TestServersKilled kills RabbitMQ and Postgres in the middle of 200 orders and starts them again. Nobody starts the program again.
func TestServersKilled(t *testing.T) {
	t.Parallel()
	env := devtest.Own(t)
	p := serve(t, env.Env)
	putStock(t, p.client, "book", 100)
	putStock(t, p.client, "lamp", 100)
	m := newCampaign(t, p.client, 200)
	m.patient = true
	first, second := m.endings.after(40), m.endings.after(110)
	over := m.begin()

	await(t, first, over)
	env.KillRabbitMQ()
	eventually(t, "without RabbitMQ", func() error { return notReady(t, p.client) })
	if a := p.call(t, http.MethodGet, "/healthz", nil); a.status != http.StatusOK {
		t.Errorf("without RabbitMQ the process lives, but says %s", a)
	}
	// Orders are taken, and called off. Which of the two events gets further first when RabbitMQ is back is not certain.
	o := goodOrder("customer-without-a-broker")
	meanwhile := &placed{
		kind: &kind{ends: []string{calledOffAtOnce, calledOffEarly, calledOff, shipped}}, id: place(t, p.client, o).OrderID, placement: o, total: 4003,
		cancelled: http.StatusAccepted,
	}
	if a := p.call(t, http.MethodPost, "/v1/orders/"+meanwhile.id+"/cancel", nil); a.status != http.StatusAccepted {
		t.Errorf("cancel without RabbitMQ: %s", a)
	}
	env.StartRabbitMQ()

	await(t, second, over)
	env.KillPostgres()
	for _, request := range []struct {
		method, path string
		body         any
	}{{"POST", "/v1/orders", goodOrder("customer-without-a-database")}, {"GET", "/v1/orders", nil}, {"GET", "/v1/stock/book", nil}} {
		a := p.call(t, request.method, request.path, request.body)
		if expectProblem(t, a, http.StatusServiceUnavailable, ""); a.header.Get("Retry-After") == "" {
			t.Errorf("%s %s without Postgres: no Retry-After", request.method, request.path)
		}
	}
	if err := notReady(t, p.client); err != nil {
		t.Error(err)
	}
	env.StartPostgres()

	if err := <-over; err != nil {
		t.Fatal(err)
	}
	m.check()
	follow(t, p.client, meanwhile.id)
	eventually(t, "the order that was called off while RabbitMQ was away", func() error {
		return cmp.Or(m.compare(t.Context(), meanwhile), m.checkTimeline(t.Context(), meanwhile))
	})
	if orders := get[struct{ Orders []order }](t, p.client, "/v1/orders?customer_id=customer-without-a-database").Orders; len(orders) > 0 {
		t.Errorf("an order that was refused exists: %+v", orders)
	}
	nothingLeft(t, env.Env)
	if a := p.call(t, http.MethodGet, "/readyz", nil); a.status != http.StatusOK || !p.running() {
		t.Errorf("at the end: %s", a)
	}
}

func notReady(t *testing.T, c *client) error {
	a := c.call(t, http.MethodGet, "/readyz", nil)
	if a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" || a.header.Get("Content-Type") != "application/problem+json" {
		return fmt.Errorf("readyz: %s, Retry-After %q", a, a.header.Get("Retry-After"))
	}
	return nil
}

// TestProgramKilled kills the program twice in the middle of 200 orders, and then stops it by SIGTERM; each time it is started again.
func TestProgramKilled(t *testing.T) {
	t.Parallel()
	env := *devtest.New(t)
	// The simulated gateway forgets with its process how often a flaky payment has failed, so more attempts are needed.
	p := serve(t, env, "RETRY_DELAYS=200ms,500ms,500ms,500ms,500ms,500ms,500ms,500ms")
	m := newCampaign(t, p.client, 200)
	m.patient = true
	var milestones []<-chan struct{}
	for _, n := range []int{30, 80, 140} {
		milestones = append(milestones, m.endings.after(n))
	}
	over := m.begin()
	for i, end := range []func(){p.kill, p.kill, p.stop} {
		await(t, milestones[i], over)
		end()
		p.start()
	}
	if err := <-over; err != nil {
		t.Fatal(err)
	}
	m.check()
	nothingLeft(t, env)
}
