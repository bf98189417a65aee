package flow

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"orderflow/pkg/event"
)

// PublishAgain puts events that have got lost on their way into the outbox of the service that said them, whose schema db sees; the service
// publishes them when it next looks, within a second or so. An event that waits there already stays as it is. Who has handled one before
// drops it, by its id.
func PublishAgain(ctx context.Context, db *pgxpool.Pool, catalog *event.Catalog, events []*event.Event) error {
	ctx, stop := context.WithTimeout(ctx, statementTimeout)
	defer stop()
	sorted := slices.SortedFunc(slices.Values(events), func(a, b *event.Event) int { return compareIDs(a.ID, b.ID) })
	n := len(sorted)
	ids, types, correlations, bodies := make([]uuid.UUID, n), make([]string, n), make([]string, n), make([]string, n)
	for i, e := range sorted {
		body, err := catalog.Encode(e)
		if err != nil {
			return err
		}
		ids[i], types[i], correlations[i], bodies[i] = e.ID, string(e.Type()), e.CorrelationID, string(body)
	}
	if _, err := db.Exec(ctx, `
		INSERT INTO outbox (event_id, type, correlation_id, body, due_at)
		SELECT *, now() FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[])
		ON CONFLICT DO NOTHING`, ids, types, correlations, bodies); err != nil {
		return fmt.Errorf("outbox: %w", err)
	}
	return nil
}
