package main

import (
	"context"
	_ "embed"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// onHand is how much there is of each product: more than any run asks for.
const onHand = 100_000_000

//go:embed schema.sql
var schema string

// openDatabase connects to the database; everything that it does happens in the schema "peer".
func openDatabase(ctx context.Context, url string, connections int) (*pgxpool.Pool, error) {
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("DATABASE_URL: %w", err)
	}
	cfg.MaxConns = int32(connections)
	cfg.ConnConfig.RuntimeParams["search_path"] = "peer"
	cfg.ConnConfig.RuntimeParams["application_name"] = "peer"
	db, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("DATABASE_URL: %w", err)
	}
	if err := db.Ping(ctx); err != nil {
		db.Close()
		return nil, fmt.Errorf("DATABASE_URL: %w", err)
	}
	return db, nil
}

// createTables makes the tables anew, with stock to order from.
func createTables(ctx context.Context, db *pgxpool.Pool, products []string) error {
	if err := dropTables(ctx, db); err != nil {
		return err
	}
	err := pgx.BeginFunc(ctx, db, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, schema); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `INSERT INTO stock (product_id, available) SELECT unnest($1::text[]), $2`, products, onHand)
		return err
	})
	if err != nil {
		return fmt.Errorf("create the tables: %w", err)
	}
	return nil
}

// dropTables removes all tables, those of Watermill, too.
func dropTables(ctx context.Context, db *pgxpool.Pool) error {
	if _, err := db.Exec(ctx, `DROP SCHEMA IF EXISTS peer CASCADE`); err != nil {
		return fmt.Errorf("drop the tables: %w", err)
	}
	return nil
}
