package order

import (
	"context"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"orderflow/pkg/event"
	"orderflow/pkg/flow"
)

// A backlog of a million orders takes a second to count, so the pause grows with that.
const (
	countEvery   = 5 * time.Second
	countPauses  = 20 // times as long as counting took, at least
	countTimeout = 5 * time.Second
)

// CountOpen counts now and then, while the runtime runs, the orders that have not ended, and those of them that are older than deadline.
func CountOpen(runtime *flow.Service, db *pgxpool.Pool, metrics *Metrics, deadline time.Duration, log *slog.Logger) {
	runtime.Behind(func(ctx context.Context) {
		for failed := false; ; {
			began := time.Now()
			open, overdue, err := countOpen(ctx, db, time.Now().Add(-deadline))
			if err == nil {
				metrics.open.Set(float64(open))
				metrics.overdue.Set(float64(overdue))
			} else if !failed && ctx.Err() == nil {
				log.Warn("open orders are not counted", "error", err)
			}
			failed = err != nil
			select {
			case <-time.After(max(countEvery, countPauses*time.Since(began))):
			case <-ctx.Done():
				return
			}
		}
	})
}

// countOpen counts the orders that have not ended, and those of them that were placed before a time.
func countOpen(ctx context.Context, db *pgxpool.Pool, before time.Time) (open, overdue int64, err error) {
	ctx, stop := context.WithTimeout(ctx, countTimeout)
	defer stop()
	err = db.QueryRow(ctx, `
		SELECT count(*), count(*) FILTER (WHERE order_id < $1) FROM orders WHERE ended_at IS NULL`, event.FirstID(before)).Scan(&open, &overdue)
	return open, overdue, err
}
