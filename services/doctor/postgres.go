package doctor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"orderflow/migrations"
	"orderflow/pkg/dlq"
	"orderflow/pkg/postgres"
)

// databaseFacts is what Postgres tells.
type databaseFacts struct {
	err      error // why nothing is told
	server   answer[server]
	held     answer[[]transaction] // those that have been open for long
	sessions answer[[]session]     // of services that are connected
	schemas  []schema
	history  schema // of what operators do with dead letters
	clock    answer[skew]
}

// server is Postgres itself and its settings.
type server struct {
	Version             string
	Number              int // 150004
	Role, Database      string
	Size                int64
	Standby             bool
	ReadOnly            string // settings, as they are written
	Fsync               string
	FullPageWrites      string
	SynchronousCommit   string
	MaxConnections      int
	ReservedConnections int
	Backends            int  // of clients
	SeesAll             bool // what other roles do, too
}

// transaction is one that has been open for long. A prepared one has no process.
type transaction struct {
	PID      int
	Role     string
	Program  string
	State    string
	Age      time.Duration
	Prepared string
}

// session is as which role a service is connected.
type session struct{ Service, Role string }

// schema is that of one service.
type schema struct {
	service string
	name    string
	exists  bool
	err     error // it could not be looked at
	denied  bool  // err is for want of rights
	folders []postgres.Progress
	outbox  outbox
	days    map[string]map[time.Time]bool // of each table that has a partition for each day
	now     time.Time                     // by the database's clock
	rights  map[string]rights             // of roles
}

type outbox struct {
	Pending int
	Oldest  time.Duration
}

// rights is what a role may do in a schema.
type rights struct {
	Role  string
	Usage bool
	Make  bool // partitions
	Read  bool // all tables
	Write bool
}

// longTransaction keeps vacuum from cleaning up behind everybody.
const longTransaction = 10 * time.Minute

func seePostgres(ctx context.Context, url string, services []Service) *databaseFacts {
	f := &databaseFacts{}
	db, err := postgres.Open(ctx, postgres.Config{URL: url, Name: "orderflow doctor", MaxConns: 1, Log: slog.New(slog.DiscardHandler)})
	if f.err = err; err != nil {
		return f
	}
	defer db.Close()
	f.clock = seeClock(ctx, db)
	f.server.err = looking(ctx, db, "", func(tx pgx.Tx) (err error) { f.server.value, err = seeServer(ctx, tx); return err })
	f.held.err = looking(ctx, db, "", func(tx pgx.Tx) (err error) { f.held.value, err = seeHeld(ctx, tx); return err })
	f.sessions.err = looking(ctx, db, "", func(tx pgx.Tx) (err error) { f.sessions.value, err = seeSessions(ctx, tx); return err })
	roles := []string{f.server.value.Role}
	for _, s := range f.sessions.value {
		roles = append(roles, s.Role)
	}
	for _, s := range services {
		one := schema{service: s.Name, name: s.Schema}
		one.see(ctx, db, roles, append([]string{"inbox"}, s.Daily...), migrations.Flow, s.Schema)
		f.schemas = append(f.schemas, one)
	}
	f.history = schema{name: dlq.HistorySchema}
	f.history.see(ctx, db, nil, nil, migrations.DLQ)
	if ctx.Err() != nil {
		f.err = fmt.Errorf("it stopped answering: %w", ctx.Err())
	}
	return f
}

// looking runs f in a transaction that cannot change anything.
func looking(ctx context.Context, db *pgxpool.Pool, schema string, f func(pgx.Tx) error) error {
	return pgx.BeginTxFunc(ctx, db, pgx.TxOptions{AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		if schema != "" {
			if _, err := tx.Exec(ctx, "SELECT set_config('search_path', $1, true)", pgx.Identifier{schema}.Sanitize()); err != nil {
				return err
			}
		}
		return f(tx)
	})
}

// seeClock asks several times, and takes the answer that came fastest.
func seeClock(ctx context.Context, db *pgxpool.Pool) (best answer[skew]) {
	for i := range 5 {
		var told time.Time
		asked := time.Now()
		err := db.QueryRow(ctx, "SELECT clock_timestamp()").Scan(&told)
		if err != nil {
			return answer[skew]{err: err}
		}
		if s := compareClocks(asked, told, time.Now(), time.Microsecond); i == 0 || s.width() < best.value.width() {
			best.value = s
		}
	}
	return best
}

func seeServer(ctx context.Context, tx pgx.Tx) (server, error) {
	rows, _ := tx.Query(ctx, `
		SELECT current_setting('server_version') AS version, current_setting('server_version_num')::int AS number,
			current_user::text AS role, current_database()::text AS database, pg_database_size(current_database()) AS size,
			pg_is_in_recovery() AS standby, current_setting('default_transaction_read_only') AS read_only,
			current_setting('fsync') AS fsync, current_setting('full_page_writes') AS full_page_writes,
			current_setting('synchronous_commit') AS synchronous_commit, current_setting('max_connections')::int AS max_connections,
			current_setting('superuser_reserved_connections')::int + coalesce(current_setting('reserved_connections', true)::int, 0) AS reserved_connections,
			(SELECT count(*)::int FROM pg_stat_activity WHERE datid IS NOT NULL AND pid <> pg_backend_pid()) AS backends,
			pg_has_role(current_user, 'pg_read_all_stats', 'USAGE') AS sees_all`)
	return pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[server])
}

