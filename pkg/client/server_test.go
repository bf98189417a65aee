package client

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// server answers without a network, so that tests need not wait for what takes time: each request by the next of its answers.
type server struct {
	t        *testing.T
	answers  []func(*http.Request) (*http.Response, error)
	requests []*http.Request
	bodies   []string
	at       []time.Duration // when the requests came
	began    time.Time
}

func newServer(t *testing.T, answers ...func(*http.Request) (*http.Response, error)) *server {
	return &server{t: t, answers: answers, began: time.Now()}
}

func (s *server) client(options ...Option) *Client {
	s.t.Helper()
	c, err := New("http://orderflow.test/api/", append([]Option{WithHTTPClient(&http.Client{Transport: s})}, options...)...)
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

// RoundTrip implements http.RoundTripper.
func (s *server) RoundTrip(r *http.Request) (*http.Response, error) {
	s.t.Helper()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	i := len(s.requests)
	s.requests, s.bodies, s.at = append(s.requests, r), append(s.bodies, string(body)), append(s.at, time.Since(s.began))
	if i >= len(s.answers) {
		s.t.Fatalf("request %d is one too many: %s %s", i+1, r.Method, r.URL)
	}
	return s.answers[i](r)
}

// say answers with a status, headers such as "Name: value", and a body.
func say(status int, body string, headers ...string) func(*http.Request) (*http.Response, error) {
	return func(*http.Request) (*http.Response, error) {
		response := &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}
		for _, h := range headers {
			name, value, _ := strings.Cut(h, ": ")
			response.Header.Set(name, value)
		}
		return response, nil
	}
}

// refuse answers with problem details.
func refuse(status int, detail string, headers ...string) func(*http.Request) (*http.Response, error) {
	body := fmt.Sprintf(`{"type":"about:blank","title":%q,"status":%d,"detail":%q}`, http.StatusText(status), status, detail)
	return say(status, body, append(headers, "Content-Type: application/problem+json")...)
}

// hangUp does not answer.
func hangUp(*http.Request) (*http.Response, error) { return nil, io.ErrUnexpectedEOF }

// cutOff answers with a body that breaks off.
func cutOff(*http.Request) (*http.Response, error) {
	body := io.MultiReader(strings.NewReader(`{"order_id":`), broken{})
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(body)}, nil
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// stream answers with what write writes; the stream ends when that returns. Its context ends when the client is gone.
func stream(write func(ctx context.Context, w io.Writer)) func(*http.Request) (*http.Response, error) {
	return func(r *http.Request) (*http.Response, error) {
		out, in := io.Pipe()
		gone := context.AfterFunc(r.Context(), func() { in.CloseWithError(r.Context().Err()) })
		go func() {
			write(r.Context(), in)
			gone()
			in.Close()
		}()
		header := http.Header{"Content-Type": {"text/event-stream"}}
		return &http.Response{StatusCode: http.StatusOK, Header: header, Body: out}, nil
	}
}

// text streams what is written down.
func text(s string) func(*http.Request) (*http.Response, error) {
	return stream(func(_ context.Context, w io.Writer) { io.Copy(w, bytes.NewBufferString(s)) })
}
