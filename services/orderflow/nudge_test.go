package main_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"orderflow/pkg/broker"
	"orderflow/pkg/devstack/devtest"
)

// diagnosed is what doctor order and nudge print as JSON, as far as the tests look at it.
type (
	awaited struct {
		OrderID   string `json:"order_id"`
		Queue     string
		EventID   string `json:"event_id"`
		EventType string `json:"event_type"`
		Place     string
		Told      string
		Next      string
	}
	diagnosed struct {
		Status         string
		Overdue, Stuck bool
		Timeline       []struct{ Type string }
		Waits          []awaited
	}
	nudges struct {
		LookedAt     int `json:"looked_at"`
		Nudged, Left []awaited
	}
)

// nudge runs orderflow nudge.
func (o operator) nudge(code int, args ...string) nudges {
	o.Helper()
	out, said, got := call(o, o.settings, append([]string{"nudge", "--json"}, args...)...)
	if got != code {
		o.Fatalf("nudge %v: exit code %d, want %d\n%s%s", args, got, code, out, said)
	}
	return unmarshal[nudges](o, []byte(out))
}

// tale is a number of orders that go as far as the services that run let them.
type tale struct {
	*testing.T
	env    devtest.Env
	broker *broker.Broker
	ids    map[string][]string // by what is special about them
}

const taleOrders = 100

// newTale makes queues and schemas, and some stock.
func newTale(t *testing.T) *tale {
	env := *devtest.New(t)
	migrated(t, env)
	if _, said, code := call(t, settings(env), "topology"); code != 0 {
		t.Fatal(said)
	}
	execute(t, env, `INSERT INTO inventory.stock (product_id, on_hand, put_in) VALUES ('book', 100000, 100000), ('lamp', 100000, 100000)`)
	return &tale{T: t, env: env, broker: openBroker(t, env), ids: map[string][]string{}}
}

// place places orders of all kinds, and calls some of them off.
func (s *tale) place(c *client) {
	s.Helper()
	for i := range taleOrders {
		o, kind := goodOrder(fmt.Sprintf("customer-%d", i)), "plain"
		switch i % 10 {
		case 1:
			kind, o.PaymentMethod = "declined", "pm_declined"
		case 3:
			kind, o.Items = "unknown", []item{{"nothing", 1, "1.00"}}
		case 5:
			kind, o.ShippingAddress.PostalCode, o.ShippingAddress.City = "undeliverable", "UNDELIVERABLE", "Atlantis"
		case 7:
			kind = "called off"
		}
		s.ids[kind] = append(s.ids[kind], place(s.T, c, o).OrderID)
	}
	for _, id := range s.ids["called off"] {
		if a := c.call(s.T, http.MethodPost, "/v1/orders/"+id+"/cancel", nil); a.status != http.StatusAccepted && a.status != http.StatusConflict {
			s.Fatalf("cancel: %s", a)
		}
	}
}

// with runs some services while f does something, and waits until nothing waits in the queues of these.
func (s *tale) with(services string, f func(*client)) {
	s.Helper()
	p := run(s.T, settings(s.env), append([]string{"serve"}, strings.Fields(services)...)...)
	f(p.client)
	ui := newManagement(s.T, s.env)
	eventually(s.T, services+" have done what they can", func() error {
		if err := outboxesEmpty(s.T, s.env); err != nil {
			return err
		}
		for queue := range queues {
			service, _, _ := strings.Cut(queue, ".")
			if !slices.Contains(strings.Fields(services), service) {
				continue
			}
			q := get[struct {
				Messages int `json:"messages"`
			}](s.T, ui.client, "/api/queues/"+ui.vhost+"/"+queue)
			if n, err := s.broker.Depth(s.Context(), queue); err != nil || n+q.Messages > 0 {
				return fmt.Errorf("%d, %d in %s, %v", n, q.Messages, queue, err)
			}
		}
		return nil
	})
	p.stop()
}

// lose takes everything out of a queue that is not dead, or deletes the queue, and returns how many messages that were.
func (s *tale) lose(queue string, how string) int {
	s.Helper()
	depth, err := s.broker.Depth(s.Context(), queue)
	if err != nil || depth == 0 {
		s.Fatalf("nothing to lose in %s: %d, %v", queue, depth, err)
	}
	ui := newManagement(s.T, s.env)
	manage(s.T, ui, http.MethodDelete, "/queues/"+ui.vhost+"/"+queue+how, nil)
	return depth
}

const (
	purge  = "/contents"
	remove = ""
)

