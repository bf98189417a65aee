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

// Whole reads orders with all that is known of them.
func Whole(ctx context.Context, s *postgres.Snapshot, ids []uuid.UUID) iter.Seq2[Order, error] {
	return postgres.Rows(ctx, s, scanOrder, selectOrders+" WHERE order_id = ANY($1::uuid[])", ids)
}

// Seen is a line of an order's timeline.
type Seen struct {
	OrderID, EventID uuid.UUID
	Type             event.Type
	Source           string
	Time, SeenAt     time.Time // when it was said, and when the order saw it, by the database's clock
}

// WholeTimelines reads the timelines of orders, as they have happened.
func WholeTimelines(ctx context.Context, s *postgres.Snapshot, ids []uuid.UUID) iter.Seq2[Seen, error] {
	return postgres.Rows(ctx, s, pgx.RowToStructByPos[Seen], `
		SELECT order_id, event_id, type, source, time, seen_at FROM timeline WHERE order_id = ANY($1::uuid[]) ORDER BY time, event_id`, ids)
}

// Overdue reads the ids of orders that were placed before a moment and have not ended, the oldest first; limit 0 means all.
func Overdue(ctx context.Context, s *postgres.Snapshot, before time.Time, limit int) iter.Seq2[uuid.UUID, error] {
	return postgres.Rows(ctx, s, pgx.RowTo[uuid.UUID], `
		SELECT order_id FROM orders WHERE ended_at IS NULL AND placed_at < $1 ORDER BY order_id LIMIT nullif($2::bigint, 0)`, before, limit)
}

// UnderWay reads the ids of orders that have not ended: of those ids, or of all where ids is nil.
func UnderWay(ctx context.Context, s *postgres.Snapshot, ids []uuid.UUID) iter.Seq2[uuid.UUID, error] {
	return postgres.Rows(ctx, s, pgx.RowTo[uuid.UUID],
		`SELECT order_id FROM orders WHERE ended_at IS NULL AND ($1::uuid[] IS NULL OR order_id = ANY($1))`, ids)
}
