package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

const rollbackTimeout = 5 * time.Second

// Tx is a transaction at the level READ COMMITTED. It is for one goroutine.
type Tx struct {
	conn   *pgxpool.Conn
	queue  pgx.Batch
	begun  bool  // BEGIN was sent
	failed error // the first error; without this, what follows it might run outside of any transaction
	after  []func()
}

// OnCommit has f called when the transaction is committed, and not if it fails.
func (tx *Tx) OnCommit(f func()) { tx.after = append(tx.after, f) }

// Transact runs f in a transaction and commits what it did; if f fails, nothing is done. The error of f is returned as it is.
func Transact(ctx context.Context, pool *pgxpool.Pool, f func(*Tx) error) error {
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("acquire database connection: %w", err)
	}
	defer conn.Release()
	tx := &Tx{conn: conn}
	tx.queue.Queue("begin")
	err = f(tx)
	if err == nil {
		err = tx.commit(ctx)
	}
	if err != nil {
		if tx.begun {
			tx.rollback(ctx)
		}
		return err
	}
	for _, f := range tx.after {
		f()
	}
	return nil
}

// Queue adds a statement that returns nothing. Its errors come with whatever sends it: the next Query, or the end of the
// transaction.
func (tx *Tx) Queue(sql string, args ...any) { tx.queue.Queue(sql, args...) }

// Query sends what is queued and then a query, in one round trip, and collects the query's rows.
func Query[T any](ctx context.Context, tx *Tx, scan pgx.RowToFunc[T], sql string, args ...any) ([]T, error) {
	var collected []T
	Read(tx, scan, &collected, sql, args...)
	err := tx.Send(ctx)
	return collected, err
}

// Read queues a query whose rows are put into *into when it is sent.
func Read[T any](tx *Tx, scan pgx.RowToFunc[T], into *[]T, sql string, args ...any) {
	tx.queue.Queue(sql, args...).Query(func(rows pgx.Rows) (err error) {
		*into, err = pgx.CollectRows(rows, scan)
		return err
	})
}

// Send sends what is queued, in one round trip. After an error the transaction can only be given up; whoever passes over it gets
// it again.
func (tx *Tx) Send(ctx context.Context) error {
	if tx.failed != nil {
		return tx.failed
	}
	queue := tx.queue
	tx.queue, tx.begun = pgx.Batch{}, true
	tx.failed = tx.conn.SendBatch(ctx, &queue).Close()
	return tx.failed
}

func (tx *Tx) commit(ctx context.Context) error {
	if !tx.begun && tx.queue.Len() == 1 {
		return nil // nothing was asked for
	}
	tx.queue.Queue("commit")
	if err := tx.Send(ctx); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	tx.begun = false
	return nil
}

// rollback ends a failed transaction even where ctx is over, so that the connection can be used again; a connection that does
// not answer is closed by its pool.
func (tx *Tx) rollback(ctx context.Context) {
	if tx.conn.Conn().IsClosed() {
		return
	}
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), rollbackTimeout)
	defer stop()
	if _, err := tx.conn.Exec(ctx, "rollback"); err != nil {
		tx.conn.Conn().Close(ctx)
	}
}

// NoRows tells whether err says that there is no such row.
func NoRows(err error) bool { return errors.Is(err, pgx.ErrNoRows) }
