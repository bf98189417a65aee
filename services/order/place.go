package order

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/labstack/echo/v4"

	"orderflow/pkg/event"
	"orderflow/pkg/flow"
	"orderflow/pkg/httpapi"
	"orderflow/pkg/postgres"
)

// placeRequest is what a customer says.
type placeRequest struct {
	CustomerID      string        `json:"customer_id"`
	Currency        string        `json:"currency"` // by ISO 4217
	Items           []placeItem   `json:"items"`
	PaymentMethod   string        `json:"payment_method"` // what the gateway knows it by
	ShippingAddress event.Address `json:"shipping_address"`
}

// placeItem is an item whose price has to be said: in a currency without decimals, one that is missing would be a price of nothing.
type placeItem struct {
	ProductID string        `json:"product_id"`
	Quantity  int64         `json:"quantity"`
	UnitPrice *event.Amount `json:"unit_price"`
}

// items are those of an order.
func (r *placeRequest) items() ([]event.Item, error) {
	items := make([]event.Item, len(r.Items))
	for i, item := range r.Items {
		if item.UnitPrice == nil {
			return nil, &event.FieldError{Pointer: fmt.Sprintf("/items/%d/unit_price", i), Detail: "is missing"}
		}
		items[i] = event.Item{ProductID: item.ProductID, Quantity: item.Quantity, UnitPrice: *item.UnitPrice}
	}
	return items, nil
}

// canonical is the request in a form that does not depend on how the client wrote it.
func (r *placeRequest) canonical() ([]byte, error) { return json.Marshal(r) }

// placement is a request to place an order, on its way into the database.
type placement struct {
	order  Order
	event  *event.Event
	key    string // "" is none
	answer remembered
	first  *remembered // the answer that was given before, if the key was used
}

// place answers POST /v1/orders. Where no order can be taken it says so before it reads this one: that is when there are many.
func (a api) place(c echo.Context) error {
	if err := a.gate.enter(c.Request().Context()); err != nil {
		return err
	}
	key := c.Request().Header.Get("Idempotency-Key")
	if err := checkKey(key); err != nil {
		return err
	}
	terms, request, err := readTerms(c)
	if err != nil {
		return err
	}
	// Microseconds are what the database keeps, so the first answer and every later one agree.
	o, placed := Place(terms, time.Now().UTC().Truncate(time.Microsecond))
	response, err := json.Marshal(viewOf(o))
	if err != nil {
		return err
	}
	p := &placement{
		order: o, event: firstEvent(c, o.PlacedAt, placed), key: key, answer: remembered{OrderID: o.OrderID, Response: response},
	}
	if key != "" {
		canonical, err := request.canonical()
		if err != nil {
			return err
		}
		p.answer.RequestHash = hashOf(canonical)
	}
	if err := a.placing.Do(c.Request().Context(), p); errors.Is(err, flow.ErrBusy) {
		return a.gate.refuse(&a.gate.busy, err.Error())
	} else if errors.Is(err, flow.ErrStopped) {
		return httpapi.Unavailable(err.Error())
	} else if err != nil {
		return err
	}
	answer := p.answer
	if p.first == nil {
		a.gate.accepted()
	} else {
		if !bytes.Equal(p.first.RequestHash, answer.RequestHash) {
			return httpapi.NewProblem(http.StatusUnprocessableEntity, "this Idempotency-Key was used for another order before")
		}
		answer = *p.first
		c.Response().Header().Set("Idempotency-Replayed", "true")
	}
	c.Response().Header().Set(echo.HeaderLocation, "/v1/orders/"+answer.OrderID.String())
	return c.Blob(http.StatusCreated, echo.MIMEApplicationJSON, slices.Concat(answer.Response, []byte("\n")))
}

// placeAll makes orders, their events and their answers true together. For those whose key was used before it does nothing but say
// what was answered then.
func placeAll(metrics *Metrics) func(context.Context, *postgres.Tx, []*placement) ([]*event.Event, error) {
	return func(ctx context.Context, tx *postgres.Tx, batch []*placement) ([]*event.Event, error) {
		fresh, err := remember(ctx, tx, batch)
		if err != nil || len(fresh) == 0 {
			return nil, err
		}
		orders, events := make([]Order, len(fresh)), make([]*event.Event, len(fresh))
		for i, p := range fresh {
			orders[i], events[i] = p.order, p.event
		}
		if err := insert(tx, orders); err != nil {
			return nil, err
		}
		tx.OnCommit(func() { metrics.placed(len(fresh)) })
		return events, note(tx, events)
	}
}

// readTerms reads and checks a request to place an order.
func readTerms(c echo.Context) (event.Order, *placeRequest, error) {
	body, err := httpapi.Body(c)
	if err != nil {
		return event.Order{}, nil, err
	}
	r := new(placeRequest)
	if err := httpapi.Decode(body, r); err != nil {
		return event.Order{}, nil, err
	}
	items, err := r.items()
	if err != nil {
		return event.Order{}, nil, err
	}
	terms := event.Order{
		OrderID: event.NewID(), CustomerID: r.CustomerID, Currency: r.Currency, Items: items,
		PaymentMethod: r.PaymentMethod, ShippingAddress: r.ShippingAddress,
	}
	if err := terms.ValidateTerms(); err != nil {
		return terms, nil, err
	}
	terms.TotalAmount, err = terms.Sum()
	return terms, r, err
}
