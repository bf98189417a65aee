package flow

import (
	"context"
	"iter"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"orderflow/pkg/event"
	"orderflow/pkg/postgres"
)

// Waiting is an event that a service has committed and that the broker has not confirmed yet.
type Waiting struct {
	EventID       uuid.UUID
	Type          event.Type
	CorrelationID string
	Since         time.Time
	Attempts      int // to publish it again
}

// ReadOutbox reads what waits in the outbox of the service whose schema the snapshot sees.
func ReadOutbox(ctx context.Context, s *postgres.Snapshot) iter.Seq2[Waiting, error] {
	return postgres.Rows(ctx, s, pgx.RowToStructByPos[Waiting],
		`SELECT event_id, type, correlation_id, created_at, attempts FROM outbox ORDER BY event_id`)
}

// OutboxEmpty tells whether nothing waits of what was put, until then, into the outbox of the service whose schema db sees.
func OutboxEmpty(ctx context.Context, db *pgxpool.Pool, until time.Time) (empty bool, err error) {
	err = db.QueryRow(ctx, `SELECT NOT EXISTS (SELECT FROM outbox WHERE created_at <= $1)`, until).Scan(&empty)
	return empty, err
}
