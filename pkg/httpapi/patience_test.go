package httpapi

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
)

// lingering serves one request whose handler lingers, and returns how it goes on.
func lingering(t *testing.T, method string) (requests <-chan context.Context, leave, stop func(), ended <-chan error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	arrived, done := make(chan context.Context, 1), make(chan error, 1)
	e := echo.New()
	e.Use(limitTime)
	e.Any("/", func(c echo.Context) error {
		if _, limited := c.Request().Context().Deadline(); !limited {
			t.Error("a request has no deadline")
		}
		slot := 0
		c.Set(slotKey, func() bool { slot++; return true })
		stop, err := Linger(c, 0)
		if err != nil {
			return err
		}
		defer stop()
		if _, limited := c.Request().Context().Deadline(); limited || slot != 1 {
			t.Errorf("a request that lingers has a deadline: %v; its slot was given back %d times", limited, slot)
		}
		arrived <- c.Request().Context()
		select {
		case <-c.Request().Context().Done():
		case <-Stopping(c.Request().Context()).Done():
		}
		return c.NoContent(http.StatusNoContent)
	})
	serving, stopServing := context.WithCancel(t.Context())
	served := make(chan struct{})
	go func() { done <- Serve(serving, e, l, time.Minute); close(served) }()
	ctx, leave := context.WithCancel(t.Context())
	asked := make(chan struct{})
	go func() {
		defer close(asked)
		request, _ := http.NewRequestWithContext(ctx, method, "http://"+l.Addr().String()+"/", nil)
		if answer, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(request); err == nil {
			answer.Body.Close()
		}
	}()
	t.Cleanup(func() { leave(); stopServing(); <-asked; <-served })
	return arrived, leave, stopServing, done
}

func TestLingerUntilTheClientGoes(t *testing.T) {
	requests, leave, _, _ := lingering(t, http.MethodGet)
	ctx := <-requests
	leave()
	<-ctx.Done()
}

func TestLingerUntilTheServerStops(t *testing.T) {
	requests, _, stop, ended := lingering(t, http.MethodPost)
	<-requests
	stop()
	if err := <-ended; err != nil {
		t.Errorf("who waits holds the server up: %v", err)
	}
}

func TestNoServerStops(t *testing.T) {
	if Stopping(t.Context()).Err() != nil {
		t.Error("a server that is not there stops")
	}
}

// A client that does not read its answer does not keep its slot.
func TestStalledReader(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	e := echo.New()
	e.Use(limitTime)
	e.GET("/", func(c echo.Context) error {
		_, err := c.Response().Write(make([]byte, 64<<20)) // more than fits into the connection
		ended <- err
		return err
	})
	serving, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- Serve(serving, e, l, time.Minute) }()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := client.Write([]byte("GET / HTTP/1.1\r\nHost: here\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the answer that nobody reads ended by %v", err)
	}
	stop()
	if err := <-served; err != nil {
		t.Error(err)
	}
}
