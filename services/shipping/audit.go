package shipping

import (
	"context"
	"iter"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"orderflow/pkg/postgres"
)

// Audit reads shipments for those who prove that they have come out right, sorted by their orders' ids: those of the ids, or all
// where ids is nil.
func Audit(ctx context.Context, s *postgres.Snapshot, ids []uuid.UUID) iter.Seq2[Shipment, error] {
	return postgres.Rows(ctx, s, func(c pgx.CollectableRow) (s Shipment, err error) {
		err = c.Scan(&s.OrderID, &s.Status)
		return s, err
	}, `SELECT order_id, status FROM shipments WHERE $1::uuid[] IS NULL OR order_id = ANY($1) ORDER BY order_id`, ids)
}

// Whole reads the shipments of orders with all that is known of them.
func Whole(ctx context.Context, s *postgres.Snapshot, orders []uuid.UUID) iter.Seq2[Shipment, error] {
	return postgres.Rows(ctx, s, func(c pgx.CollectableRow) (Shipment, error) {
		r, err := scanRow(c)
		return r.Shipment, err
	}, selectShipments+" WHERE order_id = ANY($1::uuid[])", orders)
}
