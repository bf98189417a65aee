package postgres

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

// Migrate brings a schema up to date: it makes the schema if there is none, and applies the numbered files of each folder in
// turn, under an advisory lock, so that any number of processes may do it at once. Each folder's progress is kept in the schema,
// in a table "<folder>_migrations". It returns the names of the files that were applied. A connection that breaks is made again
// within cfg.Patience: each file is applied as a whole or not at all.
func Migrate(ctx context.Context, cfg Config, files fs.FS, folders ...string) (applied []string, err error) {
	deadline := time.Now().Add(cfg.Patience)
	for {
		names, err := migrate(ctx, cfg, files, folders)
		applied = append(applied, names...)
		if err == nil || !Lost(err) || !time.Now().Before(deadline) {
			return applied, err
		}
		cmp.Or(cfg.Log, slog.Default()).Warn("cannot migrate yet, trying again", "error", err)
		select {
		case <-time.After(tellEvery):
		case <-ctx.Done():
			return applied, fmt.Errorf("stopped while waiting: %w", err)
		}
	}
}

func migrate(ctx context.Context, cfg Config, files fs.FS, folders []string) ([]string, error) {
	schema := cfg.Schema
	conf, err := parse(cfg.URL)
	if err != nil {
		return nil, fmt.Errorf("migrate schema %q: %w", schema, err)
	}
	conf.ConnConfig.RuntimeParams["search_path"] = schema
	db := stdlib.OpenDB(*conf.ConnConfig)
	defer db.Close()
	if err := createSchema(ctx, db, schema); err != nil {
		return nil, fmt.Errorf("create schema %q: %w", schema, permitted(err, "CREATE on the database"))
	}
	var applied []string
	for _, folder := range folders {
		names, err := migrateFolder(ctx, db, schema, files, folder)
		applied = append(applied, names...)
		if err != nil {
			return applied, fmt.Errorf("migrate schema %q: %w", schema, permitted(err, "USAGE and CREATE on the schema, or make it the schema's owner"))
		}
	}
	return applied, nil
}

func migrateFolder(ctx context.Context, db *sql.DB, schema string, files fs.FS, folder string) ([]string, error) {
	scripts, err := fs.Sub(files, folder)
	if err != nil {
		return nil, err
	}
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockID(lockID(schema)), lock.WithLockTimeout(1, 120))
	if err != nil {
		return nil, err
	}
	provider, err := goose.NewProvider(goose.DialectPostgres, db, scripts,
		goose.WithSessionLocker(locker), goose.WithTableName(schema+"."+folder+"_migrations"), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return nil, err
	}
	results, err := provider.Up(ctx)
	var partial *goose.PartialError
	if errors.As(err, &partial) {
		results, err = partial.Applied, fmt.Errorf("%s/%s: %w", folder, partial.Failed.Source.Path, partial.Err)
	}
	var applied []string
	for _, r := range results {
		applied = append(applied, fmt.Sprintf("%s: %s/%s", schema, folder, r.Source.Path))
	}
	if err != nil {
		return applied, err
	}
	return applied, refuseNewer(ctx, db, folder, provider)
}

// refuseNewer reports a schema that a later version of the program has changed. Nothing was applied to it: what this one knows lies
// behind it.
func refuseNewer(ctx context.Context, db *sql.DB, folder string, provider *goose.Provider) error {
	var applied, known int64
	for _, source := range provider.ListSources() {
		known = max(known, source.Version)
	}
	err := db.QueryRowContext(ctx, "SELECT coalesce(max(version_id), 0) FROM "+folder+"_migrations").Scan(&applied)
	if err == nil && applied > known {
		err = fmt.Errorf("it is newer than this program: migration %d of %s is applied, and the program knows them up to %d; "+
			"run the version of orderflow that has applied it, or a later one", applied, folder, known)
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

func lockID(schema string) int64 {
	h := fnv.New64a()
	h.Write([]byte("orderflow/" + schema))
	return int64(h.Sum64() >> 1)
}