func nothing(*client) {}

// TestNudgeMendsLosses takes the messages away that wait for a service, one queue after the other, runs all services, and nudges: every order
// ends as it should, and every effect is there once.
func TestNudgeMendsLosses(t *testing.T) {
	t.Parallel()
	for queue, before := range map[string]struct {
		how  string
		tell func(*tale)
		also string // a queue that is purged, too
	}{
		"payment.order-placed":        {how: purge, tell: func(s *tale) { s.with("order", s.place) }},
		"inventory.payment-processed": {how: remove, tell: func(s *tale) { s.with("order payment", s.place) }},
		"shipping.inventory-reserved": {how: purge, tell: func(s *tale) { s.with("order payment inventory", s.place) }},
		// An order that nobody hears being called off goes on, and ships.
		"shipping.cancellation-requested": {how: purge, tell: func(s *tale) { s.with("order", s.place) }, also: "payment.order-placed"},
		"inventory.shipment-created": {how: purge, tell: func(s *tale) {
			s.with("order payment inventory", s.place)
			s.with("shipping order", nothing)
		}},
		"inventory.shipment-cancelled": {how: purge, tell: func(s *tale) {
			s.with("order payment inventory", s.place)
			s.with("shipping", nothing)
		}},
		"payment.inventory-released": {how: purge, tell: func(s *tale) {
			s.with("order payment", s.place)
			s.with("order inventory shipping", nothing)
		}},
		"order.progress": {how: purge, tell: func(s *tale) {
			s.with("order", s.place)
			s.with("payment inventory shipping", nothing)
		}},
	} {
		t.Run(queue, func(t *testing.T) {
			t.Parallel()
			s := newTale(t)
			all := copyAll(t, s.env)
			before.tell(s)
			lost := s.lose(queue, before.how)
			if before.also != "" {
				lost += s.lose(before.also, purge)
			}
			p := serve(t, s.env)
			operator := operator{t, settings(s.env)}
			var mended []awaited
			eventually(t, "everything is mended", func() error {
				_, _, code := call(t, settings(s.env), "verify", "--wait", "1s", "--tables-only")
				if code == 0 {
					return nil
				}
				more := operator.nudge(0, "--older-than", "0s")
				for _, w := range more.Nudged {
					if w.Queue != queue && w.Queue != before.also || w.Place != "lost" {
						t.Errorf("nudged %+v", w)
					}
				}
				mended = append(mended, more.Nudged...)
				return fmt.Errorf("%d of %d were nudged", len(mended), lost)
			})
			if len(mended) == 0 || len(mended) > lost {
				t.Errorf("%d nudged of %d that were lost", len(mended), lost)
			}
			s.check(p.client)
			if got := count(t, s.env, "SELECT count(*) FROM dlq.history WHERE outcome = 'nudged'"); got != len(mended) {
				t.Errorf("the history knows of %d nudges, want %d", got, len(mended))
			}
			sameAgain(t, all.soFar(), mended)
			t.Logf("%d of %d lost messages were needed, and published again", len(mended), lost)
			if out, said, code := call(t, operator.settings, "doctor", "orders", "--older-than", "0s"); code != 0 {
				t.Errorf("at the end: exit code %d\n%s%s", code, out, said)
			}
		})
	}
}

// sameAgain checks that what was published again, of those nudges, is what was published first, but for what nobody keeps.
func sameAgain(t *testing.T, messages []broker.Message, mended []awaited) {
	t.Helper()
	bodies := map[string][]string{}
	for _, m := range messages {
		e := unmarshal[map[string]any](t, m.Body)
		delete(e, "causationid")
		delete(e, "traceparent")
		delete(e, "time")
		text, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		bodies[m.ID] = append(bodies[m.ID], string(text))
	}
	for _, w := range mended {
		if b := bodies[w.EventID]; len(b) < 2 || len(slices.Compact(b)) > 1 {
			t.Errorf("%s was published %d times, and not alike:\n%s", w.EventType, len(b), strings.Join(b, "\n"))
		}
	}
}

// check compares how the orders have ended with what they are.
func (s *tale) check(c *client) {
	s.Helper()
	if out, said, code := call(s.T, settings(s.env), "verify", "--wait", "30s", "--json"); code != 0 {
		s.Errorf("verify: exit code %d\n%s%s", code, out, said)
	}
	for kind, ends := range map[string][]string{
		"plain": {shipped}, "declined": {declined}, "unknown": {unknown}, "undeliverable": {undeliverable},
		"called off": {shipped, calledOff, calledOffEarly, calledOffAtOnce},
	} {
		for _, id := range s.ids[kind] {
			if got := summaryOf(s.T, c, id); !slices.Contains(ends, got) {
				s.Errorf("an order that is %s: %s", kind, got)
			}
		}
	}
	nothingLeft(s.T, s.env)
}

