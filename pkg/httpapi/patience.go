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

// limitTime gives each request a deadline, and keeps its context without one for those who linger. The answer has a later one: a client that
// does not read is not waited for.
func limitTime(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		http.NewResponseController(c.Response()).SetWriteDeadline(time.Now().Add(requestTimeout + answerTimeout)) // not for a recorder in a test
		ctx, stop := context.WithTimeout(context.WithValue(r.Context(), unlimitedKey{}, r.Context()), requestTimeout)
		defer stop()
		c.SetRequest(r.WithContext(ctx))
		return next(c)
	}
}

// Linger is for a handler that waits on purpose: neither the request's deadline nor those of its connection end it any more, and it moves to
// the slots of those who wait; the error says that there is none. It may last for atMost; 0 is any time, and then the handler sets a
// deadline for each part of its answer. The request's context still ends when the client goes, and when stop is called. Whoever lingers heeds
// Stopping.
func Linger(c echo.Context, atMost time.Duration) (stop func(), err error) {
	if wait, limited := c.Get(slotKey).(func() bool); limited && !wait() {
		return nil, Unavailable("as many wait or listen as may")
	}
	c.Set(lingersKey, true)
	before := c.Request()
	ctx, end := context.WithCancel(context.WithoutCancel(before.Context()))
	gone := func() bool { return true }
	if unlimited, known := ctx.Value(unlimitedKey{}).(context.Context); known {
		gone = context.AfterFunc(unlimited, end)
	}
	c.SetRequest(before.WithContext(ctx))
	setDeadlines(c, atMost)
	return func() {
		gone()
		end()
		c.SetRequest(before)
	}, nil
}

// setDeadlines lets the connection last for atMost, or for any time. At its read deadline a server calls a client gone that has nothing to say;
// one that still has to send a body is not waited for without end.
func setDeadlines(c echo.Context, atMost time.Duration) {
	connection, now := http.NewResponseController(c.Response()), time.Now() // an error is that of a connection that has no deadlines
	if atMost == 0 {
		connection.SetWriteDeadline(time.Time{})
	} else {
		connection.SetWriteDeadline(now.Add(atMost + requestTimeout + answerTimeout))
	}
	if body := c.Request().Body; atMost == 0 && (body == nil || body == http.NoBody) {
		connection.SetReadDeadline(time.Time{})
	} else {
		connection.SetReadDeadline(now.Add(atMost + requestTimeout))
	}
}

// Stopping is a context that ends when the server of a request stops: then all requests are to come to an end.
func Stopping(ctx context.Context) context.Context {
	if serving, known := ctx.Value(servingKey{}).(context.Context); known {
		return serving
	}
	return context.Background()
}
