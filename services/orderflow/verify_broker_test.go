package main_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"orderflow/pkg/devstack/devtest"
)

// line is a way to RabbitMQ that can be taken away for good.
type line struct {
	listener net.Listener
	ends     context.Context // when it is taken away
	cut      context.CancelFunc
	running  sync.WaitGroup
}

// newLine returns a line, and the address of RabbitMQ through it.
func newLine(t *testing.T, address string) (*line, string) {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &line{listener: listener}
	l.ends, l.cut = context.WithCancel(t.Context())
	context.AfterFunc(l.ends, func() { listener.Close() })
	target := u.Host
	l.running.Go(func() {
		for {
			in, err := listener.Accept()
			if err != nil {
				return
			}
			l.running.Go(func() { l.carry(in, target) })
		}
	})
	t.Cleanup(func() { l.cut(); l.running.Wait() })
	u.Host = listener.Addr().String()
	return l, u.String()
}

func (l *line) carry(in net.Conn, target string) {
	defer in.Close()
	out, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer out.Close()
	done := context.AfterFunc(l.ends, func() { in.Close(); out.Close() })
	defer done()
	l.running.Go(func() {
		io.Copy(out, in)
		out.Close()
	})
	io.Copy(in, out)
}

// RabbitMQ goes while the tables are looked at: what they tell is printed all the same, soon, and decides the exit code.
func TestVerifyWhileRabbitMQGoes(t *testing.T) {
	t.Parallel()
	env := *devtest.New(t)
	if _, stderr, code := call(t, settings(env), "migrate"); code != 0 {
		t.Fatal(stderr)
	}
	for _, c := range []struct {
		broken int
		sql    string
		code   int
	}{
		{0, `SELECT 1`, 1},
		{1, `INSERT INTO shipping.shipments (order_id, shipment_id, status) VALUES ('` + uuid.NewString() + `', '` + uuid.NewString() + `', 'created')`, 3},
	} {
		execute(t, env, c.sql)
		l, address := newLine(t, env.AMQPURL)
		through := env
		through.AMQPURL = address
		stdout, stderr, code := verifyHeldUp(t, through, l.cut)
		v := unmarshal[struct {
			verdict
			Error string `json:"dead_letters_error"`
		}](t, []byte(stdout))
		if code != c.code || len(v.Broken) != c.broken || v.OK != (c.broken == 0) || len(v.Lines) == 0 {
			t.Errorf("exit code %d, want %d: %s%s", code, c.code, stdout, stderr)
		}
		if v.Letters != nil || v.Error == "" {
			t.Errorf("dead letters %v, error %q", v.Letters, v.Error)
		}
		if told := strings.Contains(stderr, "dead letters were not counted: "); told != (c.code == 1) {
			t.Errorf("exit code %d, and %q", code, stderr)
		}
	}
}

// verifyHeldUp runs verify, and calls f when it has begun to look at the tables and waits for one of them.
func verifyHeldUp(t *testing.T, env devtest.Env, f func()) (stdout, stderr string, code int) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), env.DatabaseURL)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `LOCK TABLE shipping.shipments`); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		stdout, stderr, code = call(t, settings(env), "verify", "--json")
	}()
	eventually(t, "verify waits for the lock", func() error {
		n, err := queryOne[int](t.Context(), env, `SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'shipping.shipments'::regclass`)
		if n != 1 {
			return fmt.Errorf("%d wait, %v", n, err)
		}
		return nil
	})
	f()
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-ended
	return stdout, stderr, code
}

// The wait is one for everything: what the first server has used of it, the next does not get again.
func TestVerifyWaitsOnce(t *testing.T) {
	t.Parallel()
	env := *devtest.New(t)
	u, err := url.Parse(env.DatabaseURL)
	if err != nil {
		t.Fatal(err)
	}
	u.Host = "127.0.0.1:1"
	env.DatabaseURL = u.String()
	_, stderr, code := call(t, settings(env), "verify", "--wait=2s")
	if code != 1 || !strings.Contains(stderr, "gave up after") || strings.Contains(stderr, ", 2s\n") {
		t.Errorf("exit code %d, %q", code, stderr)
	}
}
