package main

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// verdict is whether everything that had to be done was done, once.
type verdict struct {
	OK           bool  `json:"ok"`
	Placed       int64 `json:"placed"` // as the load knows it
	Orders       int64 `json:"orders"`
	Shipped      int64 `json:"shipped"`
	Payments     int64 `json:"payments"`
	Reservations int64 `json:"reservations"`
	Shipments    int64 `json:"shipments"`
	NotOnce      int64 `json:"orders_without_exactly_one_of_each"`
	Ordered      int64 `json:"items_ordered"`
	Reserved     int64 `json:"items_reserved"`
	Taken        int64 `json:"items_taken_from_stock"`
}

func (v verdict) holds() bool {
	return v.NotOnce == 0 && v.Orders == v.Placed && v.Shipped == v.Placed && v.Payments == v.Placed && v.Reservations == v.Placed &&
		v.Shipments == v.Placed && v.Reserved == v.Ordered && v.Taken == v.Ordered
}

// verify reads from the tables what became of the orders.
func verify(ctx context.Context, db *pgxpool.Pool, placed int) (verdict, error) {
	v := verdict{Placed: int64(placed)}
	err := db.QueryRow(ctx, `
		SELECT (SELECT count(*) FROM orders), (SELECT count(*) FROM orders WHERE status = $1),
			(SELECT count(*) FROM payments), (SELECT count(*) FROM reservations), (SELECT count(*) FROM shipments),
			(SELECT count(*) FROM orders o
				WHERE (SELECT count(*) FROM payments p WHERE p.order_id = o.order_id AND p.amount = o.total_amount) <> 1
				OR (SELECT count(*) FROM reservations r WHERE r.order_id = o.order_id) <> 1
				OR (SELECT count(*) FROM shipments s WHERE s.order_id = o.order_id) <> 1),
			(SELECT coalesce(sum((i->>'quantity')::bigint), 0)::bigint FROM orders, jsonb_array_elements(items) i),
			(SELECT sum(reserved)::bigint FROM stock), (SELECT sum($2 - available)::bigint FROM stock)`, statusShipped, onHand).
		Scan(&v.Orders, &v.Shipped, &v.Payments, &v.Reservations, &v.Shipments, &v.NotOnce, &v.Ordered, &v.Reserved, &v.Taken)
	if err != nil {
		return v, fmt.Errorf("verify: %w", err)
	}
	v.OK = v.holds()
	return v, nil
}

// handled waits until every event of the orders that were placed has been handled, also those that no order waits for.
func handled(ctx context.Context, db *pgxpool.Pool, placed int) error {
	const each, look = 6, 50 * time.Millisecond // deliveries of an order; one look takes some milliseconds
	for {
		var n int
		err := db.QueryRow(ctx, `SELECT (SELECT count(*) FROM inbox_order) + (SELECT count(*) FROM inbox_payment)
			+ (SELECT count(*) FROM inbox_inventory) + (SELECT count(*) FROM inbox_shipping)`).Scan(&n)
		if err != nil {
			return fmt.Errorf("count the events: %w", err)
		}
		if n >= placed*each {
			return nil
		}
		if err := sleep(ctx, look); err != nil {
			return fmt.Errorf("%d of %d events have been handled: %w", n, placed*each, err)
		}
	}
}
