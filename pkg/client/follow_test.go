package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// says is an event as the server writes it.
func says(id, kind string) string {
	return fmt.Sprintf("id: %s\nevent: %s\ndata: {\"type\":%q}\n\n", id, kind, kind)
}

// heard follows an order and lists what came, with the cursors, and the error at the end.
func heard(ctx context.Context, c *Client, options ...CallOption) (all []string, err error) {
	for e, err := range c.Follow(ctx, orderID, options...) {
		if err != nil {
			return all, err
		}
		all = append(all, string(e.Type)+"@"+e.Cursor)
	}
	return all, nil
}

func TestFollow(t *testing.T) {
	nothing := say(204, "")
	for _, f := range []struct {
		name    string
		answers []answering
		options []CallOption
		want    string // what is heard
		after   string // the Last-Event-ID of each request
		err     string
	}{
		{"until the end", []answering{text(says("1", "OrderPlaced") + says("2", "OrderShipped")), nothing}, nil,
			"OrderPlaced@1 OrderShipped@2", " 2", ""},
		{"something comes after the end", []answering{text(says("1", "OrderCancelled")), text(says("2", "PaymentVoided")), nothing}, nil,
			"OrderCancelled@1 PaymentVoided@2", " 1 2", ""},
		{"broken off", []answering{text(says("1", "OrderPlaced") + "id: 2\ndata: {\"type\":\"Paym"), text(says("2", "OrderShipped")), nothing}, nil,
			"OrderPlaced@1 OrderShipped@2", " 1 2", ""},
		{"refused for a while", []answering{refuse(503, "busy"), hangUp, refuse(429, "slowly"), text(says("1", "OrderShipped")), hangUp, nothing}, nil,
			"OrderShipped@1", "    1 1", ""},
		{"from where it was", []answering{text(says("8", "OrderShipped")), nothing}, []CallOption{After("7")}, "OrderShipped@8", "7 8", ""},
		{"had ended", []answering{nothing}, []CallOption{After("9")}, "", "9", ""},
		{"no such order", []answering{refuse(404, "there is no order")}, nil, "", "", "404 Not Found: there is no order"},
		{"away", []answering{hangUp, hangUp, hangUp, hangUp, hangUp}, nil, "", "    ", "unexpected EOF"},
		{"brings nothing", []answering{text(""), text(""), text(""), text(""), text("")}, nil, "", "    ", errClosed.Error()},
		{"no stream", []answering{say(200, "{}", "Content-Type: application/json")}, nil, "", "", `it is 200, "application/json"`},
		{"no event", []answering{text("data: x\n\n")}, nil, "", "", "not what was expected: an event"},
	} {
		t.Run(f.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServer(t, f.answers...)
				all, err := heard(t.Context(), s.client(), f.options...)
				if got := strings.Join(all, " "); got != f.want {
					t.Errorf("heard %s, want %s", got, f.want)
				}
				if f.err == "" && err != nil || f.err != "" && (err == nil || !strings.Contains(err.Error(), f.err)) {
					t.Errorf("%v, want %q", err, f.err)
				}
				var after []string
				for _, r := range s.requests {
					after = append(after, r.Header.Get("Last-Event-ID"))
					if r.Header.Get("Accept") != "text/event-stream" {
						t.Errorf("it accepts %q", r.Header.Get("Accept"))
					}
				}
				if got := strings.Join(after, " "); got != f.after || len(s.requests) != len(f.answers) {
					t.Errorf("asked after %q, want %q", got, f.after)
				}
			})
		})
	}
}

// A connection without heartbeats is dead; one with heartbeats is not, however long nothing else comes.
func TestFollowSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t,
			stream(func(ctx context.Context, w io.Writer) {
				io.WriteString(w, says("1", "OrderPlaced"))
				for range 1000 {
					rest(ctx, 15*time.Second)
					io.WriteString(w, ": heartbeat\n\n")
				}
				<-ctx.Done()
			}),
			func(r *http.Request) (*http.Response, error) { // not even an answer
				<-r.Context().Done()
				return nil, r.Context().Err()
			},
			text(says("2", "OrderShipped")), say(204, ""))
		all, err := heard(t.Context(), s.client(WithSilence(40*time.Second)))
		if err != nil || fmt.Sprint(all) != "[OrderPlaced@1 OrderShipped@2]" {
			t.Errorf("%v, %v", all, err)
		}
		lived := 1000*15*time.Second + 40*time.Second
		if at := s.at[1]; at < lived || at > lived+time.Second {
			t.Errorf("connected again after %s, want %s", at, lived)
		}
		if waited := s.at[2] - s.at[1]; waited < 40*time.Second || waited > 42*time.Second {
			t.Errorf("waited for an answer for %s", waited)
		}
	})
}

