package flow

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"orderflow/pkg/event"
	"orderflow/pkg/postgres"
)

// Memory is what the inbox of a service knows, for those who ask from outside.
type Memory struct {
	db   *pgxpool.Pool
	days map[time.Time]bool
}

// OpenMemory reads of which days an inbox remembers the events. db sees the schema of the service.
func OpenMemory(ctx context.Context, db *pgxpool.Pool) (*Memory, error) {
	days, err := inboxDays(0).Found(ctx, db)
	if err != nil {
		return nil, fmt.Errorf("look at the inbox: %w", err)
	}
	return &Memory{db: db, days: days}, nil
}

// Remembers tells whether the inbox would know an event if it had handled it.
func (m *Memory) Remembers(id uuid.UUID) bool { return m.days[event.IDTime(id).UTC().Truncate(day)] }

// Forgot tells whether the inbox may have known an event, and does not any more. Before it has a day, nothing of that day was handled.
func (m *Memory) Forgot(id uuid.UUID) bool {
	if m.Remembers(id) {
		return false
	}
	for d := range m.days {
		if d.After(event.IDTime(id)) {
			return true
		}
	}
	return false
}

// Handled tells which of these events a queue has handled, of those that the inbox remembers.
func (m *Memory) Handled(ctx context.Context, queue string, ids []uuid.UUID) (map[uuid.UUID]bool, error) {
	rows, err := m.db.Query(ctx, `SELECT event_id FROM inbox WHERE event_id = ANY($1::uuid[]) AND queue = $2`, ids, queue)
	if err != nil {
		return nil, fmt.Errorf("ask the inbox: %w", err)
	}
	handled, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	if err != nil {
		return nil, fmt.Errorf("ask the inbox: %w", err)
	}
	return postgres.Set(handled), nil
}

// HandledSince tells whether a queue has handled an event that was made after a moment.
func (m *Memory) HandledSince(ctx context.Context, queue string, made time.Time) (since bool, err error) {
	err = m.db.QueryRow(ctx, `SELECT EXISTS (SELECT FROM inbox WHERE event_id >= $1 AND queue = $2)`, event.FirstID(made), queue).Scan(&since)
	if err != nil {
		return false, fmt.Errorf("ask the inbox: %w", err)
	}
	return since, nil
}
