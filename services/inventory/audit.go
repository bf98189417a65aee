package inventory

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"orderflow/pkg/event"
	"orderflow/pkg/postgres"
)

// Audit reads reservations for those who prove that they have come out right, sorted by their orders' ids: those of the ids, or
// all where ids is nil.
func Audit(ctx context.Context, s *postgres.Snapshot, ids []uuid.UUID) iter.Seq2[Reservation, error] {
	return postgres.Rows(ctx, s, func(c pgx.CollectableRow) (r Reservation, err error) {
		var items []byte
		if err = c.Scan(&r.OrderID, &r.Status, &items); err != nil {
			return r, err
		}
		if err = json.Unmarshal(items, &r.Items); err != nil {
			err = fmt.Errorf("items of order %s: %w", r.OrderID, err)
		}
		return r, err
	}, `SELECT order_id, status, items FROM reservations WHERE $1::uuid[] IS NULL OR order_id = ANY($1) ORDER BY order_id`, ids)
}

// Whole reads the reservations of orders with all that is known of them.
func Whole(ctx context.Context, s *postgres.Snapshot, orders []uuid.UUID) iter.Seq2[Reservation, error] {
	return postgres.Rows(ctx, s, func(c pgx.CollectableRow) (Reservation, error) {
		r, err := scanRow(c)
		return r.Reservation, err
	}, selectReservations+" WHERE order_id = ANY($1::uuid[])", orders)
}

// Holding reads which orders placed within a span have goods set aside. No index knows them, so it reads all reservations of that span.
func Holding(ctx context.Context, s *postgres.Snapshot, from, to time.Time) iter.Seq2[uuid.UUID, error] {
	return postgres.Rows(ctx, s, pgx.RowTo[uuid.UUID], `SELECT order_id FROM reservations WHERE order_id >= $1 AND order_id < $2 AND status = $3`,
		event.FirstID(from), event.FirstID(to), string(Reserved))
}

// Account is what the stock says of a product, and what reservations say of it.
type Account struct {
	ProductID                        string
	Known                            bool // is in the stock
	OnHand, Reserved, Shipped, PutIn int64
	HeldByReservations               int64 // with the status reserved
	ShippedByReservations            int64
}

// AuditStock reads the accounts of all products, sorted by their ids.
func AuditStock(ctx context.Context, s *postgres.Snapshot) iter.Seq2[Account, error] {
	return postgres.Rows(ctx, s, pgx.RowToStructByPos[Account], `
		WITH said AS (
			SELECT product_id, sum(quantity) FILTER (WHERE status = $1)::bigint AS held, sum(quantity) FILTER (WHERE status = $2)::bigint AS shipped
			FROM reservations, jsonb_to_recordset(items) AS i (product_id text, quantity bigint)
			WHERE status IN ($1, $2) GROUP BY product_id)
		SELECT product_id, s.product_id IS NOT NULL, coalesce(s.on_hand, 0), coalesce(s.reserved, 0), coalesce(s.shipped, 0),
			coalesce(s.put_in, 0), coalesce(said.held, 0), coalesce(said.shipped, 0)
		FROM stock s FULL JOIN said USING (product_id) ORDER BY product_id`, string(Reserved), string(Shipped))
}
