package order

import (
	"cmp"
	"encoding/base64"
	"net/http"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/labstack/echo/v4"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/sync/singleflight"

	"orderflow/pkg/event"
	"orderflow/pkg/flow"
	"orderflow/pkg/httpapi"
	"orderflow/pkg/postgres"
	"orderflow/pkg/telemetry"
)

type api struct {
	db      *pgxpool.Pool
	runtime *flow.Service
	placing *flow.Group[*placement]
	gate    *gate
	live    *live
	making  *singleflight.Group // of answerDays
}

// view is an order as clients see it.
type view struct {
	OrderID         uuid.UUID          `json:"order_id"`
	Status          Status             `json:"status"`
	CancelReason    event.CancelReason `json:"cancel_reason,omitempty"` // why it is cancelling, or cancelled
	CustomerID      string             `json:"customer_id"`
	Currency        string             `json:"currency"`
	TotalAmount     event.Amount       `json:"total_amount"` // what the items add up to
	Items           []event.Item       `json:"items"`
	PaymentMethod   string             `json:"payment_method"`
	ShippingAddress event.Address      `json:"shipping_address"`
	PlacedAt        time.Time          `json:"placed_at"`
	UpdatedAt       time.Time          `json:"updated_at"`
	Version         int64              `json:"version"` // grows with each change
}

func viewOf(o Order) view {
	return view{
		OrderID: o.OrderID, Status: o.Status, CancelReason: o.CancelReason, CustomerID: o.CustomerID, Currency: o.Currency,
		TotalAmount: o.TotalAmount, Items: o.Items, PaymentMethod: o.PaymentMethod, ShippingAddress: o.ShippingAddress,
		PlacedAt: o.PlacedAt.UTC(), UpdatedAt: o.UpdatedAt.UTC(), Version: o.Version,
	}
}

// firstEvent is the event that a request about an order gives rise to, in the order's trace.
func firstEvent(o Order, now time.Time, fact event.Payload) *event.Event {
	e := event.New(Name, now, fact.Subject().String(), fact)
	e.TraceParent = o.TraceParent
	return e
}

// get answers GET /v1/orders/{id}. A client that has the order as it is, after a wait if it prefers one, is told so.
func (a api) get(c echo.Context) error {
	id, err := httpapi.PathID(c, "order_id", "order")
	if err != nil {
		return err
	}
	o, err := byID(c.Request().Context(), a.db, id)
	if err != nil {
		return notFound(err, id)
	}
	if !httpapi.CallerOf(c).Serves(o.CustomerID) {
		return noOrder(id)
	}
	if o, err = a.awaitEnd(c, o); err != nil {
		return err
	}
	if tag := tagOf(o.Version); httpapi.NotModified(c.Request().Header, tag) {
		return unchanged(c, tag)
	}
	return answer(c, http.StatusOK, o)
}

// unchanged answers that the client has what it asks for.
func unchanged(c echo.Context, tag string) error {
	c.Response().Header().Set("ETag", tag)
	return c.NoContent(http.StatusNotModified)
}

// list answers GET /v1/orders, newest first.
func (a api) list(c echo.Context) error {
	limit, err := httpapi.QueryLimit(c)
	if err != nil {
		return err
	}
	status, err := httpapi.QueryOneOf(c, "status", string(Placed), string(Paid), string(Reserved), string(Shipped), string(Cancelling), string(Cancelled))
	if err != nil {
		return err
	}
	customer, err := httpapi.QueryText(c, "customer_id", maxCustomerID)
	if err != nil {
		return err
	}
	before, err := readCursor(c.QueryParam("cursor"))
	if err != nil {
		return err
	}
	f := filter{customers: customersOf(httpapi.CallerOf(c), customer), status: Status(status), before: before}
	orders, err := page(c.Request().Context(), a.db, f, limit+1)
	if err != nil {
		return err
	}
	next := ""
	if len(orders) > limit {
		orders = orders[:limit]
		next = cursorAfter(orders[limit-1].OrderID)
	}
	views := make([]view, len(orders))
	for i, o := range orders {
		views[i] = viewOf(o)
	}
	return httpapi.JSON(c, http.StatusOK, orderPage{views, next})
}

