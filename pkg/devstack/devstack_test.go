package devstack

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if role := os.Getenv("ORDERFLOW_DEVSTACK_CHILD"); role != "" {
		child(role)
		return
	}
	goleak.VerifyTestMain(m)
}

// openDir returns a directory for a stack that servers running as another user can reach, unlike t.TempDir's.
func openDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for d := dir; d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func startStack(t *testing.T, opt Options) *Stack {
	t.Helper()
	if testing.Short() {
		t.Skip("starts servers")
	}
	opt.Log = t.Output()
	s, err := Start(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error("Stop:", err)
		}
	})
	return s
}

// count adds a row to a table that it creates at first, and returns how many there are now.
func count(t *testing.T, s *Stack) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.DatabaseURL())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, `CREATE TABLE IF NOT EXISTS visits (at timestamptz DEFAULT now())`); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(ctx, `INSERT INTO visits DEFAULT VALUES`); err != nil {
		t.Fatal(err)
	}
	var n int
	if err := conn.QueryRow(ctx, `SELECT count(*) FROM visits`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestTry(t *testing.T) {
	s := startStack(t, Options{Dir: openDir(t)})
	t.Log(s.AMQPURL(), s.ManagementURL(), s.DatabaseURL(), count(t, s))
	b, _ := os.ReadFile(s.rabbitmq.program.log)
	t.Logf("%s", b)
	b, _ = os.ReadFile(s.postgres.program.log)
	t.Logf("%s", b)
	n := time.Now()
	t.Log(s.RabbitMQ().Kill(), s.Postgres().Kill(), time.Since(n))
	n = time.Now()
	t.Log(s.RabbitMQ().Start(t.Context()), time.Since(n))
	n = time.Now()
	t.Log(s.Postgres().Start(t.Context()), time.Since(n), count(t, s))
	n = time.Now()
	t.Log(s.Stop(), time.Since(n))
}
func child(string) {}
