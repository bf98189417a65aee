package main_test

import (
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"orderflow/pkg/devstack/devtest"
)

var wholeTimeline = []string{"OrderPlaced", "PaymentProcessed", "InventoryReserved", "ShipmentCreated", "OrderShipped"}

func TestStream(t *testing.T) {
	t.Parallel()
	s := openShop(t)
	t.Run("as it happens", s.testStreamAsItHappens)
	t.Run("from each position", s.testStreamFromEachPosition)
	t.Run("what is no cursor", s.testNoCursor)
	t.Run("which form", s.testTimelineForms)
	t.Run("stop", s.testStopWhileListening)
}

func (s shop) testStreamAsItHappens(t *testing.T) {
	o := s.hold(t)
	first, second := listen(t, s.client, o.OrderID, ""), listen(t, s.client, o.OrderID, "")
	all := first.until(t, "InventoryReserved")
	s.release()
	all = append(all, first.until(t, "")...)
	wantWhole(t, all)
	if err := <-first.ended; err != nil {
		t.Errorf("the stream ended with %v", err)
	}
	if got := second.until(t, ""); !slices.Equal(got, all) {
		t.Errorf("another one heard %q, want %q", got, all)
	}
	timeline := string(s.call(t, http.MethodGet, "/v1/orders/"+o.OrderID+"/events", nil).body)
	for _, e := range all {
		if !strings.Contains(timeline, e.data) {
			t.Errorf("%s was sent, and is not in the timeline %s", e.data, timeline)
		}
	}
	watchers(t, s.client, 0)
}

// wantWhole checks that a stream has told of everything that happens to an order that is shipped. Events may be seen in another order than they
// have happened in.
func wantWhole(t *testing.T, all []sent) {
	t.Helper()
	got, want := kindsOf(all), slices.Clone(wholeTimeline)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the stream was %q, want %q", kindsOf(all), wholeTimeline)
	}
}

func (s shop) testStreamFromEachPosition(t *testing.T) {
	o := s.hold(t)
	whole := listen(t, s.client, o.OrderID, "")
	all := whole.until(t, "InventoryReserved")
	s.release()
	all = append(all, whole.until(t, "")...) // to the end of the stream
	for i, e := range all[:len(all)-1] {
		if got := listen(t, s.client, o.OrderID, e.id).until(t, ""); !slices.Equal(got, all[i+1:]) {
			t.Errorf("after %d events: %q, want %q", i+1, got, all[i+1:])
		}
	}
	path := "/v1/orders/" + o.OrderID + "/events"
	last := s.call(t, http.MethodGet, path, nil, "Accept: text/event-stream", "Last-Event-ID: "+all[len(all)-1].id)
	if last.status != http.StatusNoContent || len(last.body) > 0 {
		t.Errorf("after the last event: %s", last)
	}
}

func (s shop) testNoCursor(t *testing.T) {
	mine, other := place(t, s.client, goodOrder("customer")).OrderID, place(t, s.client, goodOrder("customer")).OrderID
	theirs := listen(t, s.client, other, "").until(t, "OrderShipped")
	whole := listen(t, s.client, mine, "").until(t, "OrderShipped")
	follow(t, s.client, mine)
	path := "/v1/orders/" + mine + "/events"
	for _, wrong := range []string{theirs[0].id, "x", "AAAAAAAAAAA", whole[0].id + "A", whole[1].id[:5], mine, strings.Repeat("A", 5000), whole[0].id + whole[0].id} {
		a := s.call(t, http.MethodGet, path, nil, "Accept: text/event-stream", "Last-Event-ID: "+wrong)
		expectProblem(t, a, 400, "")
		if !strings.Contains(string(a.body), "Last-Event-ID") || len(a.body) > 2000 {
			t.Errorf("%.50q: %s", wrong, a)
		}
	}
	expectProblem(t, s.call(t, http.MethodGet, "/v1/orders/01890000-0000-7000-8000-000000000001/events", nil, "Accept: text/event-stream"), 404, "")
}

func (s shop) testTimelineForms(t *testing.T) {
	o := place(t, s.client, goodOrder("customer"))
	follow(t, s.client, o.OrderID)
	path := "/v1/orders/" + o.OrderID + "/events"
	for accept, form := range map[string]string{
		"": "application/json", "*/*": "application/json", "application/json, text/event-stream": "application/json", "text/html, */*;q=0.8": "application/json",
		"text/event-stream;q=0": "application/json", "text/event-stream;q=0.5, application/json": "application/json", "text/html": "application/json",
		"text/event-stream": "text/event-stream", "text/*": "text/event-stream", "TEXT/Event-Stream; charset=utf-8": "text/event-stream",
		"text/event-stream, application/json;q=0.9": "text/event-stream", "text/event-stream, */*": "text/event-stream",
	} {
		a := s.call(t, http.MethodGet, path, nil, "Accept: "+accept)
		if got := a.header.Get("Content-Type"); a.status != 200 || got != form || a.header.Get("Vary") != "Accept" {
			t.Errorf("Accept: %s gives %q, want %q; Vary: %s", accept, got, form, a.header.Get("Vary"))
		}
		if tag := a.header.Get("ETag"); (tag != "") != (form == "application/json") {
			t.Errorf("Accept: %s has the entity tag %q", accept, tag)
		} else if tag != "" && s.call(t, http.MethodGet, path, nil, "Accept: "+accept, "If-None-Match: W/"+tag).status != 304 {
			t.Errorf("a timeline that has not changed is sent again")
		}
	}
}

