package bench

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// dialled makes connections to a server, and counts them.
func dialled(t *testing.T, server *httptest.Server) (*connections, *atomic.Int64) {
	t.Helper()
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	c, n := newConnections(u, ""), new(atomic.Int64)
	if server.TLS != nil {
		c.dial = (&tls.Dialer{Config: server.Client().Transport.(*http.Transport).TLSClientConfig}).DialContext
	}
	dial := c.dial
	c.dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		n.Add(1)
		return dial(ctx, network, address)
	}
	t.Cleanup(func() {
		c.close()
		server.Close()
	})
	return c, n
}

func exchange(t *testing.T, c *connections, method, path, body string) (status int, answer string, err error) {
	t.Helper()
	request, err := c.encode(method, path, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	response, text, err := c.exchange(t.Context(), request)
	if err != nil {
		return 0, "", err
	}
	return response.StatusCode, string(text), nil
}

// TestConnection says the same thing many times, with and without TLS, over one connection.
func TestConnection(t *testing.T) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "text/plain")
		io.WriteString(w, r.Method+" "+r.URL.Path+" "+r.Header.Get("Content-Type")+" "+string(body))
		if len(body) > 3 {
			w.(http.Flusher).Flush() // a length that is not known before
			io.WriteString(w, strings.Repeat("!", 10_000))
		}
	})
	for _, server := range []*httptest.Server{httptest.NewServer(handler), httptest.NewTLSServer(handler)} {
		c, dials := dialled(t, server)
		for _, body := range []string{"abc", "abcd", ""} {
			want := "POST /v1/x application/json abc"
			switch body {
			case "abcd":
				want += "d" + strings.Repeat("!", 10_000)
			case "":
				want = "POST /v1/x  "
			}
			if status, answer, err := exchange(t, c, "POST", "/v1/x", body); status != 200 || answer != want {
				t.Errorf("%d %.200s, %v; want %.200s", status, answer, err, want)
			}
		}
		if n := dials.Load(); n != 1 {
			t.Errorf("%d connections, want 1", n)
		}
	}
}

// TestConnectionIsNotUsedAgain where it is unused for long, where the server says so, or after an error.
func TestConnectionIsNotUsedAgain(t *testing.T) {
	c, dials := dialled(t, httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/last":
			w.Header().Set("Connection", "close")
		case "/hang-up":
			panic(http.ErrAbortHandler)
		}
	})))
	for _, step := range []struct {
		path string
		fine bool
	}{{"/", true}, {"/hang-up", false}, {"/", true}, {"/last", true}, {"/", true}} {
		if _, _, err := exchange(t, c, "GET", step.path, ""); (err == nil) != step.fine {
			t.Errorf("%s: %v", step.path, err)
		}
	}
	if n := dials.Load(); n != 3 {
		t.Errorf("%d connections, want 3", n)
	}
	c.idle[0].used = time.Now().Add(-2 * idleLimit)
	if _, _, err := exchange(t, c, "GET", "/", ""); err != nil || dials.Load() != 4 {
		t.Errorf("%v; %d connections, want 4", err, dials.Load())
	}
}

// TestConnectionIsCut where nobody waits for the answer any more.
func TestConnectionIsCut(t *testing.T) {
	asked, over := make(chan struct{}), make(chan struct{})
	c, _ := dialled(t, httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(asked)
		<-over
	})))
	defer close(over)
	ctx, stop := context.WithCancel(t.Context())
	go func() {
		<-asked
		stop()
	}()
	request, err := c.encode("GET", "/", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.exchange(ctx, request); !errors.Is(err, context.Canceled) || len(c.idle) != 0 {
		t.Errorf("%v, and %d connections are kept", err, len(c.idle))
	}
}
