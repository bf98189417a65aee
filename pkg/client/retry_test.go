package client

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

type answering = func(*http.Request) (*http.Response, error)

func TestRetries(t *testing.T) {
	fine := say(200, orderText)
	html := say(502, "<h1>Bad Gateway</h1>", "Content-Type: text/html")
	place := func(options ...CallOption) func(context.Context, *Client) error {
		return func(ctx context.Context, c *Client) error { _, err := c.PlaceOrder(ctx, asked, options...); return err }
	}
	read := func(ctx context.Context, c *Client) error { _, err := c.Order(ctx, orderID); return err }
	for _, r := range []struct {
		name    string
		answers []answering
		do      func(context.Context, *Client) error
		err     string // "" for none
	}{
		{"nothing wrong", []answering{fine}, read, ""},
		{"no answer", []answering{hangUp, hangUp, hangUp, hangUp, fine}, read, ""},
		{"no answer at all", []answering{hangUp, hangUp, hangUp, hangUp, hangUp}, read, "unexpected EOF"},
		{"half an answer", []answering{cutOff, fine}, read, ""},
		{"unavailable", []answering{refuse(503, "busy"), html, refuse(504, ""), refuse(429, "slowly"), fine}, read, ""},
		{"unavailable for long", []answering{html, html, html, html, html}, read, "502 Bad Gateway: <h1>Bad Gateway</h1>"},
		{"wants to be left alone", []answering{refuse(503, "closed", "Retry-After: 3600")}, read, "503 Service Unavailable: closed"},
		{"an order", []answering{hangUp, cutOff, refuse(503, "busy"), fine}, place(), ""},
		{"an order with a key", []answering{hangUp, fine}, place(IdempotencyKey("k")), ""},
		{"an order without a key", []answering{hangUp}, place(IdempotencyKey("")), "POST /v1/orders: unexpected EOF"},
		{"an order with a key that another request has", []answering{refuse(409, "in hand", "Retry-After: 1"), fine}, place(), ""},
		{"a conflict", []answering{refuse(409, "it has ended")}, read, "409 Conflict: it has ended"},
		{"wrong", []answering{refuse(422, "no such currency")}, place(), "422 Unprocessable Entity: no such currency"},
		{"an error of the server", []answering{refuse(500, "an error")}, read, "500 Internal Server Error: an error"},
		{"no JSON", []answering{say(200, "<html>")}, read, "is not what was expected: invalid character"},
		{"not ready", []answering{refuse(503, "not ready")}, func(ctx context.Context, c *Client) error { return c.Ready(ctx) }, "not ready"},
	} {
		t.Run(r.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServer(t, r.answers...)
				err := r.do(t.Context(), s.client())
				if r.err == "" && err != nil || r.err != "" && (err == nil || !strings.Contains(err.Error(), r.err)) {
					t.Errorf("%v, want %q", err, r.err)
				}
				if len(s.requests) != len(r.answers) {
					t.Errorf("%d requests, want %d", len(s.requests), len(r.answers))
				}
				for i, again := range s.requests {
					if key := again.Header.Get("Idempotency-Key"); key != s.requests[0].Header.Get("Idempotency-Key") || s.bodies[i] != s.bodies[0] {
						t.Errorf("request %d is another one: %q %s", i+1, key, s.bodies[i])
					}
				}
			})
		})
	}
}

// Pauses grow, differ, and are as long as the server says at least.
func TestPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, hangUp, hangUp, refuse(503, "busy", "Retry-After: 7"), hangUp, say(200, orderText))
		if _, err := s.client().Order(t.Context(), orderID); err != nil {
			t.Fatal(err)
		}
		for i, least := range []time.Duration{50 * time.Millisecond, 100 * time.Millisecond, 7200 * time.Millisecond, 400 * time.Millisecond} {
			most := least * 2
			if i == 2 {
				most = least + 200*time.Millisecond
			}
			if pause := s.at[i+1] - s.at[i]; pause < least || pause > most {
				t.Errorf("pause %d is %s, want %s to %s", i+1, pause, least, most)
			}
		}
	})
	for n, most := range map[int]time.Duration{0: 100 * time.Millisecond, 1: 100 * time.Millisecond, 100: longestPause} {
		for range 100 {
			if pause := pauseAfter(io.EOF, firstPause, n); pause < most/2 || pause > most {
				t.Fatalf("pause %d is %s, want %s to %s", n, pause, most/2, most)
			}
		}
	}
}

// The context bounds everything, and what does not fit into it is not waited for.
func TestContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithTimeout(t.Context(), 5*time.Second)
		defer stop()
		s := newServer(t, refuse(503, "busy", "Retry-After: 7"))
		if _, err := s.client().Order(ctx, orderID); StatusOf(err) != 503 || ctx.Err() != nil {
			t.Errorf("%v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(3*time.Second, cancel)
		s = newServer(t, refuse(503, "busy", "Retry-After: 7"))
		if _, err := s.client().Order(ctx, orderID); StatusOf(err) != 503 || !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
	})
}

// A server that does not answer is asked again after the timeout of an attempt; what is waited for on purpose comes on top.
func TestTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		never := func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		}
		s := newServer(t, never, say(200, orderText))
		if _, err := s.client(WithTimeout(3*time.Second)).Order(t.Context(), orderID, Wait(10*time.Second)); err != nil {
			t.Fatal(err)
		}
		if s.at[1] < 13*time.Second || s.at[1] > 14*time.Second {
			t.Errorf("asked again after %s", s.at[1])
		}
		s = newServer(t, never)
		if _, err := s.client(WithAttempts(1)).Order(t.Context(), orderID); !errors.Is(err, context.DeadlineExceeded) || time.Since(s.began) != defaultTimeout {
			t.Errorf("%v after %s", err, time.Since(s.began))
		}
	})
}

func TestProblem(t *testing.T) {
	s := newServer(t, say(422, `{"type":"https://shop.example/p","title":"Odd","status":1,"detail":"items is empty","errors":[{"pointer":"/items","detail":"is empty"},{"parameter":"x"}],"more":1}`,
		"Content-Type: application/problem+json; charset=utf-8", "Retry-After: Mon, 01 Jan 2001 00:00:00 GMT"), say(418, strings.Repeat("é", 1000)))
	_, err := s.client().PlaceOrder(t.Context(), asked)
	var p *Problem
	if !errors.As(err, &p) || p.Type != "https://shop.example/p" || p.Title != "Odd" || p.Status != 422 || len(p.Errors) != 2 ||
		p.Errors[0] != (FieldError{Pointer: "/items", Detail: "is empty"}) || p.Errors[1].Parameter != "x" || p.RetryAfter != 0 {
		t.Errorf("%#v", p)
	}
	if want := "POST /v1/orders: 422 Odd: items is empty"; err.Error() != want {
		t.Errorf("%q, want %q", err, want)
	}
	if _, err = s.client().PlaceOrder(t.Context(), asked); !errors.As(err, &p) || p.Type != "about:blank" || p.Title != "I'm a teapot" || len(p.Detail) != mostText {
		t.Errorf("%#v", p)
	}
	if n := StatusOf(io.EOF); n != 0 {
		t.Errorf("status of another error is %d", n)
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"": 0, "0": 0, "1": time.Second, "120": 2 * time.Minute, "-1": 0, "1.5": 0, "99999999999": 0, "soon": 0,
		"Mon, 04 May 2026 03:02:31 GMT": 30 * time.Second, "Mon, 04 May 2026 03:02:00 GMT": 0,
	} {
		if got := retryAfter(text, now); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}
