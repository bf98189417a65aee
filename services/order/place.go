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
	"github.com/go-json-experiment/json/jsontext"
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
	Items           placeItems    `json:"items"`
	PaymentMethod   string        `json:"payment_method"` // what the gateway knows it by
	ShippingAddress event.Address `json:"shipping_address"`
}

// placeItem is an item whose price has to be said: in a currency without decimals, one that is missing would be a price of nothing.
type placeItem struct {
	ProductID string        `json:"product_id"`
	Quantity  int64         `json:"quantity"`
	UnitPrice *event.Amount `json:"unit_price"`
}

// placeItems are the items of a request. No more are kept than it takes to see that there are too many: an item in memory is much larger than
// "{}" is.
type placeItems []placeItem

// UnmarshalJSONFrom reads the items up to the first that is too many, and passes over the others.
func (items *placeItems) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	if dec.PeekKind() != '[' {
		return errors.ErrUnsupported // then it is read as any list
	}
	if _, err := dec.ReadToken(); err != nil {
		return err
	}
	*items = placeItems{}
	for dec.PeekKind() != ']' {
		if err := items.next(dec); err != nil {
			return err
		}
	}
	_, err := dec.ReadToken()
	return err
}

func (items *placeItems) next(dec *jsontext.Decoder) error {
	n := len(*items)
	if n > event.MaxItems {
		return dec.SkipValue()
	}
	*items = append(*items, placeItem{})
	return json.UnmarshalDecode(dec, &(*items)[n])
}

// items are those of an order, and which prices are missing.
func (r *placeRequest) items() (items []event.Item, missing event.FieldErrors) {
	items = make([]event.Item, len(r.Items))
	for i, item := range r.Items {
		items[i] = event.Item{ProductID: item.ProductID, Quantity: item.Quantity}
		if item.UnitPrice != nil {
			items[i].UnitPrice = *item.UnitPrice
		} else if len(missing) < maxFaults {
			missing = append(missing, &event.FieldError{Pointer: fmt.Sprintf("/items/%d/unit_price", i), Detail: "is missing"})
		}
	}
	return items, missing
}

// maxFaults is how many fields that are wrong a client is told of at once.
const maxFaults = 20

// faults adds to the prices that are missing what else is wrong.
func faults(terms *event.Order, missing event.FieldErrors) event.FieldErrors {
	all := missing
	for _, f := range terms.TermFaults(maxFaults + len(missing)) {
		same := func(m *event.FieldError) bool { return m.Pointer == f.Pointer }
		if len(all) < maxFaults && !slices.ContainsFunc(missing, same) {
			all = append(all, f)
		}
	}
	return all
}

// canonical is the request in a form that does not depend on how the client wrote it.
func (r *placeRequest) canonical() ([]byte, error) { return json.Marshal(r) }

// placement is a request to place an order, on its way into the database.
type placement struct {
	order  Order
	event  *event.Event
	key    idempotencyKey
	header string // that the key came in
	answer remembered
	first  *remembered // the answer that was given before, if the key was used
}

// place answers POST /v1/orders. Where no order can be taken it says so before it reads this one: that is when there are many.
func (a api) place(c echo.Context) error {
	if err := a.gate.enter(c.Request().Context()); err != nil {
		return err
	}
	key, header, err := readKey(c)
	if err != nil {
		return err
	}
	terms, request, err := readTerms(c)
	if err != nil {
		return err
	}
	if !httpapi.CallerOf(c).Serves(terms.CustomerID) {
		return httpapi.NewProblem(http.StatusForbidden, "you may not place orders for customer %q", terms.CustomerID)
	}
	// Microseconds are what the database keeps, so the first answer and every later one agree.
	o, placed := Place(terms, time.Now().UTC().Truncate(time.Microsecond))
	response, err := json.Marshal(viewOf(o))
	if err != nil {
		return err
	}
	o.TraceParent = httpapi.TraceParent(c)
	p := &placement{
		order: o, event: firstEvent(o, o.PlacedAt, placed), key: key, header: header, answer: remembered{OrderID: o.OrderID, Response: response},
	}
	if key.key != "" {
		canonical, err := request.canonical()
		if err != nil {
			return err
		}
		p.answer.RequestHash = hashOf(canonical)
	}
	if err := a.commit(c.Request().Context(), p); errors.Is(err, flow.ErrBusy) {
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
	return a.answerPlaced(c, answer.OrderID, answer.Response)
}

// commit places an order. Where its answer has no day to be in, the runtime has not got round to making it, or the clock has leapt; then it
// is made now.
func (a api) commit(ctx context.Context, p *placement) error {
	err := a.placing.Do(ctx, p)
	if !postgres.NoPartition(err) {
		return err
	}
	if err := a.makeDays(ctx); err != nil {
		return err
	}
	return a.placing.Do(ctx, p)
}

// makeTimeout is how long clients wait for the days of answers to be made.
const makeTimeout = 5 * time.Second

// makeDays makes the days of answers, once for all who want them at the moment. They go on wanting them when the first one has gone.
func (a api) makeDays(ctx context.Context) error {
	_, err, _ := a.making.Do(answerDays.Table, func() (any, error) {
		ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), makeTimeout)
		defer stop()
		return answerDays.Make(ctx, a.db)
	})
	return err
}

// placeAll makes orders, their events and their answers true together. For those whose key was used before it does nothing but say
// what was answered then.
func placeAll(metrics *Metrics) func(context.Context, *postgres.Tx, []*placement) ([]*event.Event, error) {
	return func(ctx context.Context, tx *postgres.Tx, batch []*placement) ([]*event.Event, error) {
		fresh, err := remember(ctx, tx, batch, nil)
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
	items, missing := r.items()
	terms := event.Order{
		OrderID: event.NewID(), CustomerID: r.CustomerID, Currency: r.Currency, Items: items,
		PaymentMethod: r.PaymentMethod, ShippingAddress: r.ShippingAddress,
	}
	if len(missing) > 0 || terms.ValidateTerms() != nil {
		return terms, nil, faults(&terms, missing)
	}
	terms.TotalAmount, err = terms.Sum()
	return terms, r, err
}
