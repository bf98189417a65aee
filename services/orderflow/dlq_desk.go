package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/user"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/spf13/cobra"
	"go.opentelemetry.io/otel/trace"

	"orderflow/migrations"
	"orderflow/pkg/broker"
	"orderflow/pkg/dlq"
	"orderflow/pkg/flow"
	"orderflow/pkg/postgres"
	"orderflow/pkg/telemetry"
)

// desk is what an operator works with: the broker, and a database where there is one.
type desk struct {
	*broker.Broker
	inboxes dlq.Inboxes
	history *dlq.History // nil without a database
	pools   []*pgxpool.Pool
	tracer  trace.Tracer // nil: what is sent leaves no spans
}

// withBroker runs f with a connection for an operator: tried once, and silent but for warnings.
func withBroker(cmd *cobra.Command, f func(*broker.Broker) error) error {
	cfg, err := loadConfig()
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	b, err := broker.Open(cmd.Context(), broker.Config{URLs: cfg.AMQPURLs, Name: "orderflow dlq", Log: log})
	if err != nil {
		return err
	}
	defer b.Close()
	return f(b)
}

// databaseFlag adds --no-database.
func databaseFlag(cmd *cobra.Command, without *bool) {
	cmd.Flags().BoolVar(without, "no-database", false, "go on without DATABASE_URL: nobody tells what was handled, nothing is written into the history")
}

// withDesk runs f with all that an operator works with. Where DATABASE_URL is not set, it does without.
func withDesk(cmd *cobra.Command, withoutDatabase bool, f func(*desk) error) error {
	return withBroker(cmd, func(b *broker.Broker) error {
		d := &desk{Broker: b}
		closeTracing, err := d.openTracing(cmd)
		if err != nil {
			return err
		}
		defer closeTracing()
		defer func() {
			for _, pool := range d.pools {
				pool.Close()
			}
		}()
		if os.Getenv("DATABASE_URL") == "" || withoutDatabase {
			return f(d)
		}
		if err := d.openDatabase(cmd.Context()); err != nil {
			return fmt.Errorf("%w; to do without the database, use --no-database", err)
		}
		return f(d)
	})
}

// openTracing lets what is sent be seen in the traces of its orders, where traces are asked for, and returns what ends that.
func (d *desk) openTracing(cmd *cobra.Command) (end func(), err error) {
	cfg, err := loadConfig()
	if err != nil {
		return nil, err
	}
	log := slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	tracing, err := telemetry.OpenTracing(cmd.Context(), cfg.tracing(log))
	if err != nil {
		return nil, err
	}
	d.tracer = tracing.Tracer("orderflow-dlq")
	return func() { closeTracing(tracing, log) }, nil
}

func (d *desk) openDatabase(ctx context.Context) error {
	cfg, err := loadConfig()
	if err != nil {
		return err
	}
	d.inboxes = dlq.Inboxes{}
	for _, s := range services {
		db, err := d.pool(ctx, cfg, s.schema)
		if err != nil {
			return err
		}
		memory, err := flow.OpenMemory(ctx, db)
		if refused, ok := errors.AsType[*pgconn.PgError](err); ok && (refused.Code == "42P01" || refused.Code == "3F000") {
			continue // the service has never run
		}
		if err != nil {
			return fmt.Errorf("service %s: %w", s.name, err)
		}
		for _, subscription := range s.subscriptions() {
			d.inboxes[subscription.Queue] = memory
		}
	}
	return nil
}

// openHistory opens the history, and makes it where there is none yet, if that may be.
func (d *desk) openHistory(ctx context.Context, plan uuid.UUID, make bool) error {
	if d.inboxes == nil || d.history != nil {
		return nil
	}
	cfg, err := loadConfig()
	if err != nil {
		return err
	}
	if make {
		_, err = postgres.Migrate(ctx, postgres.Config{URL: cfg.DatabaseURL, Schema: dlq.HistorySchema, Name: "orderflow dlq"}, migrations.Files, migrations.DLQ)
		if _, newer := errors.AsType[*postgres.NewerError](err); err != nil && !newer {
			return fmt.Errorf("the history: %w; to do without the database, use --no-database", err)
		}
	}
	db, err := d.pool(ctx, cfg, dlq.HistorySchema)
	if err != nil {
		return err
	}
	var role string
	if err := db.QueryRow(ctx, "SELECT current_user").Scan(&role); err != nil {
		return fmt.Errorf("the history: %w", err)
	}
	d.history = &dlq.History{DB: db, Who: operator() + ", " + role, Plan: plan}
	return nil
}

func (d *desk) pool(ctx context.Context, cfg config, schema string) (*pgxpool.Pool, error) {
	db, err := postgres.Open(ctx, postgres.Config{URL: cfg.DatabaseURL, Schema: schema, Name: "orderflow dlq", MaxConns: 1, ByKey: true})
	if err == nil {
		d.pools = append(d.pools, db)
	}
	return db, err
}

// operator is who runs this, as far as the system knows: user@host.
func operator() string {
	name := os.Getenv("SUDO_USER")
	if u, err := user.Current(); err == nil && name == "" {
		name = u.Username
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return cmp.Or(name, "unknown") + "@" + host
}
