package flow

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"orderflow/pkg/event"
)

// MayPublishAgain tells why PublishAgain would be refused, before anything is said of it being done; nil: it would not.
func MayPublishAgain(ctx context.Context, db *pgxpool.Pool) error {
	ctx, stop := context.WithTimeout(ctx, statementTimeout)
	defer stop()
	var role, table string
	var may bool
	if err := db.QueryRow(ctx, `
		SELECT current_user, current_schema() || '.outbox', has_table_privilege('outbox', 'INSERT')`).Scan(&role, &table, &may); err != nil {
		return fmt.Errorf("outbox: %w", err)
	}
	if !may {
		return fmt.Errorf("the database user %s may not insert into %s; use one who may also insert into the services' outboxes", role, table)
	}
	return nil
}

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
