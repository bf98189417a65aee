package postgres

import (
	"context"
	"errors"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"orderflow/pkg/devstack/devtest"
)

// some is a pool on a database with the numbers from 1 to n.
func some(t *testing.T, n int) *pgxpool.Pool {
	t.Helper()
	p, err := Open(t.Context(), Config{URL: devtest.New(t).DatabaseURL, Name: t.Name(), MaxConns: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	change(t, p, "CREATE TABLE numbers AS SELECT * FROM generate_series(1, $1::int) AS n", n)
	return p
}

func change(t *testing.T, p *pgxpool.Pool, sql string, args ...any) {
	t.Helper()
	if _, err := p.Exec(t.Context(), sql, args...); err != nil {
		t.Fatal(err)
	}
}

func snapshot(t *testing.T, p *pgxpool.Pool) *Snapshot {
	t.Helper()
	s, err := TakeSnapshot(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Streams of one snapshot are read side by side, page after page, and see the moment at which it was taken.
func TestSnapshot(t *testing.T) {
	const n = 2*fetchRows + 1
	p := some(t, n)
	s := snapshot(t, p)
	change(t, p, "UPDATE numbers SET n = -n")
	up, stopUp := iter.Pull2(Rows(t.Context(), s, pgx.RowTo[int], "SELECT n FROM numbers ORDER BY n"))
	defer stopUp()
	down, stopDown := iter.Pull2(Rows(t.Context(), s, pgx.RowTo[string], "SELECT n::text FROM numbers WHERE n >= $1 ORDER BY n DESC", fetchRows+2))
	defer stopDown()
	for i := 1; i <= n; i++ {
		if got, err, ok := up(); got != i || err != nil || !ok {
			t.Fatalf("row %d is %d, %v, %v", i, got, err, ok)
		}
		got, err, ok := down()
		if err != nil || ok != (i <= fetchRows) {
			t.Fatalf("row %d from above is %q, %v, %v", i, got, err, ok)
		}
	}
	if _, err, ok := up(); err != nil || ok {
		t.Errorf("after the last row: %v, %v", err, ok)
	}
	for range Rows(t.Context(), s, pgx.RowTo[int], "SELECT n FROM numbers") {
		break // who has seen enough goes
	}
	s.Close(t.Context())
	if got := p.Stat().AcquiredConns(); got != 0 {
		t.Errorf("%d connections are held", got)
	}
	later := snapshot(t, p)
	defer later.Close(t.Context())
	for got, err := range Rows(t.Context(), later, pgx.RowTo[int], "SELECT max(n) FROM numbers") {
		if got != -1 || err != nil || !later.Taken.After(s.Taken) || time.Since(s.Taken).Abs() > time.Minute {
			t.Errorf("a later snapshot sees %d, %v; taken at %s and %s", got, err, s.Taken, later.Taken)
		}
	}
}

func TestSnapshotFails(t *testing.T) {
	p := some(t, 10)
	for sql, want := range map[string]string{
		"SELECT n FROM nowhere":                           "nowhere",
		"SELECT 1 / (n - 5) FROM numbers ORDER BY n":      "division by zero",
		"SELECT 'word'":                                   "cannot scan",
		"DELETE FROM numbers RETURNING n":                 "syntax error",
		"WITH d AS (DELETE FROM numbers) SELECT 1 AS one": "data-modifying",
	} {
		s := snapshot(t, p)
		var last error
		for _, err := range Rows(t.Context(), s, pgx.RowTo[int], sql) {
			last = err
		}
		if last == nil || !strings.Contains(last.Error(), want) {
			t.Errorf("%s: %v, want %q", sql, last, want)
		}
		s.Close(t.Context())
	}
	if n := count(t, p); n != 10 {
		t.Errorf("%d numbers are left", n)
	}
	ctx, stop := context.WithCancel(t.Context())
	s := snapshot(t, p)
	stop()
	for _, err := range Rows(ctx, s, pgx.RowTo[int], "SELECT n FROM numbers") {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("a context that is over: %v", err)
		}
	}
	s.Close(ctx)
	if _, err := TakeSnapshot(ctx, p); !errors.Is(err, context.Canceled) {
		t.Errorf("a context that is over: %v", err)
	}
	if n := count(t, p); n != 10 || p.Stat().AcquiredConns() != 0 {
		t.Errorf("%d numbers are left, %d connections are held", n, p.Stat().AcquiredConns())
	}
}
