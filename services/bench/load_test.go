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
func shop(t *testing.T, answer func(n int64, w http.ResponseWriter)) *client {
	t.Helper()
	var n atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { answer(n.Add(1), w) }))
	c := newClient(server.URL, 16)
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

func run1(t *testing.T, ctx context.Context, l Load, c *client) *ledger {
	t.Helper()
	to := newLedger()
	l.run(ctx, c, newOrders(l.Total(), Mix{100}), to)
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
	l := run1(t, t.Context(), Load{Clients: 1, Rate: 100, Duration: time.Second}, c)
	if n := l.acceptedOrders(); n+l.unsent != 100 || n < 90 {
		t.Fatalf("%d accepted, %d not sent, want 100 together", n, l.unsent)
	}
	// Of 40 orders that were due while it stalled the middle one has waited for half of that.
	if waited := time.Duration(l.http.ValueAtPercentile(80)) * time.Microsecond; waited < stall/4 {
		t.Errorf("one order in five has waited for more than %s, want %s at least", waited, stall/4)
	}
}

// TestOpenLoopUnsent has a single client that never gets free.
func TestOpenLoopUnsent(t *testing.T) {
	t.Parallel()
	over := make(chan struct{})
	c := shop(t, func(n int64, w http.ResponseWriter) {
		<-over
		created(w)
	})
	time.AfterFunc(600*time.Millisecond, func() { close(over) })
	l := run1(t, t.Context(), Load{Clients: 1, Rate: 100, Duration: 500 * time.Millisecond}, c)
	if l.acceptedOrders() != 1 || l.unsent != 49 {
		t.Errorf("%d accepted, %d not sent, want 1 and 49", l.acceptedOrders(), l.unsent)
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
	l := run1(t, t.Context(), Load{Orders: 5, Clients: 1}, c)
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
		if l := run1(t, ctx, load, c); l.acceptedOrders() > 100 || !l.closed {
			t.Errorf("%d orders were accepted after the end", l.acceptedOrders())
		}
	}
}

func TestNoServer(t *testing.T) {
	c := shop(t, func(int64, http.ResponseWriter) {})
	c.base = "http://127.0.0.1:1"
	if l := run1(t, t.Context(), Load{Orders: 3, Clients: 1}, c); l.errors != 3 || l.first == "" {
		t.Errorf("%+v", l.counts)
	}
}
