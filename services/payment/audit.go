package payment

import (
	"context"
	"iter"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"orderflow/pkg/postgres"
)

// Audit reads payments for those who prove that they have come out right, sorted by their orders' ids: those of the ids, or all
// where ids is nil.
func Audit(ctx context.Context, s *postgres.Snapshot, ids []uuid.UUID) iter.Seq2[Payment, error] {
	return postgres.Rows(ctx, s, func(c pgx.CollectableRow) (p Payment, err error) {
		err = c.Scan(&p.OrderID, &p.Status, &p.Amount, &p.RefundedAmount, &p.Currency)
		return p, err
	}, `
		SELECT order_id, status, amount, refunded_amount, currency
		FROM payments WHERE $1::uuid[] IS NULL OR order_id = ANY($1) ORDER BY order_id`, ids)
}

// Whole reads the payments of orders with all that is known of them.
func Whole(ctx context.Context, s *postgres.Snapshot, orders []uuid.UUID) iter.Seq2[Payment, error] {
	return postgres.Rows(ctx, s, func(c pgx.CollectableRow) (Payment, error) {
		r, err := scanRow(c)
		return r.Payment, err
	}, selectPayments+" WHERE order_id = ANY($1::uuid[])", orders)
}
