package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
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
		select {
		case <-time.After(retryPause):
		case <-ctx.Done():
			return applied, errors.Join(err, ctx.Err())
		}
	}
}

func migrate(ctx context.Context, cfg Config, files fs.FS, folders []string) ([]string, error) {
	schema := cfg.Schema
	conf, err := pgx.ParseConfig(cfg.URL)
	if err != nil {
		return nil, fmt.Errorf("migrate schema %q: DATABASE_URL: %w", schema, maskParse(cfg.URL, err))
	}
	conf.RuntimeParams["search_path"] = schema
	db := stdlib.OpenDB(*conf)
	defer db.Close()
	if err := createSchema(ctx, db, schema); err != nil {
		return nil, fmt.Errorf("create schema %q: %w", schema, err)
	}
	var applied []string
	for _, folder := range folders {
		names, err := migrateFolder(ctx, db, schema, files, folder)
		applied = append(applied, names...)
		if err != nil {
			return applied, fmt.Errorf("migrate schema %q: %w", schema, err)
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
	return applied, err
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
