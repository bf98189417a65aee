package postgres

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
)

// Migrate brings a schema up to date: it makes the schema if there is none, and applies the numbered files of each folder in
// turn, under an advisory lock, so that any number of processes may do it at once. Each folder's progress is kept in the schema,
// in a table "<folder>_migrations". It returns the names of the files that were applied. A connection that breaks is made again
// within cfg.Patience: each file is applied as a whole or not at all.
//
// cfg.Patience bounds the waiting: for connections, for the lock, for a server that says nothing. It does not bound the work: a file
// may take as long as it takes, and does not count. While one is applied the server is pinged on a second connection instead, and given
// up when it has not answered for ten seconds.
//
// Where a later version of the program has migrated the schema, the error is a *[NewerError], and everything that this version
// knows is applied.
func Migrate(ctx context.Context, cfg Config, files fs.FS, folders ...string) (applied []string, err error) {
	deadline := time.Now().Add(cmp.Or(cfg.Patience, connectTimeout))
	var last error // that came before the time was over
	for {
		var names []string
		names, deadline, err = migrate(ctx, cfg, deadline, files, folders)
		applied = append(applied, names...)
		switch {
		case err == nil:
			return applied, nil
		case errors.Is(err, errWaited):
			if last != nil {
				err = last // one that was cut off knows less
			}
			return applied, fmt.Errorf("%w; gave up after START_TIMEOUT, %s", err, cmp.Or(cfg.Told, cfg.Patience))
		case !Lost(err) && !errors.Is(err, errSilent) || cfg.Patience == 0 || !time.Now().Before(deadline):
			return applied, err
		}
		last = err
		cmp.Or(cfg.Log, slog.Default()).Warn("cannot migrate yet, trying again", "error", err)
		select {
		case <-time.After(tellEvery):
		case <-ctx.Done():
			return applied, fmt.Errorf("stopped while waiting: %w", err)
		}
	}
}

// lockPatience is how long a statement waits for a lock on a table. Whoever wants to use the table meanwhile waits behind it, so it gives up soon,
// and tries again later.
const lockPatience = "1s"

// migrate tries it once. It returns the deadline, later by how long it has worked.
func migrate(ctx context.Context, cfg Config, deadline time.Time, files fs.FS, folders []string) ([]string, time.Time, error) {
	schema := cfg.Schema
	conf, err := parse(cfg.URL)
	if err != nil {
		return nil, deadline, fmt.Errorf("migrate schema %q: %w", schema, err)
	}
	conf.ConnConfig.RuntimeParams["search_path"] = schema
	conf.ConnConfig.RuntimeParams["lock_timeout"] = lockPatience
	db := stdlib.OpenDB(*conf.ConnConfig)
	defer db.Close()
	ctx, turn := newTurn(ctx, db, schema, deadline)
	defer turn.end()
	if err := turn.reason(ctx, createSchema(ctx, db, schema)); err != nil {
		return nil, turn.deadline, fmt.Errorf("create schema %q: %w", schema, permitted(err, "CREATE on the database"))
	}
	var applied []string
	var newer error
	for _, folder := range folders {
		names, err := migrateFolder(ctx, turn, files, folder)
		applied = append(applied, names...)
		if _, ok := errors.AsType[*NewerError](err); ok {
			newer = cmp.Or(newer, err)
		} else if err = turn.reason(ctx, err); err != nil {
			return applied, turn.deadline, fmt.Errorf("migrate schema %q: %w", schema, permitted(err, "USAGE and CREATE on the schema, or make it the schema's owner"))
		}
	}
	if newer != nil {
		newer = fmt.Errorf("migrate schema %q: %w", schema, newer)
	}
	return applied, turn.deadline, newer
}

func migrateFolder(ctx context.Context, turn *turn, files fs.FS, folder string) (applied []string, err error) {
	scripts, err := fs.Sub(files, folder)
	if err != nil {
		return nil, err
	}
	provider, err := goose.NewProvider(goose.DialectPostgres, turn.db, scripts,
		goose.WithSessionLocker(turn), goose.WithTableName(turn.schema+"."+folder+"_migrations"), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return nil, err
	}
	results, err := provider.Up(ctx)
	var partial *goose.PartialError
	if errors.As(err, &partial) {
		results, err = partial.Applied, fmt.Errorf("%s/%s: %w", folder, partial.Failed.Source.Path, partial.Err)
	}
	for _, r := range results {
		applied = append(applied, fmt.Sprintf("%s: %s/%s", turn.schema, folder, r.Source.Path))
	}
	if err != nil {
		return applied, err
	}
	return applied, findNewer(ctx, turn.db, folder, provider)
}

// NewerError says that a later version of the program has migrated a schema. Nothing was applied to it: what this one knows lies
// behind it.
type NewerError struct {
	Folder         string
	Applied, Known int64 // the last migration of the folder that was applied, and that the program has
}

// Error says what to do, too.
func (e *NewerError) Error() string {
	return fmt.Sprintf("it is newer than this program: migration %d of %s is applied, and the program knows them up to %d; "+
		"run the version of orderflow that has applied it, or a later one", e.Applied, e.Folder, e.Known)
}

func findNewer(ctx context.Context, db *sql.DB, folder string, provider *goose.Provider) error {
	e := NewerError{Folder: folder}
	for _, source := range provider.ListSources() {
		e.Known = max(e.Known, source.Version)
	}
	err := db.QueryRowContext(ctx, "SELECT coalesce(max(version_id), 0) FROM "+folder+"_migrations").Scan(&e.Applied)
	if err == nil && e.Applied > e.Known {
		err = &e
	}
	return err
}

// permitted adds to a refusal for want of rights which ones are needed.
func permitted(err error, rights string) error {
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok && refused.Code == "42501" {
		return fmt.Errorf("%w; grant the user %s, or run `orderflow migrate` once as a user who may", err, rights)
	}
	return err
}

// createSchema asks first, because even IF NOT EXISTS needs the right to create.
func createSchema(ctx context.Context, db *sql.DB, schema string) error {
	var exists bool
	if err := db.QueryRowContext(ctx, "SELECT to_regnamespace($1) IS NOT NULL", schema).Scan(&exists); err != nil || exists {
		return err
	}
	_, err := db.ExecContext(ctx, "CREATE SCHEMA "+pgx.Identifier{schema}.Sanitize())
	var refused *pgconn.PgError
	if errors.As(err, &refused) && (refused.Code == "42P06" || refused.Code == "23505") {
		return nil // somebody else was faster
	}
	return err
}
