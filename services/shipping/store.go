package shipping

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"orderflow/pkg/postgres"
)

// Rows are locked in the order of their keys, here and everywhere, so that transactions wait for each other in one direction.

// insert adds the shipments of orders that have none yet, and tells for which orders it did.
func insert(ctx context.Context, tx *postgres.Tx, shipments []Shipment) (map[uuid.UUID]bool, error) {
	slices.SortFunc(shipments, func(a, b Shipment) int { return slices.Compare(a.OrderID[:], b.OrderID[:]) })
	n := len(shipments)
	orders, ids, statuses := make([]uuid.UUID, n), make([]uuid.UUID, n), make([]string, n)
	for i, s := range shipments {
		orders[i], ids[i], statuses[i] = s.OrderID, s.ID, string(s.Status)
	}
	fresh, err := postgres.Query(ctx, tx, pgx.RowTo[uuid.UUID], `
		INSERT INTO shipments (order_id, shipment_id, status)
		SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[])
		ON CONFLICT (order_id) DO NOTHING RETURNING order_id`,
		orders, ids, statuses)
	if err != nil {
		return nil, fmt.Errorf("insert shipments: %w", err)
	}
	return postgres.Set(fresh), nil
}

// open inserts shipments that are only begun, and returns what there is then of their orders. It is kept from being changed until the
// transaction ends.
func open(ctx context.Context, tx *postgres.Tx, begun map[uuid.UUID]Shipment) (map[uuid.UUID]*Shipment, error) {
	fresh, err := insert(ctx, tx, slices.Collect(maps.Values(begun)))
	if err != nil {
		return nil, err
	}
	var known []uuid.UUID
	for id := range begun {
		if !fresh[id] {
			known = append(known, id)
		}
	}
	all, err := lock(ctx, tx, known)
	if err != nil {
		return nil, err
	}
	for id := range fresh {
		p := begun[id]
		all[id] = &p
	}
	return all, nil
}

// lock reads the shipments of orders and keeps them from being changed until the transaction ends.
func lock(ctx context.Context, tx *postgres.Tx, orders []uuid.UUID) (map[uuid.UUID]*Shipment, error) {
	shipments := make(map[uuid.UUID]*Shipment, len(orders))
	if len(orders) == 0 {
		return shipments, nil
	}
	rows, err := postgres.Query(ctx, tx, scanRow, selectShipments+`
		WHERE order_id = ANY($1::uuid[]) ORDER BY order_id FOR UPDATE`, orders)
	if err != nil {
		return nil, fmt.Errorf("read shipments: %w", err)
	}
	for i := range rows {
		shipments[rows[i].OrderID] = &rows[i].Shipment
	}
	return shipments, nil
}

// update writes shipments back that were locked. Those that are as they were stay untouched.
func update(tx *postgres.Tx, shipments map[uuid.UUID]*Shipment) {
	n := len(shipments)
	orders, statuses, asked := make([]uuid.UUID, 0, n), make([]string, 0, n), make([]bool, 0, n)
	carriers, tracking := make([]*string, 0, n), make([]*string, 0, n)
	for _, s := range shipments {
		orders, statuses, asked = append(orders, s.OrderID), append(statuses, string(s.Status)), append(asked, s.CancelAsked)
		carriers = append(carriers, postgres.OrNull(postgres.Escape(s.Carrier)))
		tracking = append(tracking, postgres.OrNull(postgres.Escape(s.TrackingNumber)))
	}
	tx.Queue(`
		UPDATE shipments s SET status = v.status, carrier = v.carrier, tracking_number = v.tracking, cancel_asked = v.asked,
			updated_at = now()
		FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::bool[]) AS v (order_id, status, carrier, tracking, asked)
		WHERE s.order_id = v.order_id AND (s.status, s.carrier, s.tracking_number, s.cancel_asked)
			IS DISTINCT FROM (v.status, v.carrier, v.tracking, v.asked)`, orders, statuses, carriers, tracking, asked)
}

// row is a shipment as the table has it.
type row struct {
	Shipment
	CreatedAt, UpdatedAt time.Time
}

const selectShipments = `
	SELECT order_id, shipment_id, status, coalesce(carrier, ''), coalesce(tracking_number, ''), cancel_asked, created_at, updated_at
	FROM shipments`

func scanRow(c pgx.CollectableRow) (r row, err error) {
	err = c.Scan(&r.OrderID, &r.ID, &r.Status, &r.Carrier, &r.TrackingNumber, &r.CancelAsked, &r.CreatedAt, &r.UpdatedAt)
	r.Carrier, r.TrackingNumber = postgres.Unescape(r.Carrier), postgres.Unescape(r.TrackingNumber)
	return r, err
}

// ofOrder returns a function that reads the shipments of an order, without locking them.
func ofOrder(db *pgxpool.Pool) func(context.Context, uuid.UUID) ([]row, error) {
	return func(ctx context.Context, orderID uuid.UUID) ([]row, error) {
		rows, err := db.Query(ctx, selectShipments+" WHERE order_id = $1", orderID)
		if err != nil {
			return nil, err
		}
		return pgx.CollectRows(rows, scanRow)
	}
}
