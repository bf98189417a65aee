package order

import (
	"context"
	"io"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"orderflow/pkg/event"
	"orderflow/pkg/httpapi"
)

const (
	answerLimit = 5 * time.Second // for reading an order after a wait
	maxIgnored  = 64 << 10        // bytes of a body that says nothing
)

// awaitEnd waits, if the client prefers that, until an order has ended, the client's time is over or the server stops. It returns the order as
// it is then, and says in the answer's header that it has waited.
func (a api) awaitEnd(c echo.Context, o Order) (Order, error) {
	wait, preferred := httpapi.Wait(c.Request().Header)
	if !preferred {
		return o, nil
	}
	if !o.Status.Ended() {
		io.Copy(io.Discard, http.MaxBytesReader(c.Response(), c.Request().Body, maxIgnored)) // behind it the server sees whether the client goes
		stop, err := httpapi.Linger(c, wait)
		if err != nil {
			return o, nil // it is a preference, and no more
		}
		defer stop()
		w := a.live.watch(o.OrderID, false)
		defer w.close()
		w.untilEnd(c.Request().Context(), wait)
		ctx, cancel := context.WithTimeout(c.Request().Context(), answerLimit)
		defer cancel()
		now, err := byID(ctx, a.db, o.OrderID)
		if err != nil {
			return o, err
		}
		o = now
	}
	httpapi.ApplyWait(c.Response().Header(), wait)
	return o, nil
}

// untilEnd waits until the order has ended, for a time, and no longer than the request and the server last.
func (w *watcher) untilEnd(ctx context.Context, wait time.Duration) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		timeline, changed := w.known()
		if over(timeline) {
			return
		}
		select {
		case <-changed:
		case <-timer.C:
			return
		case <-httpapi.Stopping(ctx).Done():
			return
		case <-ctx.Done():
			return
		}
	}
}

// answerPlaced answers a request to place an order: with the first answer to it, or after a wait with the order as it is then. The order is
// placed in any case, so where it cannot be read, the first answer stands.
func (a api) answerPlaced(c echo.Context, id uuid.UUID, first []byte) error {
	c.Response().Header().Set(echo.HeaderLocation, "/v1/orders/"+id.String())
	if o, err := a.awaitEnd(c, Order{Order: event.Order{OrderID: id}}); err == nil && o.Version > 0 {
		return answer(c, http.StatusCreated, o)
	}
	c.Response().Header().Set("ETag", tagOf(1))
	return c.Blob(http.StatusCreated, echo.MIMEApplicationJSON, slices.Concat(first, []byte("\n")))
}

// tagOf is the entity tag of a version.
func tagOf(version int64) string { return strconv.Quote(strconv.FormatInt(version, 10)) }

// answer answers with an order.
func answer(c echo.Context, status int, o Order) error {
	c.Response().Header().Set("ETag", tagOf(o.Version))
	return httpapi.JSON(c, status, viewOf(o))
}
