package postgres

import (
	"context"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"orderflow/pkg/devstack/devtest"
)

// frontOf is the database's address by way of a front that passes everything on until it is frozen: then it takes connections and
// bytes, and says nothing.
func frontOf(t *testing.T, env *devtest.Env) (address string, freeze func()) {
	t.Helper()
	u, err := url.Parse(env.DatabaseURL)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	target := u.Host
	u.Host = l.Addr().String()
	ctx, stop := context.WithCancel(context.Background())
	frozen := make(chan struct{})
	var wait sync.WaitGroup
	pass := func(from, to net.Conn) {
		defer from.Close()
		defer to.Close()
		for buffer := make([]byte, 1<<14); ; {
			n, err := from.Read(buffer)
			select {
			case <-frozen:
				<-ctx.Done()
			default:
			}
			if _, failed := to.Write(buffer[:n]); err != nil || failed != nil {
				return
			}
		}
	}
	wait.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", target)
			if err != nil {
				client.Close()
				continue
			}
			context.AfterFunc(ctx, func() { client.Close(); server.Close() })
			wait.Go(func() { pass(client, server) })
			wait.Go(func() { pass(server, client) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		stop()
		wait.Wait()
	})
	return u.String(), sync.OnceFunc(func() { close(frozen) })
}

// expectEnd migrates, and expects an error within a time.
func expectEnd(t *testing.T, cfg Config, files fstest.MapFS, within time.Duration, words ...string) {
	t.Helper()
	began := time.Now()
	_, err := Migrate(t.Context(), cfg, files, "own")
	if took := time.Since(began); took < cfg.Patience || took > within {
		t.Errorf("it took %s, want %s to %s", took, cfg.Patience, within)
	}
	for _, word := range words {
		if err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("error %v, want %q", err, word)
		}
	}
}

const soon = 8 * time.Second // as late as a patience of a second may be noticed to be over

func TestMigrateWaitsForTheLock(t *testing.T) {
	t.Parallel()
	env := devtest.New(t)
	conn, err := pool(t, env).Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	lock := func(f string) {
		if _, err := conn.Exec(t.Context(), "SELECT "+f+"($1)", lockID("s")); err != nil {
			t.Fatal(err)
		}
	}
	lock("pg_advisory_lock")
	cfg := Config{URL: env.DatabaseURL, Schema: "s", Patience: time.Second}
	expectEnd(t, cfg, scripts, soon, `schema "s"`, "another process migrates it", "gave up after START_TIMEOUT, 1s")
	lock("pg_advisory_unlock")
	if applied, err := Migrate(t.Context(), cfg, scripts, "own"); len(applied) != 2 || err != nil {
		t.Errorf("when the lock is free: %v, %v", applied, err)
	}
}

func TestMigrateOfASilentServer(t *testing.T) {
	t.Parallel()
	address, freeze := frontOf(t, devtest.New(t))
	freeze()
	expectEnd(t, Config{URL: address, Schema: "s", Patience: time.Second}, scripts, soon, "no answer", "gave up after START_TIMEOUT, 1s")
}

// What takes longer than the patience is done, and so is what comes after it.
func TestMigrateTakesItsTime(t *testing.T) {
	t.Parallel()
	env := devtest.New(t)
	files := fstest.MapFS{
		"common/00001_slow.sql": {Data: []byte("-- +goose Up\nSELECT pg_sleep(6);")},
		"own/00001_next.sql":    {Data: []byte("-- +goose Up\nCREATE TABLE next (n int);")},
	}
	applied, err := Migrate(t.Context(), Config{URL: env.DatabaseURL, Schema: "s", Patience: 5 * time.Second}, files, "common", "own")
	if len(applied) != 2 || err != nil {
		t.Errorf("applied %v, error %v", applied, err)
	}
}

// A server that freezes while a file is applied is given up, and the file is not applied by half.
func TestMigrateOfAServerThatFreezes(t *testing.T) {
	t.Parallel()
	env := devtest.New(t)
	address, freeze := frontOf(t, env)
	direct := pool(t, env)
	files := fstest.MapFS{"own/00001_endless.sql": {Data: []byte("-- +goose Up\nCREATE TABLE half (n int);\nSELECT pg_sleep(3600);")}}
	var frozen sync.WaitGroup
	defer frozen.Wait()
	frozen.Go(func() {
		defer freeze()
		for {
			var asleep bool
			err := direct.QueryRow(t.Context(), `
				SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep')`).Scan(&asleep)
			if asleep || err != nil {
				return
			}
			select {
			case <-time.After(20 * time.Millisecond):
			case <-t.Context().Done():
				return
			}
		}
	})
	expectEnd(t, Config{URL: address, Schema: "s", Patience: time.Second}, files, silence+2*soon, `schema "s"`, "no answer for 10s while it was migrated")
}

// A table that somebody reads for long, such as a backup, is not taken from others by a migration that waits for it.
func TestMigrateStandsInNobodysWay(t *testing.T) {
	t.Parallel()
	env := devtest.New(t)
	cfg := Config{URL: env.DatabaseURL, Schema: "s", Patience: time.Minute}
	files := fstest.MapFS{"own/00001_used.sql": {Data: []byte("-- +goose Up\nCREATE TABLE used (n int);")}}
	if _, err := Migrate(t.Context(), cfg, files, "own"); err != nil {
		t.Fatal(err)
	}
	backup, err := pool(t, env).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer backup.Rollback(context.WithoutCancel(t.Context()))
	if _, err := backup.Exec(t.Context(), "SELECT FROM s.used"); err != nil {
		t.Fatal(err)
	}
	files["own/00002_more.sql"] = &fstest.MapFile{Data: []byte("-- +goose Up\nALTER TABLE used ADD COLUMN m int;")}
	migrated := make(chan error, 1)
	go func() {
		_, err := Migrate(t.Context(), cfg, files, "own")
		migrated <- err
	}()
	devtest.Eventually(t, soon, "the migration waits for the table", func() (waits bool) {
		err := backup.QueryRow(t.Context(), "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = 's.used'::regclass)").Scan(&waits)
		return err == nil && waits
	})
	limited, stop := context.WithTimeout(t.Context(), soon)
	defer stop()
	if _, err := pool(t, env).Exec(limited, "INSERT INTO s.used VALUES (1)"); err != nil {
		t.Errorf("others cannot use the table: %v", err)
	}
	if err := backup.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-migrated; err != nil {
		t.Errorf("when the table is free: %v", err)
	}
}