func (s shop) testStopWhileListening(t *testing.T) {
	o := s.hold(t)
	l := listen(t, s.client, o.OrderID, "")
	l.until(t, "InventoryReserved")
	s.release()
	s.stop()
	for range l.events { // what came meanwhile
	}
	if err := <-l.ended; err != nil {
		t.Errorf("the stream ended with %v", err)
	}
}

// apart are services that run as processes of their own: two of them the order service.
type apart struct {
	orders [2]*program
	rest   *program
}

func serveApart(t *testing.T, env devtest.Env, first ...string) apart {
	t.Helper()
	a := apart{rest: run(t, settings(env), "serve", "payment", "inventory", "shipping")}
	a.orders[0] = run(t, settings(env, first...), "serve", "order")
	a.orders[1] = run(t, settings(env), "serve", "order")
	for _, product := range []string{"book", "lamp"} {
		putStock(t, a.rest.client, product, 1_000_000)
	}
	return a
}

// Timelines are told, and ends are waited for, by whichever process a client asks, even where that may not listen to the exchange.
func TestLiveFromAnyProcess(t *testing.T) {
	t.Parallel()
	for name, rights := range map[string]struct {
		configure, write, read, topics string
		hears                          bool
	}{
		"with the rights that compose.yaml gives": {
			`^amq\.gen-`, `^orders\.(events$|retry\.)|^order\..*\.dlx$|^amq\.gen-`, `^order\.|^orders\.events$|^amq\.gen-`, ".*", true,
		},
		"without the right to listen": {"^$", `^orders\.(events$|retry\.)|^order\..*\.dlx$`, `^order\.`, "^$", false},
	} {
		t.Run(name, func(t *testing.T) {
			env := *devtest.New(t)
			ui := newManagement(t, env)
			address, user := brokerUser(t, env, ui, "order"), ui.vhost+"/order-"+ui.vhost
			manage(t, ui, http.MethodPut, "/permissions/"+user, map[string]string{"configure": rights.configure, "write": rights.write, "read": rights.read})
			manage(t, ui, http.MethodPut, "/topic-permissions/"+user, map[string]string{"exchange": "orders.events", "write": `^order\.`, "read": rights.topics})
			a := serveApart(t, env, "AMQP_URL="+address)
			testLiveFromAnyProcess(t, a)
			if log := a.orders[0].log.String(); strings.Contains(log, "cannot overhear") == rights.hears {
				t.Errorf("it hears: %v, want %v\n%s", !rights.hears, rights.hears, a.orders[0].log.worst())
			}
		})
	}
}

func testLiveFromAnyProcess(t *testing.T, a apart) {
	here, there := a.orders[0].client, a.orders[1].client
	var streams []*listener
	for range 20 {
		o := place(t, there, goodOrder("customer"))
		streams = append(streams, listen(t, here, o.OrderID, ""))
	}
	for _, l := range streams {
		wantWhole(t, l.until(t, ""))
	}
	for range 3 {
		o := place(t, there, goodOrder("customer"))
		wantOrder(t, here.call(t, http.MethodGet, "/v1/orders/"+o.OrderID, nil, "Prefer: wait=25"), 200, "wait=25", "shipped")
	}
}

// A process that has lost the broker tells all the same what others do, out of the database, and nothing is missed or told twice.
func TestStreamWithoutBroker(t *testing.T) {
	t.Parallel()
	env := *devtest.New(t)
	var away atomic.Bool
	tunnel := front(t, hostOf(t, env.AMQPURL), func(c net.Conn) (net.Conn, error) {
		if away.Load() {
			return curt(c)
		}
		return through(c)
	})
	a := serveApart(t, env, "AMQP_URL="+changed(t, env.AMQPURL, on(tunnel.address)))
	deaf, there := a.orders[0].client, a.orders[1].client
	slow := goodOrder("customer")
	slow.PaymentMethod = "pm_slow"
	whole := listen(t, deaf, place(t, there, slow).OrderID, "")
	events := whole.until(t, "OrderPlaced")
	away.Store(true)
	tunnel.cut()
	wantWhole(t, append(events, whole.until(t, "")...))
	o := place(t, deaf, goodOrder("customer")) // is published when the broker is back, or by the other process
	l := listen(t, deaf, o.OrderID, "")
	away.Store(false)
	wantWhole(t, l.until(t, ""))
}
