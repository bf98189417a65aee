package postgres

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	fetchRows    = 5000
	snapshotIdle = "5min" // one stream of a snapshot may have to wait for another
)

// Snapshot sees everything as it was committed at one moment, and changes nothing. It is for one goroutine, which closes it.
type Snapshot struct {
	Taken   time.Time // by the database's clock
	tx      pgx.Tx
	cursors int
}

// TakeSnapshot takes a snapshot of now.
func TakeSnapshot(ctx context.Context, pool *pgxpool.Pool) (*Snapshot, error) {
	tx, err := pool.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return nil, err
	}
	s := &Snapshot{tx: tx}
	// It is the first query that fixes what is seen, and not BEGIN.
	err = tx.QueryRow(ctx, "SELECT clock_timestamp() FROM set_config('idle_in_transaction_session_timeout', $1, true)", snapshotIdle).Scan(&s.Taken)
	if err != nil {
		s.Close(ctx)
		return nil, err
	}
	return s, nil
}

// Close ends the snapshot, even where ctx is over.
func (s *Snapshot) Close(ctx context.Context) {
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), rollbackTimeout)
	defer stop()
	s.tx.Rollback(ctx) // a connection on which it fails is thrown away by its pool
}

// Rows reads the rows of a query through a cursor, some at a time: so many queries may be read side by side, and only a few rows
// of each are in memory. The first error is the last that comes.
func Rows[T any](ctx context.Context, s *Snapshot, scan pgx.RowToFunc[T], sql string, args ...any) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		s.cursors++
		cursor := fmt.Sprintf("cursor_%d", s.cursors)
		_, err := s.tx.Exec(ctx, "DECLARE "+cursor+" NO SCROLL CURSOR FOR "+sql, args...)
		for page := make([]T, 0, fetchRows); err == nil; {
			// Cursors of one name have different columns from snapshot to snapshot, so what a FETCH returns is not cached.
			rows, _ := s.tx.Query(ctx, fmt.Sprintf("FETCH %d FROM %s", fetchRows, cursor), pgx.QueryExecModeDescribeExec)
			if page, err = pgx.AppendRows(page[:0], rows, scan); err != nil {
				break
			}
			for _, row := range page {
				if !yield(row, nil) {
					return
				}
			}
			if len(page) < fetchRows {
				return
			}
		}
		yield(*new(T), err)
	}
}
