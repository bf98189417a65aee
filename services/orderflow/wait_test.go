package main_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"orderflow/pkg/devstack/devtest"
)

// shop is a program whose parcels for the city of Hold are booked when the test lets them.
type shop struct {
	*program
	*provider
}

func openShop(t *testing.T) shop {
	t.Helper()
	others := newProvider(t)
	p := serve(t, *devtest.New(t), "CARRIER_URL="+others.URL+"/carrier", "CARRIER_TIMEOUT=1m")
	for _, product := range []string{"book", "lamp"} {
		putStock(t, p.client, product, 1_000_000)
	}
	return shop{p, others}
}

// held is an order that does not end before somebody lets it.
func held() placement {
	o := goodOrder("customer-who-waits")
	o.ShippingAddress.City = "Hold"
	return o
}

// hold places an order and returns it when it waits for its parcel.
func (s shop) hold(t *testing.T) order {
	t.Helper()
	o := place(t, s.client, held())
	<-s.held
	eventually(t, "it is reserved", func() error {
		if now := get[order](t, s.client, "/v1/orders/"+o.OrderID); now.Status != "reserved" {
			return errors.New(now.Status)
		}
		return nil
	})
	return o
}

// release lets an order end.
func (s shop) release() { s.let <- struct{}{} }

// ask makes a request in the background.
func (s shop) ask(ctx context.Context, method, path string, body any, headers ...string) <-chan *answer {
	answered := make(chan *answer, 1)
	go func() {
		a, err := s.send(ctx, method, path, body, headers...)
		if err != nil {
			a = &answer{body: []byte(err.Error())}
		}
		answered <- a
	}()
	return answered
}

// wantOrder checks an answer to a request that preferred to wait.
func wantOrder(t *testing.T, a *answer, status int, applied string, orderStatus string) order {
	t.Helper()
	o := order{}
	if a.status == status {
		o = unmarshal[order](t, a.body)
	}
	if got := a.header.Get("Preference-Applied"); a.status != status || got != applied || o.Status != orderStatus {
		t.Errorf("Preference-Applied is %q, want %q; want status %d and a %s order: %s", got, applied, status, orderStatus, a)
	}
	return o
}

func TestWait(t *testing.T) {
	t.Parallel()
	s := openShop(t)
	t.Run("place", s.testPlaceAndWait)
	t.Run("read", s.testReadAndWait)
	t.Run("cancel", s.testCancelAndWait)
	t.Run("client that goes", s.testWaiterGoes)
	t.Run("stop", s.testStopWhileWaiting)
}

func (s shop) testPlaceAndWait(t *testing.T) {
	const key = "Idempotency-Key: one-that-waits"
	began := time.Now()
	o := wantOrder(t, s.call(t, http.MethodPost, "/v1/orders", goodOrder("customer"), key, "Prefer: respond-async, wait=25; x=y"), 201, "wait=25", "shipped")
	t.Logf("an order that is placed with a wait has ended after %s", time.Since(began))
	first := s.call(t, http.MethodPost, "/v1/orders", goodOrder("customer"), key)
	if again := wantOrder(t, first, 201, "", "placed"); again.OrderID != o.OrderID || first.header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("a plain replay is not the first answer: %s", first)
	}
	now := s.call(t, http.MethodPost, "/v1/orders", goodOrder("customer"), key, "Prefer: wait=25")
	if again := wantOrder(t, now, 201, "wait=25", "shipped"); again.OrderID != o.OrderID || now.header.Get("Idempotency-Replayed") != "true" ||
		now.header.Get("Location") != "/v1/orders/"+o.OrderID {
		t.Errorf("a replay that waits is not about the same order: %s", now)
	}
	began = time.Now()
	short := s.call(t, http.MethodPost, "/v1/orders", held(), "Prefer: wait=1")
	if o := unmarshal[order](t, short.body); short.status != 201 || o.ended() || short.header.Get("Preference-Applied") != "wait=1" || time.Since(began) < time.Second {
		t.Errorf("after %s: %s", time.Since(began), short)
	}
	<-s.held
	s.release()
	declined := goodOrder("customer")
	declined.PaymentMethod = "pm_declined"
	wantOrder(t, s.call(t, http.MethodPost, "/v1/orders", declined, "Prefer: wait=25"), 201, "wait=25", "cancelled")
	expectProblem(t, s.call(t, http.MethodPost, "/v1/orders", with(declined, "/currency", "none"), "Prefer: wait=25"), 422, "/currency")
}

