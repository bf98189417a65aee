package bench

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
)

// shop is an API that answers as it is told to.
func shop(t *testing.T, answer func(n int64, w http.ResponseWriter)) *buyer {
	t.Helper()
	var n atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { answer(n.Add(1), w) }))
	c, err := newBuyer(server.URL, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.close()
		server.Close()
	})
	return c
}

func created(w http.ResponseWriter) {
	w.Header().Set("Location", "/v1/orders/"+uuid.NewString())
	w.WriteHeader(http.StatusCreated)
}

func place(t *testing.T, ctx context.Context, l Load, c *buyer) *ledger {
	t.Helper()
	to := newLedger()
	requests, err := c.encodeOrders(newOrders(l.Total(), Mix{100}))
	if err != nil {
		t.Fatal(err)
	}
	l.run(ctx, c, requests, to)
	return to
}

// TestOpenLoop has a single client, which the first order keeps busy for a while. The orders that were to be sent meanwhile have waited, too.
func TestOpenLoop(t *testing.T) {
	t.Parallel()
	const stall = 400 * time.Millisecond
	c := shop(t, func(n int64, w http.ResponseWriter) {
		if n == 1 {
			<-time.After(stall)
		}
		created(w)
	})
	l := place(t, t.Context(), Load{Clients: 1, Rate: 100, Duration: time.Second}, c)
	if n := l.acceptedOrders(); n+l.unsent != 100 || n < 50 {
		t.Fatalf("%d accepted, %d not sent, want 100 together", n, l.unsent)
	}
	// Of 40 orders that were due while it stalled the middle one has waited for half of that.
	if waited := time.Duration(l.http.ValueAtPercentile(80)) * time.Microsecond; waited < stall/4 {
		t.Errorf("one order in five has waited for more than %s, want %s at least", waited, stall/4)
	}
}

// TestPace puts out orders at their time, and takes those back that nobody has taken until the end.
func TestPace(t *testing.T) {
	t.Parallel()
	load := Load{Rate: 200, Duration: 200 * time.Millisecond}
	due, began := make(chan struct{}, load.Total()), time.Now()
	taken := make(chan time.Duration, 20)
	go func() {
		for range cap(taken) {
			<-due
			taken <- time.Since(began)
		}
	}()
	if unsent := load.pace(t.Context(), began, due); unsent != load.Total()-cap(taken) {
		t.Errorf("%d of %d not sent, want all but %d", unsent, load.Total(), cap(taken))
	}
	if took := time.Since(began); took < load.Duration {
		t.Errorf("over after %s", took)
	}
	for i := range cap(taken) {
		if at := <-taken; at < load.after(i) {
			t.Errorf("order %d was put out after %s, too early", i, at)
		}
	}
}

// TestClosedLoop comes back after a 503, and gives up after what repeating does not mend.
func TestClosedLoop(t *testing.T) {
	t.Parallel()
	c := shop(t, func(n int64, w http.ResponseWriter) {
		switch n {
		case 1:
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusServiceUnavailable)
		case 2:
			http.Error(w, "what is this", http.StatusUnprocessableEntity)
		default:
			created(w)
		}
	})
	began := time.Now()
	l := place(t, t.Context(), Load{Orders: 5, Clients: 1}, c)
	if took := time.Since(began); took < time.Second {
		t.Errorf("it took %s; Retry-After was 1 second", took)
	}
	if l.started != 6 || l.acceptedOrders() != 4 || fmt.Sprint(l.statuses) != "map[422:1 503:1]" || l.errors != 0 {
		t.Errorf("%+v", l.counts)
	}
	if want := "POST /v1/orders: 422 Unprocessable Entity: what is this\n"; l.first != want {
		t.Errorf("first error %q, want %q", l.first, want)
	}
}

// TestLoadStops ends at once with its context, and with every client.
func TestLoadStops(t *testing.T) {
	t.Parallel()
	for _, load := range []Load{{Orders: 1_000_000, Clients: 8}, {Rate: 100, Duration: time.Hour, Clients: 8}} {
		ctx, stop := context.WithCancel(t.Context())
		c := shop(t, func(n int64, w http.ResponseWriter) {
			if n == 20 {
				stop()
			}
			created(w)
		})
		if l := place(t, ctx, load, c); l.acceptedOrders() > 100 || !l.closed {
			t.Errorf("%d orders were accepted after the end", l.acceptedOrders())
		}
	}
}

func TestNoServer(t *testing.T) {
	c, err := newBuyer("http://127.0.0.1:1", "")
	if err != nil {
		t.Fatal(err)
	}
	if l := place(t, t.Context(), Load{Orders: 3, Clients: 1}, c); l.errors != 3 || l.first == "" {
		t.Errorf("%+v", l.counts)
	}
}
