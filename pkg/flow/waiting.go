package flow

import (
	"context"
	"iter"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"orderflow/pkg/event"
	"orderflow/pkg/postgres"
)

// Waiting is an event that a service has committed and that the broker has not confirmed yet.
type Waiting struct {
	EventID       uuid.UUID
	Type          event.Type
	CorrelationID string
	Since         time.Time // by the database's clock
	Attempts      int       // to publish it again
}

// ReadOutbox reads what waits in the outbox of the service whose schema the snapshot sees: of the events with those ids, or all
// where ids is nil.
func ReadOutbox(ctx context.Context, s *postgres.Snapshot, ids []uuid.UUID) iter.Seq2[Waiting, error] {
	return postgres.Rows(ctx, s, pgx.RowToStructByPos[Waiting], `
		SELECT event_id, type, correlation_id, created_at, attempts
		FROM outbox WHERE $1::uuid[] IS NULL OR event_id = ANY($1) ORDER BY event_id`, ids)
}
