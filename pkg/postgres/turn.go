package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"hash/fnv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// silence is how long a server may leave a ping unanswered while it migrates.
const silence = 10 * time.Second

var (
	errWaited = errors.New("the time to wait is over")
	errSilent = fmt.Errorf("no answer for %s while it was migrated", silence)
)

// turn is a process's turn to migrate a schema. Until it has come, and after it, what it does is waiting, which ends at the deadline.
// While it lasts, the deadline does not count; the server is watched instead.
type turn struct {
	schema   string
	db       *sql.DB
	deadline time.Time
	giveUp   context.CancelCauseFunc // of everything that is done meanwhile
	timer    *time.Timer             // gives up at the deadline

	others   bool // somebody else's turn it was, when last asked
	began    time.Time
	stop     context.CancelFunc // of the watch
	watching sync.WaitGroup
}

// newTurn returns a context that ends when there is no sense in going on, by which cause, and is free after end.
func newTurn(ctx context.Context, db *sql.DB, schema string, deadline time.Time) (context.Context, *turn) {
	ctx, giveUp := context.WithCancelCause(ctx)
	t := &turn{schema: schema, db: db, deadline: deadline, giveUp: giveUp}
	t.timer = time.AfterFunc(time.Until(deadline), func() { giveUp(errWaited) })
	return ctx, t
}

func (t *turn) end() {
	t.timer.Stop()
	t.giveUp(nil)
}

// SessionLock takes the advisory lock. It asks again and again, because an index cannot be built concurrently while a statement waits.
func (t *turn) SessionLock(ctx context.Context, conn *sql.Conn) error {
	for {
		var mine bool
		if err := conn.QueryRowContext(ctx, "SELECT pg_try_advisory_lock($1)", lockID(t.schema)).Scan(&mine); err != nil {
			return fmt.Errorf("lock: %w", err)
		}
		if t.others = !mine; mine {
			t.begin(ctx)
			return nil
		}
		select {
		case <-time.After(retryPause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (t *turn) begin(ctx context.Context) {
	t.timer.Stop()
	t.began = time.Now()
	ctx, t.stop = context.WithCancel(ctx)
	t.watching.Go(func() { t.watch(ctx) })
}

// SessionUnlock gives the lock back.
func (t *turn) SessionUnlock(ctx context.Context, conn *sql.Conn) error {
	t.stop()
	t.watching.Wait()
	t.deadline = t.deadline.Add(time.Since(t.began))
	t.timer.Reset(time.Until(t.deadline))
	ctx, stop := context.WithTimeout(ctx, rollbackTimeout)
	defer stop()
	if _, err := conn.ExecContext(ctx, "SELECT pg_advisory_unlock($1)", lockID(t.schema)); err != nil {
		return fmt.Errorf("unlock: %w", err)
	}
	return nil
}

// watch pings the server on a second connection: one that is healthy answers, however long a statement takes on the first.
func (t *turn) watch(ctx context.Context) {
	for heard := time.Now(); ; {
		select {
		case <-time.After(tellEvery):
		case <-ctx.Done():
			return
		}
		ping, stop := context.WithTimeout(ctx, silence)
		err := t.db.PingContext(ping)
		stop()
		if _, refused := errors.AsType[*pgconn.PgError](err); refused || err == nil {
			heard = time.Now()
		} else if ctx.Err() == nil && time.Since(heard) >= silence {
			t.giveUp(errSilent)
			return
		}
	}
}

// reason is why err came about.
func (t *turn) reason(ctx context.Context, err error) error {
	switch cause := context.Cause(ctx); {
	case err == nil || cause == nil:
		return err
	case errors.Is(cause, errWaited) && t.others:
		return fmt.Errorf("another process migrates it: %w", errWaited)
	case errors.Is(cause, errWaited):
		return fmt.Errorf("no answer (by DATABASE_URL): %w", errWaited)
	case errors.Is(cause, errSilent):
		return errSilent
	}
	return err
}

func lockID(schema string) int64 {
	h := fnv.New64a()
	h.Write([]byte("orderflow/" + schema))
	return int64(h.Sum64() >> 1)
}
