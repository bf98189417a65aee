package shipping

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"orderflow/pkg/event"
	"orderflow/pkg/postgres"
)

// Rows are locked in the order of their keys, here and everywhere, so that transactions wait for each other in one direction.

// insert adds the shipments of orders that have none yet. It is queued; for which orders it did is put into *inserted when it is sent.
func insert(tx *postgres.Tx, shipments []Shipment, inserted *[]uuid.UUID) {
	slices.SortFunc(shipments, func(a, b Shipment) int { return slices.Compare(a.OrderID[:], b.OrderID[:]) })
	n := len(shipments)
	orders, ids, statuses, customers := make([]uuid.UUID, n), make([]uuid.UUID, n), make([]string, n), make([]string, n)
	reasons, said := make([]*event.CancelReason, n), make([]*uuid.UUID, n)
	for i, s := range shipments {
		reasons[i], said[i] = postgres.OrNull(s.Reason), postgres.OrNull(s.SaidID)
		orders[i], ids[i], statuses[i], customers[i] = s.OrderID, s.ID, string(s.Status), s.CustomerID
	}
	postgres.Read(tx, pgx.RowTo[uuid.UUID], inserted, `
		INSERT INTO shipments (order_id, shipment_id, status, customer_id, reason, said_id)
		SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::uuid[])
		ON CONFLICT (order_id) DO NOTHING RETURNING order_id`,
		orders, ids, statuses, customers, reasons, said)
}

// begin adds the shipments of orders that have none yet, and puts what there is of their orders then into *rows. Both are queued. Nothing
// is locked: what is read is what the transaction commits, and may be changed as soon as it has.
func begin(tx *postgres.Tx, begun []Shipment, rows *[]row) {
	orders := make([]uuid.UUID, len(begun))
	for i := range begun {
		orders[i] = begun[i].OrderID
	}
	var inserted []uuid.UUID
	insert(tx, begun, &inserted)
	postgres.Read(tx, scanRow, rows, selectShipments+" WHERE order_id = ANY($1::uuid[])", orders)
}

// lock reads the shipments of orders and keeps them from being changed until the transaction ends.
func lock(ctx context.Context, tx *postgres.Tx, orders []uuid.UUID) (map[uuid.UUID]*Shipment, error) {
	rows, err := postgres.Query(ctx, tx, scanRow, selectShipments+`
		WHERE order_id = ANY($1::uuid[]) ORDER BY order_id FOR UPDATE`, orders)
	if err != nil {
		return nil, fmt.Errorf("read shipments: %w", err)
	}
	return byOrder(rows), nil
}

func byOrder(rows []row) map[uuid.UUID]*Shipment {
	shipments := make(map[uuid.UUID]*Shipment, len(rows))
	for i := range rows {
		shipments[rows[i].OrderID] = &rows[i].Shipment
	}
	return shipments
}

// update writes shipments back that were locked. Those that are as they were stay untouched.
func update(tx *postgres.Tx, shipments map[uuid.UUID]*Shipment) {
	n := len(shipments)
	orders, statuses, asked := make([]uuid.UUID, 0, n), make([]string, 0, n), make([]bool, 0, n)
	carriers, tracking := make([]*string, 0, n), make([]*string, 0, n)
	details, said := make([]*string, 0, n), make([]*uuid.UUID, 0, n)
	for _, s := range shipments {
		details, said = append(details, postgres.OrNull(s.Detail)), append(said, postgres.OrNull(s.SaidID))
		orders, statuses, asked = append(orders, s.OrderID), append(statuses, string(s.Status)), append(asked, s.CancelAsked)
		carriers = append(carriers, postgres.OrNull(postgres.Escape(s.Carrier)))
		tracking = append(tracking, postgres.OrNull(postgres.Escape(s.TrackingNumber)))
	}
	tx.Queue(`
		UPDATE shipments s SET status = v.status, carrier = v.carrier, tracking_number = v.tracking, cancel_asked = v.asked,
			detail = v.detail, said_id = v.said, updated_at = now()
		FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::bool[], $6::text[], $7::uuid[])
			AS v (order_id, status, carrier, tracking, asked, detail, said)
		WHERE s.order_id = v.order_id AND (s.status, s.carrier, s.tracking_number, s.cancel_asked)
			IS DISTINCT FROM (v.status, v.carrier, v.tracking, v.asked)`, orders, statuses, carriers, tracking, asked, details, said)
}

// row is a shipment as the table has it.
type row struct {
	Shipment
	CreatedAt, UpdatedAt time.Time
}

const selectShipments = `
	SELECT order_id, shipment_id, status, coalesce(carrier, ''), coalesce(tracking_number, ''), cancel_asked,
		coalesce(reason, ''), coalesce(detail, ''), said_id, created_at, updated_at
	FROM shipments`

func scanRow(c pgx.CollectableRow) (r row, err error) {
	var said *uuid.UUID
	err = c.Scan(&r.OrderID, &r.ID, &r.Status, &r.Carrier, &r.TrackingNumber, &r.CancelAsked,
		&r.Reason, &r.Detail, &said, &r.CreatedAt, &r.UpdatedAt)
	if said != nil {
		r.SaidID = *said
	}
	r.Carrier, r.TrackingNumber = postgres.Unescape(r.Carrier), postgres.Unescape(r.TrackingNumber)
	return r, err
}

// ofOrder returns a function that reads the shipments of an order, without locking them: those of some customers, or of all where customers
// is nil.
func ofOrder(db *pgxpool.Pool) func(context.Context, uuid.UUID, []string) ([]row, error) {
	return func(ctx context.Context, orderID uuid.UUID, customers []string) ([]row, error) {
		rows, err := db.Query(ctx, selectShipments+" WHERE order_id = $1 AND ($2::text[] IS NULL OR customer_id = ANY($2))", orderID, customers)
		if err != nil {
			return nil, err
		}
		return pgx.CollectRows(rows, scanRow)
	}
}
