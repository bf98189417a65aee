package client

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"time"

	"github.com/google/uuid"
)

// OrderRequest is what a customer orders.
type OrderRequest struct {
	CustomerID      string  `json:"customer_id"`
	Currency        string  `json:"currency"` // by ISO 4217: "EUR"
	Items           []Item  `json:"items"`
	PaymentMethod   string  `json:"payment_method"`
	ShippingAddress Address `json:"shipping_address"`
}

// Item is one line of an order.
type Item struct {
	ProductID string `json:"product_id"`
	Quantity  int64  `json:"quantity"`
	UnitPrice string `json:"unit_price"` // with as many decimals as the currency has
}

// Address is where a parcel goes.
type Address struct {
	Name       string `json:"name"`
	Line1      string `json:"line1"`
	Line2      string `json:"line2,omitempty"`
	City       string `json:"city"`
	Region     string `json:"region,omitempty"`
	PostalCode string `json:"postal_code"`
	Country    string `json:"country"`
}

// Order is an order as it is at a moment.
type Order struct {
	OrderID         uuid.UUID    `json:"order_id"`
	Status          OrderStatus  `json:"status"`
	CancelReason    CancelReason `json:"cancel_reason,omitempty"` // of one that is cancelled, or about to be
	CustomerID      string       `json:"customer_id"`
	Currency        string       `json:"currency"`
	TotalAmount     string       `json:"total_amount"`
	Items           []Item       `json:"items"`
	PaymentMethod   string       `json:"payment_method"`
	ShippingAddress Address      `json:"shipping_address"`
	PlacedAt        time.Time    `json:"placed_at"`
	UpdatedAt       time.Time    `json:"updated_at"`
	Version         int64        `json:"version"` // grows with each change

	ETag string `json:"-"` // for IfNoneMatch; only Client.Order knows it
}

// OrderStatus is where an order stands. There may be others than those that are known here.
type OrderStatus string

// An order goes placed → paid → reserved → shipped, or from any of the first three by cancelling to cancelled.
const (
	OrderPlaced     OrderStatus = "placed"
	OrderPaid       OrderStatus = "paid"
	OrderReserved   OrderStatus = "reserved"
	OrderShipped    OrderStatus = "shipped"
	OrderCancelling OrderStatus = "cancelling"
	OrderCancelled  OrderStatus = "cancelled"
)

// Ended tells whether nothing more will happen to an order.
func (s OrderStatus) Ended() bool { return s == OrderShipped || s == OrderCancelled }

// CancelReason says why an order is taken back.
type CancelReason string

// The reasons there are.
const (
	ReasonPaymentFailed   CancelReason = "payment_failed"
	ReasonOutOfStock      CancelReason = "out_of_stock"
	ReasonUnknownProduct  CancelReason = "unknown_product"
	ReasonShipmentFailed  CancelReason = "shipment_failed"
	ReasonCustomerRequest CancelReason = "customer_request"
)

// PlaceOrder places an order. It may take [Wait] and [IdempotencyKey].
func (c *Client) PlaceOrder(ctx context.Context, o OrderRequest, options ...CallOption) (*Order, error) {
	body, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	options = append([]CallOption{IdempotencyKey(uuid.NewString())}, options...)
	r := newRequest(http.MethodPost, "/v1/orders", options...)
	r.body = body
	return c.order(ctx, r)
}

// Order reads an order. It may take [Wait] and [IfNoneMatch].
func (c *Client) Order(ctx context.Context, id uuid.UUID, options ...CallOption) (*Order, error) {
	return c.order(ctx, newRequest(http.MethodGet, orderPath(id), options...))
}

// CancelOrder asks for an order to be cancelled. What comes is the order as it is then, which may end otherwise: whether it is too late
// for that is decided while its parcel is booked. For one that has ended already it is a [*Problem] with status 409. It may take [Wait].
func (c *Client) CancelOrder(ctx context.Context, id uuid.UUID, options ...CallOption) (*Order, error) {
	return c.order(ctx, newRequest(http.MethodPost, orderPath(id)+"/cancel", options...))
}

func orderPath(id uuid.UUID) string { return "/v1/orders/" + id.String() }

func (c *Client) order(ctx context.Context, r *request) (*Order, error) {
	o := new(Order)
	a, err := c.call(ctx, r, o)
	if err != nil {
		return nil, err
	}
	o.ETag = a.header.Get("ETag")
	return o, nil
}

// How Await asks: the server waits, and one that does not is asked after pauses that grow.
const (
	awaitWait     = 30 * time.Second
	awaitPause    = 20 * time.Millisecond
	awaitMaxPause = time.Second
)

// Await returns an order when it has ended, or with an error what was last seen of it. An order whose message was dead-lettered waits for
// an operator, so the context should have a deadline.
func (c *Client) Await(ctx context.Context, id uuid.UUID) (*Order, error) {
	var last *Order
	for pause := awaitPause; ; pause = min(2*pause, awaitMaxPause) {
		o, err := c.Order(ctx, id, Wait(awaitWait))
		if err != nil {
			return last, err
		}
		if last = o; o.Status.Ended() {
			return o, nil
		}
		if err := rest(ctx, pause); err != nil {
			return last, err
		}
	}
}

// OrderQuery says which orders to list.
type OrderQuery struct {
	CustomerID string      // "" for those of all customers
	Status     OrderStatus // "" for any
	PageSize   int         // 0 for as many as the server likes; at most 200
	Cursor     string      // where to begin: the NextCursor of an earlier page
}

// OrderPage is a part of a list.
type OrderPage struct {
	Orders     []Order `json:"orders"`
	NextCursor string  `json:"next_cursor"` // "" at the end of the list
}

// OrderPage reads one page of orders, newest first.
func (c *Client) OrderPage(ctx context.Context, q OrderQuery) (*OrderPage, error) {
	return get[OrderPage](ctx, c, "/v1/orders"+q.encode())
}

func (q OrderQuery) encode() string {
	return query(q.PageSize, q.Cursor, "customer_id", q.CustomerID, "status", string(q.Status))
}

// Orders goes through all orders, newest first. Those that are placed meanwhile are not among them. After an error there are no more.
func (c *Client) Orders(ctx context.Context, q OrderQuery) iter.Seq2[Order, error] {
	return walk(q.Cursor, func(cursor string) ([]Order, string, error) {
		q.Cursor = cursor
		page, err := c.OrderPage(ctx, q)
		if err != nil {
			return nil, "", err
		}
		return page.Orders, page.NextCursor, nil
	})
}