// seeHeld leaves autovacuum out, which may take long, and is not to be ended.
func seeHeld(ctx context.Context, tx pgx.Tx) ([]transaction, error) {
	rows, _ := tx.Query(ctx, `
		SELECT pid, coalesce(usename::text, '') AS role, coalesce(application_name, '') AS program, coalesce(state, '') AS state,
			clock_timestamp() - xact_start AS age, '' AS prepared
		FROM pg_stat_activity WHERE backend_type = 'client backend' AND datname = current_database() AND xact_start < clock_timestamp() - $1::interval AND pid <> pg_backend_pid()
		UNION ALL
		SELECT 0, owner::text, '', 'prepared', clock_timestamp() - prepared, gid
		FROM pg_prepared_xacts WHERE database = current_database() AND prepared < clock_timestamp() - $1::interval
		ORDER BY age DESC LIMIT 10`, longTransaction)
	return pgx.CollectRows(rows, pgx.RowToStructByName[transaction])
}

func seeSessions(ctx context.Context, tx pgx.Tx) ([]session, error) {
	rows, _ := tx.Query(ctx, `
		SELECT DISTINCT substr(application_name, length('orderflow ') + 1) AS service, usename::text AS role
		FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'orderflow %' AND usename IS NOT NULL`)
	return pgx.CollectRows(rows, pgx.RowToStructByName[session])
}

// see looks at the schema. What its role may not read ends it, with what it has seen until then.
func (s *schema) see(ctx context.Context, db *pgxpool.Pool, roles, daily []string, folders ...string) {
	s.days, s.rights = map[string]map[time.Time]bool{}, map[string]rights{}
	steps := []func(pgx.Tx) error{
		func(tx pgx.Tx) error {
			return tx.QueryRow(ctx, "SELECT to_regnamespace($1) IS NOT NULL, clock_timestamp()", s.name).Scan(&s.exists, &s.now)
		},
		func(tx pgx.Tx) error { return s.seeRights(ctx, tx, roles) },
	}
	for _, folder := range folders {
		steps = append(steps, func(tx pgx.Tx) error {
			progress, err := postgres.ReadProgress(ctx, tx, migrations.Files, s.name, folder)
			if missing(err) { // nothing of it was applied
				err = nil
			}
			s.folders = append(s.folders, progress)
			return err
		})
	}
	for _, table := range daily {
		steps = append(steps, func(tx pgx.Tx) (err error) {
			s.days[table], err = postgres.Days{Table: table}.Found(ctx, tx)
			return err
		})
	}
	if daily != nil {
		steps = append(steps, func(tx pgx.Tx) error {
			return tx.QueryRow(ctx, `
				SELECT count(*), coalesce(clock_timestamp() - min(created_at), '0'::interval) FROM outbox`).Scan(&s.outbox.Pending, &s.outbox.Oldest)
		})
	}
	for i, step := range steps {
		if i > 0 && !s.exists {
			return
		}
		s.err = looking(ctx, db, s.name, step)
		if missing(s.err) { // judgeMigrations tells
			s.err = nil
			return
		}
		if s.err != nil {
			s.denied = denied(s.err)
			return
		}
	}
}

func (s *schema) seeRights(ctx context.Context, tx pgx.Tx, roles []string) error {
	rows, _ := tx.Query(ctx, `
		SELECT r.name AS role, has_schema_privilege(r.name, n.oid, 'USAGE') AS usage,
			has_schema_privilege(r.name, n.oid, 'CREATE') AND coalesce(bool_and(c.relkind <> 'p' OR pg_has_role(r.name, c.relowner, 'USAGE')), true) AS make,
			coalesce(bool_and(has_table_privilege(r.name, c.oid, 'SELECT')), true) AS read,
			coalesce(bool_and(has_table_privilege(r.name, c.oid, 'INSERT') AND has_table_privilege(r.name, c.oid, 'UPDATE')
				AND has_table_privilege(r.name, c.oid, 'DELETE')), true) AS write
		FROM pg_namespace n CROSS JOIN (SELECT DISTINCT unnest($2::text[]) AS name) r
			LEFT JOIN pg_class c ON c.relnamespace = n.oid AND c.relkind IN ('r', 'p') AND NOT c.relispartition
		WHERE n.nspname = $1 GROUP BY r.name, n.oid`, s.name, roles)
	all, err := pgx.CollectRows(rows, pgx.RowToStructByName[rights])
	for _, one := range all {
		s.rights[one.Role] = one
	}
	return err
}

// missing tells of a table that is not there.
func missing(err error) bool { return isCode(err, "42P01") }

// denied tells of a right that is not there.
func denied(err error) bool { return isCode(err, "42501") }

func isCode(err error, code string) bool {
	refused, ok := errors.AsType[*pgconn.PgError](err)
	return ok && refused.Code == code
}
