package payment

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

// insert adds the payments of orders that have none yet. It is queued; for which orders it did is put into *inserted when it is sent.
func insert(tx *postgres.Tx, payments []Payment, inserted *[]uuid.UUID) {
	slices.SortFunc(payments, func(a, b Payment) int { return slices.Compare(a.OrderID[:], b.OrderID[:]) })
	n := len(payments)
	orders, ids, statuses := make([]uuid.UUID, n), make([]uuid.UUID, n), make([]string, n)
	amounts, currencies, undo := make([]int64, n), make([]string, n), make([]*event.CancelReason, n)
	customers, said := make([]string, n), make([]*uuid.UUID, n)
	for i, p := range payments {
		orders[i], ids[i], statuses[i], amounts[i], currencies[i] = p.OrderID, p.ID, string(p.Status), p.Amount, p.Currency
		undo[i], customers[i], said[i] = postgres.OrNull(p.Undo), p.CustomerID, postgres.OrNull(p.SaidID)
	}
	postgres.Read(tx, pgx.RowTo[uuid.UUID], inserted, `
		INSERT INTO payments (order_id, payment_id, status, amount, currency, undo_reason, customer_id, said_id)
		SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::bigint[], $5::text[], $6::text[], $7::text[], $8::uuid[])
		ON CONFLICT (order_id) DO NOTHING RETURNING order_id`,
		orders, ids, statuses, amounts, currencies, undo, customers, said)
}

// begin adds the payments of orders that have none yet, and puts what there is of their orders then into *rows. Both are queued. Nothing
// is locked: what is read is what the transaction commits, and may be changed as soon as it has.
func begin(tx *postgres.Tx, begun []Payment, rows *[]row) {
	orders := make([]uuid.UUID, len(begun))
	for i := range begun {
		orders[i] = begun[i].OrderID
	}
	var inserted []uuid.UUID
	insert(tx, begun, &inserted)
	postgres.Read(tx, scanRow, rows, selectPayments+" WHERE order_id = ANY($1::uuid[])", orders)
}

// lock reads the payments of orders and keeps them from being changed until the transaction ends.
func lock(ctx context.Context, tx *postgres.Tx, orders []uuid.UUID) (map[uuid.UUID]*Payment, error) {
	rows, err := postgres.Query(ctx, tx, scanRow, selectPayments+`
		WHERE order_id = ANY($1::uuid[]) ORDER BY order_id FOR UPDATE`, orders)
	if err != nil {
		return nil, fmt.Errorf("read payments: %w", err)
	}
	return byOrder(rows), nil
}

func byOrder(rows []row) map[uuid.UUID]*Payment {
	payments := make(map[uuid.UUID]*Payment, len(rows))
	for i := range rows {
		payments[rows[i].OrderID] = &rows[i].Payment
	}
	return payments
}

// update writes payments back that were locked. Those that are as they were stay untouched: a repeated event leaves no trace.
func update(tx *postgres.Tx, payments map[uuid.UUID]*Payment) {
	if len(payments) == 0 {
		return
	}
	n := len(payments)
	orders, statuses, refunded := make([]uuid.UUID, 0, n), make([]string, 0, n), make([]int64, 0, n)
	references, undo := make([]*string, 0, n), make([]*event.CancelReason, 0, n)
	details, said := make([]*string, 0, n), make([]*uuid.UUID, 0, n)
	for _, p := range payments {
		orders, statuses, refunded = append(orders, p.OrderID), append(statuses, string(p.Status)), append(refunded, p.RefundedAmount)
		references, undo = append(references, postgres.OrNull(postgres.Escape(p.GatewayReference))), append(undo, postgres.OrNull(p.Undo))
		details, said = append(details, postgres.OrNull(p.Detail)), append(said, postgres.OrNull(p.SaidID))
	}
	tx.Queue(`
		UPDATE payments p SET status = v.status, refunded_amount = v.refunded, gateway_reference = v.reference,
			undo_reason = v.undo, detail = v.detail, said_id = v.said, updated_at = now()
		FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::uuid[])
			AS v (order_id, status, refunded, reference, undo, detail, said)
		WHERE p.order_id = v.order_id AND (p.status, p.refunded_amount, p.gateway_reference, p.undo_reason)
			IS DISTINCT FROM (v.status, v.refunded, v.reference, v.undo)`, orders, statuses, refunded, references, undo, details, said)
}

// row is a payment as the table has it.
type row struct {
	Payment
	CreatedAt, UpdatedAt time.Time
}

const selectPayments = `
	SELECT order_id, payment_id, status, amount, refunded_amount, currency, coalesce(gateway_reference, ''),
		coalesce(undo_reason, ''), coalesce(detail, ''), said_id, created_at, updated_at
	FROM payments`

func scanRow(c pgx.CollectableRow) (r row, err error) {
	var said *uuid.UUID
	err = c.Scan(&r.OrderID, &r.ID, &r.Status, &r.Amount, &r.RefundedAmount, &r.Currency, &r.GatewayReference,
		&r.Undo, &r.Detail, &said, &r.CreatedAt, &r.UpdatedAt)
	if said != nil {
		r.SaidID = *said
	}
	r.GatewayReference = postgres.Unescape(r.GatewayReference)
	return r, err
}

// ofOrder returns a function that reads the payments of an order, without locking them: those of some customers, or of all where customers
// is nil.
func ofOrder(db *pgxpool.Pool) func(context.Context, uuid.UUID, []string) ([]row, error) {
	return func(ctx context.Context, orderID uuid.UUID, customers []string) ([]row, error) {
		rows, err := db.Query(ctx, selectPayments+" WHERE order_id = $1 AND ($2::text[] IS NULL OR customer_id = ANY($2))", orderID, customers)
		if err != nil {
			return nil, err
		}
		return pgx.CollectRows(rows, scanRow)
	}
}
