package httpapi

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
)

// rooms is a server with slots, and a route where requests stay until they are let go.
type rooms struct {
	t        *testing.T
	server   *echo.Echo
	registry *prometheus.Registry
	entered  chan struct{}
	leave    chan struct{}
	ended    chan int // statuses
}

func newRooms(t *testing.T, most, mostWaiting int) *rooms {
	r := &rooms{t: t, registry: prometheus.NewRegistry(), entered: make(chan struct{}), leave: make(chan struct{}), ended: make(chan int)}
	guard := NewSlots(most, mostWaiting, NewRefusals(r.registry)).Before(Open)
	r.server = New(Config{Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Metrics: r.registry, Guard: guard})
	stay := func(c echo.Context) error {
		r.entered <- struct{}{}
		<-r.leave
		return c.NoContent(http.StatusNoContent)
	}
	Add(r.server, guard, []Route{
		{Method: http.MethodGet, Path: "/stay", Scope: OrdersRead, Handler: stay},
		{Method: http.MethodGet, Path: "/wait", Scope: OrdersRead, Handler: func(c echo.Context) error {
			for range 2 { // the second time it is of no effect
				stop, err := Linger(c, 0)
				if err != nil {
					return err
				}
				defer stop()
			}
			return stay(c)
		}},
		{Method: http.MethodGet, Path: "/panic", Scope: OrdersRead, Handler: func(echo.Context) error { panic("on purpose") }},
	})
	return r
}

func (r *rooms) get(path string) *httptest.ResponseRecorder {
	answer := httptest.NewRecorder()
	r.server.ServeHTTP(answer, httptest.NewRequestWithContext(r.t.Context(), http.MethodGet, path, nil))
	return answer
}

// enter sends a request that stays, and returns when it has got in.
func (r *rooms) enter(path string) {
	r.t.Helper()
	go func() { r.ended <- r.get(path).Code }()
	select {
	case <-r.entered:
	case status := <-r.ended:
		r.t.Fatalf("%s: %d", path, status)
	}
}

func (r *rooms) letGo(n int) {
	r.t.Helper()
	for range n {
		r.leave <- struct{}{}
		if status := <-r.ended; status != http.StatusNoContent {
			r.t.Errorf("a request that stayed ended with %d", status)
		}
	}
}

func (r *rooms) expectFull() {
	r.t.Helper()
	a := r.get("/stay")
	if a.Code != http.StatusServiceUnavailable || a.Header().Get("Retry-After") != "1" || !strings.Contains(a.Body.String(), "as many requests as may be") {
		r.t.Errorf("with all slots taken: %d %v %s", a.Code, a.Header(), a.Body)
	}
	for _, path := range []string{"/healthz", "/metrics"} {
		if a := r.get(path); a.Code != http.StatusOK {
			r.t.Errorf("%s with all slots taken: %d %s", path, a.Code, a.Body)
		}
	}
}

func TestSlots(t *testing.T) {
	t.Parallel()
	r := newRooms(t, 2, 3)
	r.enter("/stay")
	r.enter("/stay")
	r.expectFull()
	r.letGo(1)
	if a := r.get("/panic"); a.Code != http.StatusInternalServerError { // gives its slot back, too
		t.Errorf("panic: %d", a.Code)
	}
	for range 3 { // each has a slot to come in, and then one to wait in
		r.enter("/wait")
	}
	if a := r.get("/wait"); a.Code != http.StatusServiceUnavailable || a.Header().Get("Retry-After") != "1" || !strings.Contains(a.Body.String(), "as many wait") {
		t.Errorf("with all places to wait taken: %d %v %s", a.Code, a.Header(), a.Body)
	}
	r.enter("/stay") // and has given its slot back
	r.expectFull()
	r.letGo(5)
	for range 2 {
		r.enter("/stay")
	}
	r.expectFull()
	r.letGo(2)
	if text := r.get("/metrics").Body.String(); !strings.Contains(text, fmt.Sprintf("orderflow_requests_refused_total{reason=%q} 4\n", RefusedBusy)) {
		t.Errorf("not counted as it should be: %s", text)
	}
}

func TestNoLimitOfSlots(t *testing.T) {
	t.Parallel()
	r := newRooms(t, 0, 0)
	for range 10 {
		r.enter("/stay")
		r.enter("/wait")
	}
	r.letGo(20)
}
