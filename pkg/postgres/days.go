package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	day      = 24 * time.Hour
	daysLock = 0x6f66 // "of": one process at a time makes partitions of a schema
)

// Days is a table that is partitioned by range into days of UTC. Partitions are made ahead, and a day that need not be remembered any
// more is dropped whole, without deleting row by row. The table needs no more than its PARTITION BY RANGE; any number of processes may do
// the same at once.
type Days struct {
	Table string
	First func(day time.Time) string // where a day begins, as the partition key is written
	Keep  time.Duration              // how long rows are to be remembered
	Ahead int                        // so many days from today on have a partition
}

// Window is which days of a table are there to be written.
type Window struct {
	From, To time.Time
	Found    map[time.Time]bool // days that had a partition before; those before From need not be remembered
}

// Make makes the partitions that are needed now and not there yet.
func (d Days) Make(ctx context.Context, db *pgxpool.Pool) (w Window, err error) {
	err = pgx.BeginFunc(ctx, db, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1::int, hashtext(current_schema()))", daysLock); err != nil {
			return err
		}
		// The database's clock, since there is one for all: a host whose clock is wrong must not drop what the others need.
		var now time.Time
		if err := tx.QueryRow(ctx, "SELECT clock_timestamp()").Scan(&now); err != nil {
			return err
		}
		if w, err = d.window(ctx, tx, now.UTC()); err != nil {
			return err
		}
		return d.fill(ctx, tx, w)
	})
	if err != nil {
		return Window{}, fmt.Errorf("make partitions of table %s: %w", d.Table, err)
	}
	return w, nil
}

func (d Days) window(ctx context.Context, tx pgx.Tx, now time.Time) (w Window, err error) {
	w.From, w.To = now.Add(-d.Keep).Truncate(day), now.Truncate(day).Add(time.Duration(d.Ahead)*day)
	w.Found, err = d.Found(ctx, tx)
	return w, err
}

// fill makes what a window has not found. LIKE and ATTACH, since CREATE … PARTITION OF would lock out everybody who uses the table.
func (d Days) fill(ctx context.Context, tx pgx.Tx, w Window) error {
	for at := w.From; at.Before(w.To); at = at.Add(day) {
		if w.Found[at] {
			continue
		}
		sql := fmt.Sprintf(`CREATE TABLE IF NOT EXISTS %[1]s (LIKE %[2]s INCLUDING ALL);
			ALTER TABLE %[2]s ATTACH PARTITION %[1]s FOR VALUES FROM ('%[3]s') TO ('%[4]s')`,
			d.Partition(at), d.Table, d.First(at), d.First(at.Add(day)))
		if _, err := tx.Exec(ctx, sql); err != nil {
			return err
		}
	}
	return nil
}

// Partition names the partition of a day.
func (d Days) Partition(at time.Time) string { return at.Format(d.layout()) }

func (d Days) layout() string { return d.Table + "_20060102" }

// Found lists the days that have a partition.
func (d Days) Found(ctx context.Context, db interface {
	Query(context.Context, string, ...any) (pgx.Rows, error)
}) (map[time.Time]bool, error) {
	rows, err := db.Query(ctx, `
		SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = $1::text::regclass`, d.Table)
	if err != nil {
		return nil, err
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	days := make(map[time.Time]bool, len(names))
	for _, name := range names {
		if at, err := time.Parse(d.layout(), name); err == nil {
			days[at] = true
		}
	}
	return days, err
}

// Drop drops a day. It detaches first, which waits for nobody and stops nobody. Another process may do the same at any moment between the
// steps; what it has done is done.
func (d Days) Drop(ctx context.Context, db *pgxpool.Pool, at time.Time) error {
	name := d.Partition(at)
	detach := fmt.Sprintf("ALTER TABLE %s DETACH PARTITION %s ", d.Table, name)
	_, err := db.Exec(ctx, detach+"CONCURRENTLY")
	var refused *pgconn.PgError
	if errors.As(err, &refused) && refused.Code == "55000" { // another process is at it, or was and crashed
		_, err = db.Exec(ctx, detach+"FINALIZE")
	}
	if err == nil || errors.As(err, &refused) && refused.Code == "42P01" { // it is no partition any more
		_, err = db.Exec(ctx, "DROP TABLE IF EXISTS "+name)
	}
	if err != nil {
		return fmt.Errorf("drop partition %s: %w", name, err)
	}
	return nil
}

// NoPartition tells whether err says that a row has no partition to be in.
func NoPartition(err error) bool {
	var refused *pgconn.PgError
	return errors.As(err, &refused) && refused.Code == "23514" && refused.ConstraintName == ""
}