// TestNudgeWhileOrdersRun has a command that goes on mend what is lost, and publishes events again, by name, that are not lost at all: nothing is
// done twice.
func TestNudgeWhileOrdersRun(t *testing.T) {
	t.Parallel()
	s := newTale(t)
	others := newProvider(t)
	set := settings(s.env, "CARRIER_URL="+others.URL+"/carrier", "CARRIER_TIMEOUT=1m")
	operator := operator{t, set}
	var lost string
	s.with("order", func(c *client) { lost = place(t, c, goodOrder("customer")).OrderID })
	s.lose(downQueue, purge)
	p := run(t, set, "serve")
	sidecar, log := invoke(t.Context(), set, "nudge", "--every", "1s", "--older-than", "0s"), newJournal()
	sidecar.Stderr = log
	if err := sidecar.Start(); err != nil {
		t.Fatal(err)
	}
	if end := follow(t, p.client, lost); end.Status != "shipped" {
		t.Errorf("what was lost ended as %+v", end)
	}
	contain(t, log.String(), "lost event published again", lost)
	var held []string
	for range 5 {
		o := goodOrder("customer-who-waits")
		o.ShippingAddress.City = "Hold"
		held = append(held, place(t, p.client, o).OrderID)
		<-others.held
	}
	for range 2 {
		if forced := operator.nudge(0, append(held, "--force")...).Nudged; len(forced) != len(held) {
			t.Errorf("%d events were published again, want %d: %+v", len(forced), len(held), forced)
		}
		eventually(t, "they are published", func() error { return outboxesEmpty(t, s.env) })
	}
	s.place(p.client)
	close(others.let)
	for _, id := range held {
		if end := follow(t, p.client, id); end.Status != "shipped" {
			t.Errorf("it ended as %+v", end)
		}
	}
	s.check(p.client)
	if got := operator.nudge(0, held...); len(got.Nudged) > 0 {
		t.Errorf("orders that have ended were nudged: %+v", got)
	}
	sidecar.Process.Signal(os.Interrupt)
	if code := exitCode(sidecar.Wait()); code != 0 || strings.Contains(log.String(), "ERROR") {
		t.Errorf("the command that goes on ended with %d\n%s", code, log)
	}
}

// TestNudgeByTheCourseOfAQueue is without the management API, so nobody knows what a service has in hand. That an event is lost is known then only
// when its queue has handled one that was published later.
func TestNudgeByTheCourseOfAQueue(t *testing.T) {
	t.Parallel()
	const queue = "payment.order-placed"
	s := newTale(t)
	operator := operator{t, settings(s.env, "RABBITMQ_MANAGEMENT_URL=")}
	var id string
	s.with("order", func(c *client) { id = place(t, c, goodOrder("customer")).OrderID })
	s.lose(queue, purge)
	execute(t, s.env, `UPDATE orders.timeline SET time = time - interval '2 minutes'`) // else it could be in the hands of somebody slow
	p := serve(t, s.env)
	if w := operator.where(3, id, queue, "not_known"); !strings.Contains(w.Told, "without RABBITMQ_MANAGEMENT_URL") {
		t.Errorf("%+v", w)
	}
	if left := operator.nudge(3, id); len(left.Nudged) > 0 || len(left.Left) != 1 {
		t.Errorf("nudged what is not shown to be lost: %+v", left)
	}
	ctx, stop := context.WithCancel(t.Context())
	var placing sync.WaitGroup
	placing.Go(func() {
		for ctx.Err() == nil {
			p.send(ctx, http.MethodPost, "/v1/orders", goodOrder("another"))
			<-time.After(50 * time.Millisecond)
		}
	})
	got := operator.nudge(0, id)
	stop()
	placing.Wait()
	if len(got.Nudged) != 1 || !strings.Contains(got.Nudged[0].Told, "has handled what was published later") {
		t.Errorf("%+v", got)
	}
	if end := follow(t, p.client, id); end.Status != "shipped" {
		t.Errorf("it ended as %+v", end)
	}
	if out, said, code := call(t, operator.settings, "verify", "--wait", "30s"); code != 0 {
		t.Errorf("verify: exit code %d\n%s%s", code, out, said)
	}
}