// Who takes time for an event does not make the connection look dead.
func TestFollowSlowly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, text(says("1", "OrderPlaced")+says("2", "OrderShipped")), say(204, ""))
		n := 0
		for _, err := range s.client().Follow(t.Context(), orderID) {
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Hour) // of the bubble's own clock: it takes no time, and is what is tried
			n++
		}
		if n != 2 || len(s.requests) != 2 {
			t.Errorf("%d events by %d requests", n, len(s.requests))
		}
	})
}

// The server says how long to wait before a connection is made again.
func TestFollowRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, text("retry: 8000\n\n"+says("1", "OrderPlaced")), hangUp, text(says("2", "OrderShipped")), say(204, ""))
		if _, err := heard(t.Context(), s.client()); err != nil {
			t.Fatal(err)
		}
		if first, second := s.at[1], s.at[2]-s.at[1]; first < 4*time.Second || first > 8*time.Second || second < 4*time.Second || second > 8*time.Second {
			t.Errorf("pauses of %s and %s, want 4s to 8s", first, second)
		}
		if at := s.at[3] - s.at[2]; at > 0 {
			t.Errorf("after the end it has paused for %s", at)
		}
	})
}

// Who breaks off, or whose context ends, leaves nothing behind.
func TestFollowStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		forever := stream(func(ctx context.Context, w io.Writer) {
			for i := 0; ctx.Err() == nil; i++ {
				io.WriteString(w, says(fmt.Sprint(i), "OrderPlaced"))
				rest(ctx, time.Second)
			}
		})
		s := newServer(t, forever, forever)
		for range s.client().Follow(t.Context(), orderID) {
			break
		}
		ctx, stop := context.WithTimeout(t.Context(), 2500*time.Millisecond)
		defer stop()
		all, err := heard(ctx, s.client())
		if !errors.Is(err, context.DeadlineExceeded) || !slices.Equal(all, []string{"OrderPlaced@0", "OrderPlaced@1", "OrderPlaced@2"}) {
			t.Errorf("%v, %v", all, err)
		}
	})
}

func TestMessages(t *testing.T) {
	text := ": a comment\r\n\nretry: 5\n\ndata:  two \ndata\ndata:x:y\nid: 7\nevent: ignored\nother: z\n\n" +
		"id: 8\x00\ndata: same id\n\nretry: soon\nid\ndata: no id\n\nid: 9\ndata: cut off"
	s := newMessages(strings.NewReader(text), "6", func() {})
	var got []string
	for {
		m, err := s.next()
		if err != nil {
			if err != io.EOF {
				t.Error(err)
			}
			break
		}
		got = append(got, fmt.Sprintf("%q %s %s", m.data, m.id, m.retry))
	}
	want := []string{`"" 6 0s`, `"" 6 5ms`, `" two \n\nx:y" 7 0s`, `"same id" 7 0s`, `"no id"  0s`}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	s = newMessages(strings.NewReader("data: "+strings.Repeat("x", maxLine)), "", func() {})
	if _, err := s.next(); err == nil || err == io.EOF {
		t.Errorf("a line that is too long: %v", err)
	}
}

func FuzzMessages(f *testing.F) {
	f.Add("id: 1\ndata: {}\n\n")
	f.Add("data\ndata\n\nretry: 1\r\n\r\n: \n")
	f.Fuzz(func(t *testing.T, text string) {
		s := newMessages(strings.NewReader(text), "", func() {})
		for n := 0; ; n++ {
			if _, err := s.next(); err != nil {
				return
			}
			if n > len(text) {
				t.Fatal("more messages than bytes")
			}
		}
	})
}
