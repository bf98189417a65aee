package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// The services.
const (
	orders    = "order"
	payment   = "payment"
	inventory = "inventory"
	shipping  = "shipping"
)

var services = []string{orders, payment, inventory, shipping}

// The statuses of an order, in the order in which it has them: of events that overtake each other, the furthest counts.
const (
	statusPlaced = iota
	statusPaid
	statusReserved
	statusShipped
)

var statusAfter = map[string]int{paymentProcessed: statusPaid, inventoryReserved: statusReserved, shipmentCreated: statusShipped}

// workflow is what the four services do.
type workflow struct {
	db      *pgxpool.Pool
	outbox  *outbox
	shipped func(orderID string, at time.Time) // told after the commit
}

// reaction is what a service does with an event: it changes rows in a transaction, and returns the event that follows, if one does.
type reaction func(context.Context, pgx.Tx, event) (*event, error)

// subscription is a reaction of a service to a topic.
type subscription struct {
	service, topic string
	react          reaction
	after          func(event) // the commit; may be nil
}

func (w *workflow) subscriptions() []subscription {
	return []subscription{
		{service: payment, topic: orderPlaced, react: pay},
		{service: inventory, topic: paymentProcessed, react: reserve},
		{service: shipping, topic: inventoryReserved, react: ship},
		{service: orders, topic: paymentProcessed, react: progress},
		{service: orders, topic: inventoryReserved, react: progress},
		{service: orders, topic: shipmentCreated, react: progress, after: func(e event) { w.shipped(e.Order.OrderID, time.Now()) }},
	}
}

// place accepts an order.
func (w *workflow) place(ctx context.Context, o order) (id string, err error) {
	o.OrderID, o.TotalAmount = newID(), o.total()
	return o.OrderID, w.commit(ctx, orders, func(tx pgx.Tx) (*event, error) {
		items, err := json.Marshal(o.Items)
		if err != nil {
			return nil, err
		}
		address, err := json.Marshal(o.ShippingAddress)
		if err != nil {
			return nil, err
		}
		_, err = tx.Exec(ctx, `INSERT INTO orders (order_id, customer_id, currency, total_amount, items, payment_method, shipping_address)
			VALUES ($1, $2, $3, $4, $5, $6, $7)`, o.OrderID, o.CustomerID, o.Currency, o.TotalAmount, items, o.PaymentMethod, address)
		e := placed(o)
		return &e, err
	})
}

func pay(ctx context.Context, tx pgx.Tx, e event) (*event, error) {
	next := e.next(payment, paymentProcessed)
	_, err := tx.Exec(ctx, `INSERT INTO payments (payment_id, order_id, amount, method) VALUES ($1, $2, $3, $4)`,
		next.Reference, e.Order.OrderID, e.Order.TotalAmount, e.Order.PaymentMethod)
	return &next, err
}

func reserve(ctx context.Context, tx pgx.Tx, e event) (*event, error) {
	next := e.next(inventory, inventoryReserved)
	items := e.Order.byProduct()
	said, err := json.Marshal(items)
	if err != nil {
		return nil, err
	}
	var batch pgx.Batch
	for _, i := range items {
		batch.Queue(`UPDATE stock SET available = available - $2, reserved = reserved + $2 WHERE product_id = $1`, i.ProductID, i.Quantity)
	}
	batch.Queue(`INSERT INTO reservations (reservation_id, order_id, items) VALUES ($1, $2, $3)`, next.Reference, e.Order.OrderID, said)
	return &next, tx.SendBatch(ctx, &batch).Close()
}

func ship(ctx context.Context, tx pgx.Tx, e event) (*event, error) {
	next := e.next(shipping, shipmentCreated)
	_, err := tx.Exec(ctx, `INSERT INTO shipments (shipment_id, order_id, carrier) VALUES ($1, $2, 'DHL')`, next.Reference, e.Order.OrderID)
	return &next, err
}

func progress(ctx context.Context, tx pgx.Tx, e event) (*event, error) {
	_, err := tx.Exec(ctx, `UPDATE orders SET status = greatest(status, $2), updated_at = now() WHERE order_id = $1`, e.Order.OrderID, statusAfter[e.Type])
	return nil, err
}

// handler makes Watermill's handler of a subscription: an event that comes again is left alone, by the service's inbox.
func (w *workflow) handler(s subscription) message.NoPublishHandlerFunc {
	note := fmt.Sprintf(`INSERT INTO inbox_%s (event_id) VALUES ($1) ON CONFLICT DO NOTHING`, s.service)
	return func(m *message.Message) error {
		var e event
		if err := json.Unmarshal(m.Payload, &e); err != nil {
			return fmt.Errorf("event %s: %w", m.UUID, err)
		}
		ctx := m.Context()
		err := w.commit(ctx, s.service, func(tx pgx.Tx) (*event, error) {
			noted, err := tx.Exec(ctx, note, e.ID)
			if err != nil || noted.RowsAffected() == 0 {
				return nil, err
			}
			return s.react(ctx, tx, e)
		})
		if err == nil && s.after != nil {
			s.after(e)
		}
		return err
	}
}

// commit runs do in a transaction, and puts the event that it returns into the outbox of the service in the same one.
func (w *workflow) commit(ctx context.Context, service string, do func(pgx.Tx) (*event, error)) error {
	return pgx.BeginFunc(ctx, w.db, func(tx pgx.Tx) error {
		e, err := do(tx)
		if err != nil || e == nil {
			return err
		}
		return w.outbox.add(ctx, tx, service, *e)
	})
}