// customersOf are those whose orders a caller sees, of one customer if that is named; nil is everybody.
func customersOf(caller *httpapi.Caller, named string) []string {
	switch {
	case named == "":
		return caller.Customers
	case !caller.Serves(named):
		return []string{}
	}
	return []string{named}
}

// cursorAfter is where the page begins that follows an order.
func cursorAfter(id uuid.UUID) string { return base64.RawURLEncoding.EncodeToString(id[:]) }

// readCursor returns the order that a cursor comes after; without a cursor, none.
func readCursor(cursor string) (uuid.UUID, error) {
	if cursor == "" {
		return uuid.Nil, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(cursor)
	if id, isID := uuid.FromBytes(raw); err == nil && isID == nil && cursorAfter(id) == cursor {
		return id, nil
	}
	return uuid.Nil, httpapi.InvalidCursor(cursor)
}

// cancel answers POST /v1/orders/{id}/cancel. It passes the wish on; shipping decides.
func (a api) cancel(c echo.Context) error {
	id, err := httpapi.PathID(c, "order_id", "order")
	if err != nil {
		return err
	}
	ctx, caller := c.Request().Context(), httpapi.CallerOf(c)
	var o *Order
	var inTrace trace.Span
	err = a.runtime.Transact(ctx, func(tx *postgres.Tx) ([]*event.Event, error) {
		if o, err = lockByID(ctx, tx, id); err != nil {
			return nil, err
		}
		if o == nil || !caller.Serves(o.CustomerID) {
			return nil, noOrder(id)
		}
		now := time.Now().UTC().Truncate(time.Microsecond)
		next, wish, ok := o.Cancel(now)
		if !ok {
			return nil, httpapi.NewProblem(http.StatusConflict, "order %s has ended, it is %s", id, o.Status)
		}
		*o = next
		if wish == nil {
			return nil, nil
		}
		update(tx, map[uuid.UUID]*Order{id: o})
		events := []*event.Event{firstEvent(*o, now, wish)}
		events[0].TraceParent = cmp.Or(o.TraceParent, httpapi.TraceParent(c))
		if inTrace = telemetry.Join(ctx, o.TraceParent, "cancel order"); inTrace != nil {
			events[0].TraceParent = telemetry.TraceParent(inTrace)
		}
		return events, note(tx, events)
	})
	telemetry.End(inTrace, err)
	if err != nil {
		return err
	}
	if now, err := a.awaitEnd(c, *o); err == nil { // else the wish is passed on all the same
		*o = now
	}
	return answer(c, http.StatusAccepted, *o)
}

// events answers GET /v1/orders/{id}/events. A timeline only grows, so the number of its events tells whether it has changed.
func (a api) events(c echo.Context) error {
	id, err := httpapi.PathID(c, "order_id", "order")
	if err != nil {
		return err
	}
	ctx, header := c.Request().Context(), c.Request().Header
	if caller := httpapi.CallerOf(c); caller.Customers != nil {
		o, err := byID(ctx, a.db, id)
		if err != nil || !caller.Serves(o.CustomerID) {
			return notFound(cmp.Or(err, pgx.ErrNoRows), id)
		}
	}
	c.Response().Header().Set(echo.HeaderVary, echo.HeaderAccept)
	if httpapi.Prefers(header, eventStream, echo.MIMEApplicationJSON) {
		return a.streamEvents(c, id)
	}
	moments, err := timeline(ctx, a.db, id)
	if err != nil {
		return err
	}
	if len(moments) == 0 { // every order has at least the event of its placing
		return noOrder(id)
	}
	tag := tagOf(int64(len(moments)))
	if httpapi.NotModified(header, tag) {
		return unchanged(c, tag)
	}
	c.Response().Header().Set("ETag", tag)
	return httpapi.JSON(c, http.StatusOK, timelineAnswer{moments})
}

func notFound(err error, id uuid.UUID) error {
	if postgres.NoRows(err) {
		return noOrder(id)
	}
	return err
}

func noOrder(id uuid.UUID) error {
	return httpapi.NewProblem(http.StatusNotFound, "there is no order %s", id)
}
