package postgres

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Config says which database to use.
type Config struct {
	URL      string // postgres://user:password@host/database
	Schema   string // the one schema that the pool sees
	Name     string // application_name, as pg_stat_activity shows it
	MaxConns int32  // 0 leaves it to the pool
	ByKey    bool   // every statement is about some rows, by their keys
	Log      *slog.Logger
	// Patience is how long Open and Migrate wait for a server that does not accept connections yet, and Migrate for others that do
	// the same, START_TIMEOUT; 0 means one try, of ten seconds at most.
	Patience time.Duration
	Told     time.Duration // what an error calls START_TIMEOUT, where Patience is only what is left of it; 0: Patience
}

const (
	connectTimeout = 10 * time.Second       // for one connection, unless the URL names another
	retryPause     = 250 * time.Millisecond // between two attempts at a server that does not answer
	tellEvery      = time.Second            // at most, that it does not
)

// Check tells what is wrong with the URL of a database, as far as that can be seen without dialling it.
func Check(url string) error {
	_, err := parse(url)
	return err
}

func parse(url string) (*pgxpool.Config, error) {
	conf, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("DATABASE_URL: %w; it looks like postgres://user:password@host:5432/database", maskParse(url, err))
	}
	conf.ConnConfig.ConnectTimeout = cmp.Or(conf.ConnConfig.ConnectTimeout, connectTimeout)
	return conf, nil
}

// Open connects and returns a pool. A wrong password, database, permission or certificate is reported at once; a server that is
// not there yet, or has no room, is waited for.
func Open(ctx context.Context, cfg Config) (*pgxpool.Pool, error) {
	conf, err := parse(cfg.URL)
	if err != nil {
		return nil, err
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
	if cfg.ByKey {
		// Plans are kept from the first executions on. One that was made while a table was small would read the whole table for each
		// batch, until statistics are gathered again.
		for _, detour := range []string{"enable_seqscan", "enable_hashjoin", "enable_mergejoin", "jit"} {
			conf.ConnConfig.RuntimeParams[detour] = "off"
		}
	}
	conf.AfterConnect = func(_ context.Context, conn *pgx.Conn) error {
		registerCodecs(conn.TypeMap())
		return nil
	}
	pool, err := pgxpool.NewWithConfig(ctx, conf)
	if err != nil {
		return nil, fmt.Errorf("open database pool: %w", err)
	}
	if err := ping(ctx, pool, cfg); err != nil {
		pool.Close()
		return nil, fmt.Errorf("connect to Postgres at %s:%d, database %q: %w", conf.ConnConfig.Host, conf.ConnConfig.Port, conf.ConnConfig.Database, err)
	}
	return pool, nil
}

// ping connects once, or with patience until it is over, except where waiting does not help.
func ping(ctx context.Context, pool *pgxpool.Pool, cfg Config) error {
	log := cmp.Or(cfg.Log, slog.Default())
	deadline := time.Now().Add(cmp.Or(cfg.Patience, connectTimeout))
	patient, stop := context.WithDeadline(ctx, deadline)
	defer stop()
	var (
		told time.Time
		last error // of the attempt before
	)
	for {
		err := reason(pool.Ping(patient))
		switch {
		case err == nil:
			return nil
		case advice(err) != "":
			return fmt.Errorf("%w; %s", err, advice(err))
		case cfg.Patience == 0:
			return fmt.Errorf("%w (by DATABASE_URL)", err)
		case patient.Err() == nil && time.Now().Before(deadline): // else it was cut off, perhaps a moment before Err tells so
			last = err
		default:
			err = fmt.Errorf("no answer: %w", err)
		}
		if time.Since(told) > tellEvery && patient.Err() == nil {
			log.Warn("Postgres does not answer, trying again", "error", err)
			told = time.Now()
		}
		select {
		case <-time.After(retryPause):
		case <-patient.Done():
			// An attempt that was cut off knows less than the one before.
			if err = cmp.Or(last, err); ctx.Err() != nil {
				return fmt.Errorf("stopped while waiting: %w", err)
			}
			return fmt.Errorf("%w (by DATABASE_URL); gave up after START_TIMEOUT, %s", err, cfg.Patience)
		}
	}
}

// reason leaves out of an error what is said elsewhere: which user and database it is about, and that TLS and plain text, which are
// both tried by default, have failed alike.
func reason(err error) error {
	connect, ok := errors.AsType[*pgconn.ConnectError](err)
	if !ok {
		return err
	}
	err = errors.Unwrap(connect)
	if attempts, ok := err.(interface{ Unwrap() []error }); ok {
		all := attempts.Unwrap()
		if !slices.ContainsFunc(all, func(e error) bool { return e.Error() != all[0].Error() }) {
			return all[0]
		}
	}
	return err
}

// advice tells what to do about a refusal that waiting does not mend, or "".
func advice(err error) string {
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch refused.Code {
		case "28P01", "28000":
			return "check the user and the password in DATABASE_URL"
		case "3D000":
			return "create the database, or name another in DATABASE_URL"
		case "42501":
			return "grant the user CONNECT on the database"
		}
		return ""
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return "the server's certificate is not trusted: name its CA by sslrootcert=/path/to/ca.pem in DATABASE_URL, and the host as the certificate does"
	}
	// The driver has no other name for it. Where plain text would do, that was tried, too, and the error has another line.
	if strings.HasSuffix(err.Error(), "server refused TLS connection") && !strings.Contains(err.Error(), "\n") {
		return "the server does not speak TLS, which sslmode in DATABASE_URL demands"
	}
	return ""
}

// maskParse takes the password out of a parse error, which quotes the URL.
func maskParse(raw string, err error) error {
	if file, ok := errors.AsType[*fs.PathError](err); ok {
		return file // sslrootcert, sslcert or sslkey
	}
	for _, harmless := range []string{"sslmode is invalid", "unable to add CA to cert pool", `both "sslcert" and "sslkey" are required`} {
		if strings.Contains(err.Error(), harmless) {
			return errors.New(harmless)
		}
	}
	if u, parseErr := url.Parse(raw); parseErr == nil {
		if _, has := u.User.Password(); !has {
			return err
		}
	}
	return errors.New("cannot be parsed")
}
