package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
)

type (
	unlimitedKey struct{} // the request's context without a deadline
	servingKey   struct{} // a context that ends when the server stops
)

// limitTime gives each request a deadline, and keeps its context without one for those who linger.
func limitTime(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		ctx, stop := context.WithTimeout(context.WithValue(r.Context(), unlimitedKey{}, r.Context()), requestTimeout)
		defer stop()
		c.SetRequest(r.WithContext(ctx))
		return next(c)
	}
}

// Linger is for a handler that waits on purpose: neither the request's deadline nor that of its connection ends it any more, and its slot
// among the requests that are worked on is given back. What is left of the body is to come within atMost; 0 is for requests without one. The
// request's context still ends when the client goes, and when stop is called. Whoever lingers heeds Stopping.
func Linger(c echo.Context, atMost time.Duration) (stop func()) {
	before := c.Request()
	ctx, end := context.WithCancel(context.WithoutCancel(before.Context()))
	gone := func() bool { return true }
	if unlimited, known := ctx.Value(unlimitedKey{}).(context.Context); known {
		gone = context.AfterFunc(unlimited, end)
	}
	c.SetRequest(before.WithContext(ctx))
	// At its read deadline a server calls a client gone that has nothing to say.
	var deadline time.Time
	if atMost > 0 {
		deadline = time.Now().Add(atMost + requestTimeout)
	}
	http.NewResponseController(c.Response()).SetReadDeadline(deadline) // an error is that of a connection that has none
	if wait, held := c.Get(slotKey).(func()); held {
		wait()
	}
	return func() {
		gone()
		end()
		c.SetRequest(before)
	}
}

// Stopping is a context that ends when the server of a request stops: then all requests are to come to an end.
func Stopping(ctx context.Context) context.Context {
	if serving, known := ctx.Value(servingKey{}).(context.Context); known {
		return serving
	}
	return context.Background()
}
