package order

import (
	"bufio"
	"errors"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"orderflow/pkg/event"
)

// pipes is a listener whose connections have no buffers: what nobody reads, nobody can write.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
}

func (p pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p pipes) Close() error   { close(p.done); return nil }
func (p pipes) Addr() net.Addr { return &net.TCPAddr{} }

// moments are the first events of an order.
func moments(types ...event.Type) []moment {
	all := make([]moment, len(types))
	for i, t := range types {
		all[i] = moment{ID: event.NewID(), Type: string(t), SeenAt: time.Now()}
	}
	return all
}

// watching is a hub that nobody drives, and one who watches an order in it.
func watching(t *testing.T) (*live, *watcher) {
	t.Helper()
	l := newLive(nil, nil, NewMetrics(prometheus.NewRegistry()), nil)
	w := l.watch(event.NewID(), true)
	t.Cleanup(w.close)
	return l, w
}

// tell has a watched order get more events.
func (l *live) tell(w *watcher, all []moment) {
	l.mu.Lock()
	defer l.mu.Unlock()
	w.order.learn(all)
}

// followed serves a stream to a connection without buffers, and returns the client's end of it and why the stream ended.
func followed(t *testing.T, w *watcher, limit time.Duration, timeline []moment) (net.Conn, <-chan error) {
	t.Helper()
	client, server := net.Pipe()
	ended := make(chan error, 1)
	h := http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		s := &stream{out: out, control: http.NewResponseController(out), limit: limit, allowed: func() bool { return true }}
		ended <- s.follow(r.Context(), w, timeline)
	})
	p := pipes{make(chan net.Conn, 1), make(chan struct{})}
	p.conns <- server
	web, served := &http.Server{Handler: h}, make(chan struct{})
	go func() { web.Serve(p); close(served) }()
	t.Cleanup(func() { client.Close(); web.Close(); <-served })
	if _, err := client.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	return client, ended
}

// A client that does not read is cut off when its time is over, at the start or later.
func TestSlowReaderIsCutOff(t *testing.T) {
	l, w := watching(t)
	all := moments(event.TypeOrderPlaced, event.TypePaymentProcessed)
	_, ended := followed(t, w, 50*time.Millisecond, all[:1])
	if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a client that reads nothing: %v", err)
	}
	conn, ended := followed(t, w, 200*time.Millisecond, all[:1])
	lines := bufio.NewScanner(conn)
	for lines.Scan() && !strings.HasPrefix(lines.Text(), "data: ") {
	}
	lines.Scan()
	lines.Scan() // the end of the chunk
	l.tell(w, all)
	if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a client that does not read any more: %v", err)
	}
}

// A client that goes in the middle is no slow reader.
func TestReaderGoes(t *testing.T) {
	l, w := watching(t)
	all := moments(event.TypeOrderPlaced, event.TypePaymentProcessed)
	conn, ended := followed(t, w, limit, all[:1])
	l.tell(w, all)
	lines := bufio.NewScanner(conn)
	for lines.Scan() && lines.Text() != "event: PaymentProcessed" {
	}
	conn.Close()
	if err := <-ended; errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a client that has gone: %v", err)
	}
}

// A cursor tells apart what a client has and what it lacks, whatever the order; anything else is none.
func TestCursor(t *testing.T) {
	all := moments(event.TypeOrderPlaced, event.TypePaymentProcessed, event.TypeInventoryReserved, event.TypeShipmentCreated)
	for has := range 1 << len(all) {
		var c cursor
		for i, m := range all {
			if has>>i&1 == 1 {
				c = c.with(m.ID)
			}
		}
		got, ok := parseCursor(c.String(), all)
		if !ok || got.hasAll(all) != (has == 1<<len(all)-1) {
			t.Fatalf("%04b: %q, %v", has, c, ok)
		}
		for i, m := range all {
			if got.has(m.ID) != (has>>i&1 == 1) {
				t.Errorf("%04b has event %d: %v", has, i, got.has(m.ID))
			}
		}
	}
	one := cursor{}.with(all[0].ID).String()
	for _, wrong := range []string{cursor{}.with(uuid.New()).String(), one + one, one[:10], one + "=", "%", strings.Repeat("A", 11)} {
		if _, ok := parseCursor(wrong, all); ok {
			t.Errorf("%q is a cursor", wrong)
		}
	}
}

// Hearing of an event has an order looked at until the event is there, and no longer; what does not matter to those who watch is not heard.
func TestHear(t *testing.T) {
	l, w := watching(t)
	o := w.order
	busy := func() bool { _, is := l.busy[o]; return is }
	all := moments(event.TypeOrderPlaced, event.TypePaymentProcessed)
	o.unsure = time.Time{}
	o.learn(all[:1])
	l.settle(o, time.Now())
	if busy() {
		t.Error("an order is looked at again for nothing")
	}
	l.hear(event.TypePaymentProcessed, all[1].ID, event.NewID())
	l.hear("LoyaltyPointsGranted", event.NewID(), o.orderID)
	l.hear(event.TypeOrderPlaced, all[0].ID, o.orderID)
	if busy() {
		t.Error("an order is looked at for what it has, or never will")
	}
	l.hear(event.TypePaymentProcessed, all[1].ID, o.orderID)
	pauses := []time.Duration{time.Until(o.next)}
	for looked := o.next; busy(); looked = o.next {
		l.settle(o, looked)
		pauses = append(pauses, o.next.Sub(looked))
	}
	pauses = pauses[:len(pauses)-1] // then it was left to the sweep
	if first, last := pauses[0], pauses[len(pauses)-1]; first > 2*beat || last > sweepEvery || last < sweepEvery/4 || len(o.awaited) > 0 {
		t.Errorf("an order whose event does not come is looked at after %s", pauses)
	}
	l.hear(event.TypePaymentProcessed, all[1].ID, o.orderID)
	_, changed := w.known()
	l.tell(w, all)
	l.settle(o, time.Now())
	select {
	case <-changed:
	default:
		t.Error("nobody is told")
	}
	if timeline, _ := w.known(); busy() || len(timeline) != 2 {
		t.Errorf("busy %v with %+v", busy(), timeline)
	}
}

// Who waits for an order's end does not have it looked at at each step.
func TestHearOfTheEnd(t *testing.T) {
	l := newLive(nil, nil, NewMetrics(prometheus.NewRegistry()), nil)
	w := l.watch(event.NewID(), false)
	defer w.close()
	l.settle(w.order, time.Now())
	if l.hear(event.TypePaymentProcessed, event.NewID(), w.order.orderID); len(l.busy) > 0 {
		t.Error("an order is looked at for what is not its end")
	}
	if l.hear(event.TypeOrderShipped, event.NewID(), w.order.orderID); len(l.busy) == 0 {
		t.Error("an order is not looked at when it has ended")
	}
}
