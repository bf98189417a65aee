package payment

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"orderflow/pkg/event"
	"orderflow/pkg/postgres"
)

// Rows are locked in the order of their keys, here and everywhere, so that transactions wait for each other in one direction.

// insert adds the payments of orders that have none yet, and tells for which orders it did.
func insert(ctx context.Context, tx *postgres.Tx, payments []Payment) (map[uuid.UUID]bool, error) {
	if len(payments) == 0 {
		return nil, nil
	}
	slices.SortFunc(payments, func(a, b Payment) int { return slices.Compare(a.OrderID[:], b.OrderID[:]) })
	n := len(payments)
	orders, ids, statuses := make([]uuid.UUID, n), make([]uuid.UUID, n), make([]string, n)
	amounts, currencies, undo := make([]int64, n), make([]string, n), make([]*event.CancelReason, n)
	for i, p := range payments {
		orders[i], ids[i], statuses[i], amounts[i], currencies[i] = p.OrderID, p.ID, string(p.Status), p.Amount, p.Currency
		undo[i] = postgres.OrNull(p.Undo)
	}
	fresh, err := postgres.Query(ctx, tx, pgx.RowTo[uuid.UUID], `
		INSERT INTO payments (order_id, payment_id, status, amount, currency, undo_reason)
		SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::bigint[], $5::text[], $6::text[])
		ON CONFLICT (order_id) DO NOTHING RETURNING order_id`,
		orders, ids, statuses, amounts, currencies, undo)
	if err != nil {
		return nil, fmt.Errorf("insert payments: %w", err)
	}
	return postgres.Set(fresh), nil
}

// open inserts payments that are only begun, and returns what there is then of their orders. It is kept from being changed until the
// transaction ends.
func open(ctx context.Context, tx *postgres.Tx, begun map[uuid.UUID]Payment) (map[uuid.UUID]*Payment, error) {
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

// lock reads the payments of orders and keeps them from being changed until the transaction ends.
func lock(ctx context.Context, tx *postgres.Tx, orders []uuid.UUID) (map[uuid.UUID]*Payment, error) {
	payments := make(map[uuid.UUID]*Payment, len(orders))
	if len(orders) == 0 {
		return payments, nil
	}
	rows, err := postgres.Query(ctx, tx, scanRow, selectPayments+`
		WHERE order_id = ANY($1::uuid[]) ORDER BY order_id FOR UPDATE`, orders)
	if err != nil {
		return nil, fmt.Errorf("read payments: %w", err)
	}
	for i := range rows {
		payments[rows[i].OrderID] = &rows[i].Payment
	}
	return payments, nil
}

// update writes payments back that were locked. Those that are as they were stay untouched: a repeated event leaves no trace.
func update(tx *postgres.Tx, payments map[uuid.UUID]*Payment) {
	if len(payments) == 0 {
		return
	}
	n := len(payments)
	orders, statuses, refunded := make([]uuid.UUID, 0, n), make([]string, 0, n), make([]int64, 0, n)
	references, undo := make([]*string, 0, n), make([]*event.CancelReason, 0, n)
	for _, p := range payments {
		orders, statuses, refunded = append(orders, p.OrderID), append(statuses, string(p.Status)), append(refunded, p.RefundedAmount)
		references, undo = append(references, postgres.OrNull(postgres.Escape(p.GatewayReference))), append(undo, postgres.OrNull(p.Undo))
	}
	tx.Queue(`
		UPDATE payments p SET status = v.status, refunded_amount = v.refunded, gateway_reference = v.reference,
			undo_reason = v.undo, updated_at = now()
		FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::text[], $5::text[]) AS v (order_id, status, refunded, reference, undo)
		WHERE p.order_id = v.order_id AND (p.status, p.refunded_amount, p.gateway_reference, p.undo_reason)
			IS DISTINCT FROM (v.status, v.refunded, v.reference, v.undo)`, orders, statuses, refunded, references, undo)
}

// row is a payment as the table has it.
type row struct {
	Payment
	CreatedAt, UpdatedAt time.Time
}

const selectPayments = `
	SELECT order_id, payment_id, status, amount, refunded_amount, currency, coalesce(gateway_reference, ''),
		coalesce(undo_reason, ''), created_at, updated_at
	FROM payments`

func scanRow(c pgx.CollectableRow) (r row, err error) {
	err = c.Scan(&r.OrderID, &r.ID, &r.Status, &r.Amount, &r.RefundedAmount, &r.Currency, &r.GatewayReference,
		&r.Undo, &r.CreatedAt, &r.UpdatedAt)
	r.GatewayReference = postgres.Unescape(r.GatewayReference)
	return r, err
}

// ofOrder returns a function that reads the payments of an order, without locking them.
func ofOrder(db *pgxpool.Pool) func(context.Context, uuid.UUID) ([]row, error) {
	return func(ctx context.Context, orderID uuid.UUID) ([]row, error) {
		rows, err := db.Query(ctx, selectPayments+" WHERE order_id = $1", orderID)
		if err != nil {
			return nil, err
		}
		return pgx.CollectRows(rows, scanRow)
	}
}