func (s shop) testReadAndWait(t *testing.T) {
	o := s.hold(t)
	path := "/v1/orders/" + o.OrderID
	tag := s.call(t, http.MethodGet, path, nil).header.Get("ETag")
	began := time.Now()
	wantOrder(t, s.call(t, http.MethodGet, path, nil, "Prefer: wait=1"), 200, "wait=1", "reserved")
	same := s.call(t, http.MethodGet, path, nil, "Prefer: wait=1", "If-None-Match: "+tag)
	if took := time.Since(began); same.status != 304 || same.header.Get("Preference-Applied") != "wait=1" || took < 2*time.Second {
		t.Errorf("after %s: %s", took, same)
	}
	for _, none := range []string{"wait", "wait=", "wait=soon", "wait=-1", "wait=1.5", "wait=x, wait=20", "respond-async"} {
		wantOrder(t, s.call(t, http.MethodGet, path, nil, "Prefer: "+none), 200, "", "reserved")
	}
	long := s.ask(t.Context(), http.MethodGet, path, nil, `Prefer: return=minimal, Wait = "25"`)
	changed := s.ask(t.Context(), http.MethodGet, path, nil, "Prefer: wait=25", "If-None-Match: "+tag)
	watchers(t, s.client, 2)
	began = time.Now()
	s.release()
	wantOrder(t, <-long, 200, "wait=25", "shipped")
	t.Logf("who waited knew of the end %s after it was let", time.Since(began))
	wantOrder(t, <-changed, 200, "wait=25", "shipped")
	wantOrder(t, s.call(t, http.MethodGet, path, nil, "Prefer: wait=99999999999999999999"), 200, "wait=60", "shipped")
	expectProblem(t, s.call(t, http.MethodGet, "/v1/orders/01890000-0000-7000-8000-000000000001", nil, "Prefer: wait=25"), 404, "")
}

func (s shop) testCancelAndWait(t *testing.T) {
	o := s.hold(t)
	answered := s.ask(t.Context(), http.MethodPost, "/v1/orders/"+o.OrderID+"/cancel", "{}", "Prefer: wait=25")
	watchers(t, s.client, 1)
	s.release()
	wantOrder(t, <-answered, 202, "wait=25", "shipped") // its parcel was being booked
	expectProblem(t, s.call(t, http.MethodPost, "/v1/orders/"+o.OrderID+"/cancel", nil, "Prefer: wait=25"), 409, "")
	slow := goodOrder("customer")
	slow.PaymentMethod = "pm_slow"
	o = place(t, s.client, slow)
	wantOrder(t, s.call(t, http.MethodPost, "/v1/orders/"+o.OrderID+"/cancel", nil, "Prefer: wait=25"), 202, "wait=25", "cancelled")
}

func (s shop) testWaiterGoes(t *testing.T) {
	o := s.hold(t)
	ctx, leave := context.WithCancel(t.Context())
	read := s.ask(ctx, http.MethodGet, "/v1/orders/"+o.OrderID, nil, "Prefer: wait=60")
	cancelled := s.ask(ctx, http.MethodPost, "/v1/orders/"+o.OrderID+"/cancel", "{}", "Prefer: wait=60")
	watchers(t, s.client, 2)
	leave()
	<-read
	<-cancelled
	watchers(t, s.client, 0)
	s.release()
	follow(t, s.client, o.OrderID)
}

func (s shop) testStopWhileWaiting(t *testing.T) {
	o := s.hold(t)
	answered := s.ask(context.WithoutCancel(t.Context()), http.MethodGet, "/v1/orders/"+o.OrderID, nil, "Prefer: wait=60")
	watchers(t, s.client, 1)
	s.release() // for the shutdown not to wait for its parcel; either answer is right
	s.stop()
	if a := <-answered; a.status != 200 || a.header.Get("Preference-Applied") != "wait=60" {
		t.Errorf("%s", a)
	}
}
