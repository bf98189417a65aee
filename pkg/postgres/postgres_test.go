package postgres

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"orderflow/pkg/devstack/devtest"
)

func TestMain(m *testing.M) { devtest.Main(m) }

// pool is a pool of one connection, so that a test sees what a transaction leaves behind on it.
func pool(t *testing.T, env *devtest.Env) *pgxpool.Pool {
	t.Helper()
	p, err := Open(t.Context(), Config{URL: env.DatabaseURL, Name: t.Name(), MaxConns: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// numbers is a pool on a database with a table of numbers that must be positive.
func numbers(t *testing.T) *pgxpool.Pool {
	t.Helper()
	p := pool(t, devtest.New(t))
	if _, err := p.Exec(t.Context(), "CREATE TABLE numbers (n int PRIMARY KEY CHECK (n > 0))"); err != nil {
		t.Fatal(err)
	}
	return p
}

func count(t *testing.T, p *pgxpool.Pool) (n int) {
	t.Helper()
	if err := p.QueryRow(t.Context(), "SELECT count(*) FROM numbers").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

const insert = "INSERT INTO numbers VALUES ($1)"

func TestTransactCommits(t *testing.T) {
	p := numbers(t)
	var doubled []int
	err := Transact(t.Context(), p, func(tx *Tx) error {
		tx.Queue(insert, 1)
		tx.Queue(insert, 2)
		got, err := Query(t.Context(), tx, pgx.RowTo[int], "SELECT 2 * n FROM numbers ORDER BY n")
		if err != nil {
			return err
		}
		if len(got) != 2 || got[0] != 2 || got[1] != 4 {
			t.Errorf("the query sees %v, want what was queued before it", got)
		}
		tx.Queue(insert, 3)
		Read(tx, pgx.RowTo[int], &doubled, "SELECT 2 * n FROM numbers ORDER BY n DESC LIMIT 1")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := count(t, p); n != 3 || len(doubled) != 1 || doubled[0] != 6 {
		t.Errorf("%d rows and %v, want 3 rows and [6]", n, doubled)
	}
}

func TestTransactOfNothing(t *testing.T) {
	if err := Transact(t.Context(), numbers(t), func(*Tx) error { return nil }); err != nil {
		t.Error(err)
	}
}

// Whatever fails in a transaction, nothing of it stays, the error is told, and the connection goes on working.
func TestTransactRollsBack(t *testing.T) {
	p := numbers(t)
	mine := errors.New("mine")
	isCheck := func(err error) bool {
		var refused *pgconn.PgError
		return errors.As(err, &refused) && refused.Code == "23514"
	}
	for name, c := range map[string]struct {
		f    func(*Tx) error
		told func(error) bool
	}{
		"an error before anything is sent": {func(tx *Tx) error { tx.Queue(insert, 1); return mine },
			func(err error) bool { return err == mine }},
		"an error after a query": {func(tx *Tx) error {
			tx.Queue(insert, 1)
			if _, err := Query(t.Context(), tx, pgx.RowTo[int], "SELECT n FROM numbers"); err != nil {
				t.Error(err)
			}
			return mine
		}, func(err error) bool { return err == mine }},
		"a queued statement that travels with a query": {func(tx *Tx) error {
			tx.Queue(insert, 1)
			tx.Queue(insert, -1)
			_, err := Query(t.Context(), tx, pgx.RowTo[int], "SELECT n FROM numbers")
			return err
		}, isCheck},
		"a queued statement that travels with the commit": {func(tx *Tx) error {
			tx.Queue(insert, 1)
			tx.Queue(insert, -1)
			return nil
		}, isCheck},
		"a query": {func(tx *Tx) error {
			tx.Queue(insert, 1)
			_, err := Query(t.Context(), tx, pgx.RowTo[int], "SELECT nonsense")
			return err
		}, func(err error) bool { return err != nil }},
		"a query whose error is passed over": {func(tx *Tx) error {
			tx.Queue(insert, 1)
			Query(t.Context(), tx, pgx.RowTo[int], "SELECT nonsense")
			tx.Queue(insert, 2)
			return nil
		}, func(err error) bool { return err != nil }},
		"rows that do not fit": {func(tx *Tx) error {
			tx.Queue(insert, 1)
			_, err := Query(t.Context(), tx, pgx.RowTo[int], "SELECT 'text'")
			return err
		}, func(err error) bool { return err != nil }},
		"a context that ends in a query": {func(tx *Tx) error {
			tx.Queue(insert, 1)
			ctx, stop := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer stop()
			_, err := Query(ctx, tx, pgx.RowTo[any], "SELECT pg_sleep(60)")
			return err
		}, func(err error) bool { return errors.Is(err, context.DeadlineExceeded) }},
	} {
		t.Run(name, func(t *testing.T) {
			ran := false
			err := Transact(t.Context(), p, func(tx *Tx) error {
				tx.OnCommit(func() { ran = true })
				return c.f(tx)
			})
			if !c.told(err) {
				t.Errorf("error %v", err)
			}
			if ran {
				t.Error("what was for the commit has run")
			}
			if n := count(t, p); n != 0 {
				t.Fatalf("%d rows stay", n)
			}
			if err := Transact(t.Context(), p, func(tx *Tx) error {
				tx.Queue("SELECT 1")
				return nil
			}); err != nil {
				t.Errorf("the next transaction: %v", err)
			}
		})
	}
}

func TestTransactOfAPanic(t *testing.T) {
	p := numbers(t)
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was swallowed")
			}
		}()
		Transact(t.Context(), p, func(tx *Tx) error {
			tx.Queue(insert, 1)
			Query(t.Context(), tx, pgx.RowTo[int], "SELECT n FROM numbers")
			panic("boom")
		})
	}()
	if n := count(t, p); n != 0 {
		t.Errorf("%d rows stay", n)
	}
}

func TestTransactLosesItsConnection(t *testing.T) {
	env := devtest.New(t)
	p := pool(t, env)
	if _, err := p.Exec(t.Context(), "CREATE TABLE numbers (n int PRIMARY KEY)"); err != nil {
		t.Fatal(err)
	}
	other := pool(t, env)
	err := Transact(t.Context(), p, func(tx *Tx) error {
		tx.Queue(insert, 1)
		pid, err := Query(t.Context(), tx, pgx.RowTo[int], "SELECT pg_backend_pid()")
		if err != nil {
			return err
		}
		if _, err := other.Exec(t.Context(), "SELECT pg_terminate_backend($1, 10000)", pid[0]); err != nil {
			return err
		}
		_, err = Query(t.Context(), tx, pgx.RowTo[int], "SELECT 1")
		return err
	})
	if err == nil {
		t.Error("no error")
	}
	if n := count(t, p); n != 0 {
		t.Errorf("%d rows stay", n)
	}
}

func TestTransactSurvivesAServerThatIsKilled(t *testing.T) {
	env := devtest.Own(t)
	p := pool(t, &env.Env)
	if _, err := p.Exec(t.Context(), "CREATE TABLE numbers (n int PRIMARY KEY)"); err != nil {
		t.Fatal(err)
	}
	insertOne := func(n int) error {
		return Transact(t.Context(), p, func(tx *Tx) error { tx.Queue(insert, n); return nil })
	}
	if err := insertOne(1); err != nil {
		t.Fatal(err)
	}
	env.KillPostgres()
	if err := insertOne(2); err == nil {
		t.Error("a transaction in a dead server")
	}
	env.StartPostgres()
	if err := insertOne(3); err != nil {
		t.Errorf("after the server is back: %v", err)
	}
	if n := count(t, p); n != 2 {
		t.Errorf("%d rows, want 2", n)
	}
}

// A typical transaction takes two round trips: what the package promises, measured at the socket.
func TestTransactTravelsTogether(t *testing.T) {
	p := numbers(t)
	trips := &countingDialer{}
	poolConf, err := pgxpool.ParseConfig(p.Config().ConnString())
	if err != nil {
		t.Fatal(err)
	}
	poolConf.ConnConfig.DialFunc, poolConf.MaxConns = trips.dial, 1
	counted, err := pgxpool.NewWithConfig(t.Context(), poolConf)
	if err != nil {
		t.Fatal(err)
	}
	defer counted.Close()
	work := func(n int) {
		t.Helper()
		if err := Transact(t.Context(), counted, func(tx *Tx) error {
			tx.Queue("SELECT 1")
			if _, err := Query(t.Context(), tx, pgx.RowTo[int], "SELECT n FROM numbers"); err != nil {
				return err
			}
			tx.Queue(insert, n)
			tx.Queue("SELECT 1")
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	work(1) // prepares the statements
	before := trips.writes()
	work(2)
	if n := trips.writes() - before; n != 2 {
		t.Errorf("a transaction took %d round trips, want 2", n)
	}
}

// countingDialer counts the writes of its connections: one for each round trip, of this size.
type countingDialer struct {
	mu sync.Mutex
	n  int
}

func (d *countingDialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, network, address)
	return &countingConn{c, d}, err
}

func (d *countingDialer) writes() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.n
}

type countingConn struct {
	net.Conn
	dialer *countingDialer
}

func (c *countingConn) Write(b []byte) (int, error) {
	c.dialer.mu.Lock()
	c.dialer.n++
	c.dialer.mu.Unlock()
	return c.Conn.Write(b)
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	env := devtest.New(t)
	change := func(f func(*url.URL)) string {
		u, err := url.Parse(env.DatabaseURL)
		if err != nil {
			t.Fatal(err)
		}
		f(u)
		return u.String()
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	for name, c := range map[string]struct {
		url      string
		patience time.Duration
		words    []string
	}{
		"wrong password": {change(func(u *url.URL) { u.User = url.UserPassword(u.User.Username(), "top-secret") }), time.Minute,
			[]string{"connect to Postgres at", "check the user and the password in DATABASE_URL"}},
		"no database": {change(func(u *url.URL) { u.Path = "/nowhere" }), time.Minute, []string{`"nowhere"`, "create the database"}},
		"refused": {change(func(u *url.URL) { u.Host, u.User = l.Addr().String(), url.UserPassword("u", "top-secret") }), 0,
			[]string{l.Addr().String(), "refused"}},
		"not a URL": {"postgres://u:top-secret@host:port/db", 0, []string{"DATABASE_URL", "postgres://"}},
		"no TLS there": {change(func(u *url.URL) { u.RawQuery = "sslmode=require" }), time.Minute,
			[]string{"connect to Postgres at", "the server does not speak TLS, which sslmode in DATABASE_URL demands"}},
		"no such CA":     {"postgres://u:top-secret@host/db?sslmode=verify-full&sslrootcert=/nowhere/ca.pem", 0, []string{"DATABASE_URL: open /nowhere/ca.pem"}},
		"no such mode":   {"postgres://u:top-secret@host/db?sslmode=always", 0, []string{"DATABASE_URL: sslmode is invalid"}},
		"also not a URL": {"host=h password=top-secret port=x", 0, []string{"DATABASE_URL", "postgres://"}},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, stop := context.WithTimeout(t.Context(), 20*time.Second)
			defer stop()
			p, err := Open(ctx, Config{URL: c.url, Patience: c.patience})
			if err == nil {
				p.Close()
				t.Fatal("no error")
			}
			if ctx.Err() != nil {
				t.Fatalf("Open hung, and then said %v", err)
			}
			for _, w := range c.words {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("the error %q does not say %q", err, w)
				}
			}
			if strings.Contains(err.Error(), "top-secret") {
				t.Errorf("the error %q tells the password", err)
			}
		})
	}
}

func TestOpenSeesItsSchemaOnly(t *testing.T) {
	env := devtest.New(t)
	files := fstest.MapFS{"one/00001_a.sql": {Data: []byte("-- +goose Up\nCREATE TABLE a (n int);")}}
	if _, err := Migrate(t.Context(), Config{URL: env.DatabaseURL, Schema: "mine"}, files, "one"); err != nil {
		t.Fatal(err)
	}
	p, err := Open(t.Context(), Config{URL: env.DatabaseURL, Schema: "mine", Name: "a name"})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	var schema, name string
	if err := p.QueryRow(t.Context(), "SELECT current_schema(), current_setting('application_name')").Scan(&schema, &name); err != nil {
		t.Fatal(err)
	}
	if schema != "mine" || name != "a name" {
		t.Errorf("schema %q, name %q", schema, name)
	}
	if _, err := p.Exec(t.Context(), "SELECT n FROM a"); err != nil {
		t.Error(err)
	}
}

// scripts are migrations of two folders, of which those of "slow" take a while.
var scripts = fstest.MapFS{
	"common/00001_base.sql": {Data: []byte("-- +goose Up\nCREATE TABLE base (n int);\n-- +goose Down\nDROP TABLE base;")},
	"own/00001_first.sql":   {Data: []byte("-- +goose Up\nSELECT pg_sleep(0.2);\nCREATE TABLE first (n int);")},
	"own/00002_second.sql":  {Data: []byte("-- +goose Up\nALTER TABLE first ADD m int;")},
}

func TestMigrateByMany(t *testing.T) {
	env := devtest.New(t)
	var wait sync.WaitGroup
	var mu sync.Mutex
	times := map[string]int{}
	for range 4 {
		wait.Go(func() {
			for _, schema := range []string{"a", "b"} {
				applied, err := Migrate(t.Context(), Config{URL: env.DatabaseURL, Schema: schema}, scripts, "common", "own")
				if err != nil {
					t.Errorf("schema %s: %v", schema, err)
				}
				mu.Lock()
				for _, name := range applied {
					times[name]++
				}
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	for _, schema := range []string{"a", "b"} {
		for name := range scripts {
			if n := times[schema+": "+name]; n != 1 {
				t.Errorf("%s was applied to schema %s %d times: %v", name, schema, n, times)
			}
		}
		if _, err := pool(t, env).Exec(t.Context(), fmt.Sprintf("SELECT m FROM %s.first, %s.base", schema, schema)); err != nil {
			t.Error(err)
		}
	}
}

func TestMigrateFailsAsAWhole(t *testing.T) {
	env := devtest.New(t)
	broken := fstest.MapFS{
		"own/00001_good.sql": {Data: []byte("-- +goose Up\nCREATE TABLE good (n int);")},
		"own/00002_bad.sql":  {Data: []byte("-- +goose Up\nCREATE TABLE half (n int);\nSELECT nonsense;")},
	}
	applied, err := Migrate(t.Context(), Config{URL: env.DatabaseURL, Schema: "s"}, broken, "own")
	if err == nil || !strings.Contains(err.Error(), "00002_bad.sql") || !strings.Contains(err.Error(), `"s"`) {
		t.Errorf("error %v, want one that names the schema and the file", err)
	}
	if len(applied) > 1 {
		t.Errorf("applied: %v", applied)
	}
	var half bool
	if err := pool(t, env).QueryRow(t.Context(), "SELECT to_regclass('s.half') IS NOT NULL").Scan(&half); err != nil || half {
		t.Errorf("half of a migration stays: %v, %v", half, err)
	}
	broken["own/00002_bad.sql"] = &fstest.MapFile{Data: []byte("-- +goose Up\nCREATE TABLE half (n int);")}
	if applied, err = Migrate(t.Context(), Config{URL: env.DatabaseURL, Schema: "s"}, broken, "own"); err != nil || len(applied) != 1 {
		t.Errorf("after it is mended: applied %v, error %v", applied, err)
	}
}

// An older program does not touch what a newer one has made, but does its own.
func TestMigrateOfANewerSchema(t *testing.T) {
	env := devtest.New(t)
	cfg := Config{URL: env.DatabaseURL, Schema: "s"}
	newer := fstest.MapFS{"own/00007_later.sql": {Data: []byte("-- +goose Up\nCREATE TABLE later (n int);")}}
	maps.Copy(newer, scripts)
	if _, err := Migrate(t.Context(), cfg, newer, "own"); err != nil {
		t.Fatal(err)
	}
	applied, err := Migrate(t.Context(), cfg, scripts, "own", "common")
	e, ok := errors.AsType[*NewerError](err)
	if !ok || *e != (NewerError{"own", 7, 2}) || !slices.Equal(applied, []string{"s: common/00001_base.sql"}) {
		t.Fatalf("applied %v, error %v", applied, err)
	}
	for _, word := range []string{`schema "s"`, "migration 7 of own", "up to 2", "run the version of orderflow that has applied it"} {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("the error %q does not say %q", err, word)
		}
	}
	if _, err := Migrate(t.Context(), cfg, newer, "common", "own"); err != nil {
		t.Errorf("the newer program: %v", err)
	}
}

func TestMigrateSaysWhatIsWrong(t *testing.T) {
	for _, u := range []string{"postgres://u:top-secret@host:port/db", "postgres://u:top-secret@127.0.0.1:1/db"} {
		_, err := Migrate(t.Context(), Config{URL: u, Schema: "s"}, scripts, "own")
		if err == nil || !strings.Contains(err.Error(), `schema "s"`) || strings.Contains(err.Error(), "top-secret") {
			t.Errorf("%s: error %v", u, err)
		}
	}
}
