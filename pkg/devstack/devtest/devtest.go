package devtest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

const (
	startLimit   = 6 * time.Minute // an image may have to be pulled
	readyLimit   = time.Minute     // for a server whose container runs
	cleanupLimit = 30 * time.Second
)

// Env is the addresses of servers, each with user and password.
type Env struct {
	AMQPURL       string // with a vhost that is empty at first
	ManagementURL string // of the same broker
	DatabaseURL   string // a database that is empty at first
	MetricsURL    string // of the same broker, for Prometheus; empty for servers given by URL
}

// shared are the servers of this test binary.
var shared struct {
	mu      sync.Mutex
	tried   bool
	servers *Servers
	err     error
}

// Main is for TestMain: it runs the tests, stops the servers that were started for them, and exits. Tests that passed
// but left goroutines fail; the options name goroutines that are not to be counted.
func Main(m *testing.M, ignore ...goleak.Option) {
	code := m.Run()
	if err := stopShared(); err != nil {
		fmt.Fprintln(os.Stderr, "devtest:", err)
		code = max(code, 1)
	}
	if code == 0 {
		if err := goleak.Find(ignore...); err != nil {
			fmt.Fprintln(os.Stderr, "devtest: the tests left goroutines:", err)
			code = 1
		}
	}
	os.Exit(code)
}

func stopShared() error {
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.servers == nil {
		return nil
	}
	return shared.servers.Stop()
}

// New returns a vhost and a database of this test alone, which are dropped when it ends. It skips the test under
// -short, and fails it if there are no servers.
func New(t testing.TB) *Env {
	t.Helper()
	s := sharedServers(t)
	name := "test-" + strings.ToLower(rand.Text()[:12])
	env := &Env{
		AMQPURL:       withPath(t, s.Env.AMQPURL, name),
		ManagementURL: s.Env.ManagementURL,
		DatabaseURL:   withPath(t, s.Env.DatabaseURL, name),
		MetricsURL:    s.Env.MetricsURL,
	}
	ctx, cancel := context.WithTimeout(t.Context(), cleanupLimit)
	defer cancel()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), cleanupLimit)
		defer cancel()
		if err := errors.Join(dropVhost(ctx, s.Env, name), dropDatabase(ctx, s.Env, name)); err != nil {
			t.Errorf("devtest: clean up: %v", err)
		}
	})
	if err := errors.Join(createVhost(ctx, s.Env, name), createDatabase(ctx, s.Env, name)); err != nil {
		t.Fatalf("devtest: %v", err)
	}
	return env
}

func sharedServers(t testing.TB) *Servers {
	t.Helper()
	skipShort(t)
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if !shared.tried {
		shared.tried = true
		shared.servers, shared.err = startShared()
	}
	if shared.err != nil {
		t.Fatalf("devtest: no servers for the tests: %v", shared.err)
	}
	t.Log("servers:", shared.servers.Source)
	return shared.servers
}

// startShared isn't bound to the context of the test that happens to be the first.
func startShared() (*Servers, error) {
	if env, ok := givenByURL(); ok {
		return &Servers{Env: env, Source: "given by URL", stop: func() error { return nil }}, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	return Start(ctx)
}

func skipShort(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs RabbitMQ and Postgres")
	}
}

// OwnEnv is servers of one test alone, which it may kill and start again. Their addresses stay the same. The methods fail
// the test if they can't do what they say, and return when it is done: killed means gone, started means ready.
type OwnEnv struct {
	Env
	t       testing.TB
	servers *Servers
}

// Own starts servers for this test alone; they are stopped when it ends. It skips the test under -short.
func Own(t testing.TB) *OwnEnv {
	t.Helper()
	skipShort(t)
	ctx, cancel := context.WithTimeout(t.Context(), startLimit)
	defer cancel()
	s, err := Start(ctx)
	if err != nil {
		t.Fatalf("devtest: no servers of its own for the test: %v", err)
	}
	t.Log("servers of its own:", s.Source)
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Errorf("devtest: stop the servers: %v", err)
		}
	})
	return &OwnEnv{Env: s.Env, t: t, servers: s}
}

// KillRabbitMQ ends the broker by SIGKILL.
func (o *OwnEnv) KillRabbitMQ() { o.t.Helper(); o.kill("RabbitMQ", o.servers.RabbitMQ) }

// StartRabbitMQ starts the broker again, with its data.
func (o *OwnEnv) StartRabbitMQ() { o.t.Helper(); o.start("RabbitMQ", o.servers.RabbitMQ) }

// KillPostgres ends the database server by SIGKILL.
func (o *OwnEnv) KillPostgres() { o.t.Helper(); o.kill("Postgres", o.servers.Postgres) }

// StartPostgres starts the database server again, with its data.
func (o *OwnEnv) StartPostgres() { o.t.Helper(); o.start("Postgres", o.servers.Postgres) }

// SyncRabbitMQ makes RabbitMQ write down which queues and bindings there are. By itself it does so with a delay: of three seconds for
// quorum queues (dets), of two for bindings (the log of Mnesia). What was declared within that before it was killed is lost.
func (o *OwnEnv) SyncRabbitMQ() {
	o.t.Helper()
	const sync = `case mnesia:system_info(is_running) of yes -> ok = mnesia:sync_log(); no -> ok end, [ok = dets:sync(T) || T <- dets:all()].`
	if out, err := o.Control("-q", "eval", sync); err != nil {
		o.t.Fatalf("%v: %s", err, out)
	}
}

func (o *OwnEnv) kill(name string, s Server) {
	o.t.Helper()
	if err := s.Kill(); err != nil {
		o.t.Fatalf("devtest: kill %s: %v", name, err)
	}
}

func (o *OwnEnv) start(name string, s Server) {
	o.t.Helper()
	ctx, cancel := context.WithTimeout(o.t.Context(), startLimit)
	defer cancel()
	if err := s.Start(ctx); err != nil {
		o.t.Fatalf("devtest: start %s again: %v", name, err)
	}
}

// Control runs rabbitmqctl on the broker and returns what it prints.
func (o *OwnEnv) Control(args ...string) ([]byte, error) {
	return o.servers.Control(o.t.Context(), args...)
}
