package main_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// sent is one server-sent event.
type sent struct{ id, kind, data string }

// listener is a client that listens to the timeline of an order.
type listener struct {
	answer *http.Response
	events chan sent  // closed at the end of the stream
	ended  chan error // gets why the stream has ended, nil where the server has ended it in good order
	stop   func()
}

// listen asks for the timeline of an order as a stream, from after the event with that id on.
func listen(t testing.TB, c *client, order, after string) *listener {
	t.Helper()
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+"/v1/orders/"+order+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Accept", "text/event-stream")
	if after != "" {
		request.Header.Set("Last-Event-ID", after)
	}
	answer, err := (&http.Client{Transport: c.http.Transport}).Do(request) // without its limit of time
	if err != nil {
		t.Fatal(err)
	}
	l := &listener{answer: answer, events: make(chan sent, 100), ended: make(chan error, 1), stop: stop}
	if answer.StatusCode != http.StatusOK || answer.Header.Get("Content-Type") != "text/event-stream" {
		answer.Body.Close()
		stop()
		close(l.events)
		return l
	}
	gone := make(chan struct{})
	go func() { l.read(); close(gone) }()
	t.Cleanup(func() { stop(); <-gone })
	return l
}

// read reads events until the stream ends.
func (l *listener) read() {
	defer close(l.events)
	defer l.answer.Body.Close()
	lines, e := bufio.NewReader(l.answer.Body), sent{}
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			if err == io.EOF {
				err = nil
			}
			l.ended <- err
			return
		}
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch name {
		case "id":
			e.id = value
		case "event":
			e.kind = value
		case "data":
			e.data += value
		case "":
			if e != (sent{}) {
				l.events <- e
			}
			e = sent{}
		}
	}
}

// next waits for the next event; it is false at the end of the stream.
func (l *listener) next(t testing.TB) (sent, bool) {
	t.Helper()
	select {
	case e, open := <-l.events:
		return e, open
	case <-time.After(limit):
		t.Fatal("the stream says nothing")
		return sent{}, false
	}
}

// until reads events until one of a type has come; all of them, where there is none before the end of the stream.
func (l *listener) until(t testing.TB, kind string) (events []sent) {
	t.Helper()
	for {
		e, open := l.next(t)
		if open {
			events = append(events, e)
		}
		if !open || e.kind == kind {
			return events
		}
	}
}

func kindsOf(events []sent) []string {
	all := make([]string, len(events))
	for i, e := range events {
		all[i] = e.kind
	}
	return all
}

// gauge reads a metric without labels.
func gauge(t testing.TB, c *client, name string) float64 {
	t.Helper()
	for line := range strings.Lines(string(c.call(t, http.MethodGet, "/metrics", nil).body)) {
		if text, found := strings.CutPrefix(line, name+" "); found {
			value, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
			if err != nil {
				t.Fatal(err)
			}
			return value
		}
	}
	t.Fatalf("there is no metric %s", name)
	return 0
}

// watchers waits until so many requests wait or listen.
func watchers(t testing.TB, c *client, n int) {
	t.Helper()
	eventually(t, "watchers", func() error {
		if got := gauge(t, c, "orderflow_order_watchers"); got != float64(n) {
			return fmt.Errorf("there are %v, want %d", got, n)
		}
		return nil
	})
}
