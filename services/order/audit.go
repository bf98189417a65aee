package order

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

// Audit reads orders for those who prove that they have come out right, sorted by id: those of the ids, or all where ids is nil.
// Of what a customer said it reads the items and their total only.
func Audit(ctx context.Context, s *postgres.Snapshot, ids []uuid.UUID) iter.Seq2[Order, error] {
	return postgres.Rows(ctx, s, func(c pgx.CollectableRow) (o Order, err error) {
		var total int64
		var items []byte
		if err = c.Scan(&o.OrderID, &o.Currency, &total, &items, &o.Status, &o.PlacedAt, &o.UpdatedAt); err != nil {
			return o, err
		}
		o.TotalAmount = event.MinorAmount(total, o.Currency)
		if err = json.Unmarshal(items, &o.Items); err != nil {
			err = fmt.Errorf("items of order %s: %w", o.OrderID, err)
		}
		return o, err
	}, `
		SELECT order_id, currency, total_amount, items, status, placed_at, updated_at
		FROM orders WHERE $1::uuid[] IS NULL OR order_id = ANY($1) ORDER BY order_id`, ids)
}

// Timeline is which events an order has seen.
type Timeline struct {
	OrderID uuid.UUID
	Types   string    // separated by commas, as often as there are such events
	SeenAt  time.Time // when the last of them was seen, by the database's clock
}

// AuditTimelines is Audit for timelines. Their rows lie in the order of their key, so each is added up without sorting.
func AuditTimelines(ctx context.Context, s *postgres.Snapshot, ids []uuid.UUID) iter.Seq2[Timeline, error] {
	return postgres.Rows(ctx, s, pgx.RowToStructByPos[Timeline], `
		SELECT order_id, string_agg(type, ','), max(seen_at)
		FROM timeline WHERE $1::uuid[] IS NULL OR order_id = ANY($1) GROUP BY order_id ORDER BY order_id`, ids)
}

// UnderWay reads the ids of orders that have not ended: of those ids, or of all where ids is nil.
func UnderWay(ctx context.Context, s *postgres.Snapshot, ids []uuid.UUID) iter.Seq2[uuid.UUID, error] {
	return postgres.Rows(ctx, s, pgx.RowTo[uuid.UUID],
		`SELECT order_id FROM orders WHERE ended_at IS NULL AND ($1::uuid[] IS NULL OR order_id = ANY($1))`, ids)
}
