package postgres

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Config says which database to use.
type Config struct {
	URL      string // postgres://user:password@host/database
	Schema   string // the one schema that the pool sees
	Name     string // application_name, as pg_stat_activity shows it
	MaxConns int32  // 0 leaves it to the pool
	// Patience is how long Open and Migrate wait for a server that does not accept connections yet; 0 means one try.
	Patience time.Duration
}

// retryPause is between two attempts at a server that does not answer.
const retryPause = 250 * time.Millisecond

// Open connects and returns a pool. A wrong password, database or permission is reported at once; a server that is not there
// yet is waited for.
func Open(ctx context.Context, cfg Config) (*pgxpool.Pool, error) {
	conf, err := pgxpool.ParseConfig(cfg.URL)
	if err != nil {
		return nil, fmt.Errorf("DATABASE_URL: %w; it looks like postgres://user:password@host:5432/database", maskParse(cfg.URL, err))
	}
	if cfg.Schema != "" {
		conf.ConnConfig.RuntimeParams["search_path"] = cfg.Schema
	}
	conf.ConnConfig.RuntimeParams["application_name"] = cfg.Name
	// A process that is stopped in the middle of a transaction must not keep its locks from the others for long.
	conf.ConnConfig.RuntimeParams["idle_in_transaction_session_timeout"] = "15s"
	if cfg.MaxConns > 0 {
		conf.MaxConns = cfg.MaxConns
	}
	pool, err := pgxpool.NewWithConfig(ctx, conf)
	if err != nil {
		return nil, fmt.Errorf("open database pool: %w", err)
	}
	where := fmt.Sprintf("connect to Postgres at %s:%d, database %q", conf.ConnConfig.Host, conf.ConnConfig.Port, conf.ConnConfig.Database)
	if err := ping(ctx, pool, cfg.Patience); err != nil {
		pool.Close()
		return nil, fmt.Errorf("%s: %w%s", where, err, advice(err))
	}
	return pool, nil
}

func ping(ctx context.Context, pool *pgxpool.Pool, patience time.Duration) error {
	deadline := time.Now().Add(patience)
	for {
		once, stop := context.WithTimeout(ctx, 10*time.Second)
		err := pool.Ping(once)
		stop()
		if err == nil || advice(err) != "" || time.Now().After(deadline) {
			return err
		}
		select {
		case <-time.After(retryPause):
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		}
	}
}

// advice tells what to do about a refusal that waiting does not mend, or "".
func advice(err error) string {
	var refused *pgconn.PgError
	if !errors.As(err, &refused) {
		return ""
	}
	switch refused.Code {
	case "28P01", "28000":
		return "; check the user and the password in DATABASE_URL"
	case "3D000":
		return "; create the database, or name another in DATABASE_URL"
	case "42501":
		return "; grant the user CONNECT on the database"
	}
	return ""
}

// maskParse takes the password out of a parse error, which quotes the URL.
func maskParse(raw string, err error) error {
	if u, parseErr := url.Parse(raw); parseErr == nil {
		if _, has := u.User.Password(); !has {
			return err
		}
	}
	return errors.New("cannot be parsed")
}
