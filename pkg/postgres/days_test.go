package postgres

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"orderflow/pkg/devstack/devtest"
)

// diary is a table of days.
func diary(t *testing.T) (Days, *pgxpool.Pool) {
	t.Helper()
	env := devtest.New(t)
	p, err := Open(t.Context(), Config{URL: env.DatabaseURL, Name: t.Name(), MaxConns: 6})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	if _, err := p.Exec(t.Context(), "CREATE TABLE diary (at timestamptz PRIMARY KEY) PARTITION BY RANGE (at)"); err != nil {
		t.Fatal(err)
	}
	first := func(d time.Time) string { return d.Format(time.RFC3339) }
	return Days{Table: "diary", First: first, Keep: 2 * day, Ahead: 3}, p
}

// found lists the days of a diary, counted from today.
func found(t *testing.T, d Days, p *pgxpool.Pool, today time.Time) (days []int) {
	t.Helper()
	all, err := d.Found(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	for at := range all {
		days = append(days, int(at.Sub(today)/day))
	}
	slices.Sort(days)
	return days
}

// Many make and drop the days of a table at once, while it is written.
func TestDays(t *testing.T) {
	t.Parallel()
	d, p := diary(t)
	w, err := d.Make(t.Context(), p)
	if err != nil || len(w.Found) > 0 {
		t.Fatalf("%+v, %v", w, err)
	}
	today := w.To.Add(-3 * day)
	if got, want := found(t, d, p, today), []int{-2, -1, 0, 1, 2}; !slices.Equal(got, want) || !w.From.Equal(today.Add(-2*day)) {
		t.Errorf("there are the days %d, want %d; %+v", got, want, w)
	}
	const write = "INSERT INTO diary SELECT now() + $1 * interval '1 day'"
	for _, days := range []int{-2, 0, 2} {
		if _, err := p.Exec(t.Context(), write, days); err != nil {
			t.Error(err)
		}
	}
	for _, days := range []int{-3, 3} {
		if _, err := p.Exec(t.Context(), write, days); !NoPartition(err) {
			t.Errorf("%d days from now: %v", days, err)
		}
	}

	d.Keep = 0
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			w, err := d.Make(t.Context(), p)
			for at := range w.Found {
				if at.Before(w.From) && err == nil {
					err = d.Drop(t.Context(), p, at)
				}
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if got, want := found(t, d, p, today), []int{0, 1, 2}; !slices.Equal(got, want) {
		t.Errorf("there are the days %d, want %d", got, want)
	}
	var rows int
	if err := p.QueryRow(t.Context(), "SELECT count(*) FROM diary").Scan(&rows); err != nil || rows != 2 {
		t.Errorf("%d rows are left, %v; want 2", rows, err)
	}
}

// A process that has crashed between two steps of dropping a day does not keep it for ever.
func TestDayHalfDropped(t *testing.T) {
	t.Parallel()
	d, p := diary(t)
	w, err := d.Make(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Exec(t.Context(), "ALTER TABLE diary DETACH PARTITION "+d.Partition(w.From)); err != nil {
		t.Fatal(err)
	}
	if err := d.Drop(t.Context(), p, w.From); err != nil {
		t.Fatal(err)
	}
	var gone bool
	if err := p.QueryRow(t.Context(), "SELECT to_regclass($1) IS NULL", d.Partition(w.From)).Scan(&gone); err != nil || !gone {
		t.Errorf("the partition that was detached is still there, %v", err)
	}
	if err := d.Drop(t.Context(), p, w.From); err != nil {
		t.Errorf("dropped once more: %v", err)
	}
	if _, err := d.Make(t.Context(), p); err != nil {
		t.Errorf("made again: %v", err)
	}
}

func TestNoPartition(t *testing.T) {
	t.Parallel()
	p := numbers(t)
	if _, err := p.Exec(t.Context(), insert, -1); err == nil || NoPartition(err) {
		t.Errorf("a CHECK that fails: %v", err)
	}
	if NoPartition(nil) {
		t.Error("no error is no want of a partition")
	}
}
