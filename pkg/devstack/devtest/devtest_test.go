package devtest

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"orderflow/pkg/devstack/internal/probe"
)

func TestMain(m *testing.M) { Main(m) }

// vhosts asks the broker for the names of its vhosts.
func vhostExists(ctx context.Context, env *Env, name string) bool {
	return manage(ctx, *env, http.MethodGet, "/api/vhosts/"+name, nil) == nil
}

func databaseExists(t *testing.T, env *Env, name string) bool {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), env.DatabaseURL)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	var found bool
	if err := conn.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)`, name).Scan(&found); err != nil {
		t.Fatal(err)
	}
	return found
}

func pathOf(t *testing.T, address string) string {
	t.Helper()
	_, name, ok := strings.Cut(address[strings.LastIndex(address, "@"):], "/")
	if !ok {
		t.Fatalf("no path in %s", address)
	}
	name, _, _ = strings.Cut(name, "?")
	return name
}

func TestNewIsolatesAndCleansUp(t *testing.T) {
	outer := New(t)
	var vhost, database string
	t.Run("inner", func(t *testing.T) {
		inner := New(t)
		vhost, database = pathOf(t, inner.AMQPURL), pathOf(t, inner.DatabaseURL)
		if inner.AMQPURL == outer.AMQPURL || inner.DatabaseURL == outer.DatabaseURL {
			t.Errorf("two tests got the same: %+v", inner)
		}
		if err := probe.RabbitMQ(inner.AMQPURL, inner.ManagementURL)(t.Context()); err != nil {
			t.Error(err)
		}
		if !vhostExists(t.Context(), inner, vhost) || !databaseExists(t, inner, database) {
			t.Errorf("vhost %s or database %s does not exist", vhost, database)
		}
		left, err := pgx.Connect(context.Background(), inner.DatabaseURL) // left open: must not hinder the cleanup
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { left.Close(context.Background()) })
	})
	if vhostExists(t.Context(), outer, vhost) {
		t.Errorf("vhost %s was not dropped", vhost)
	}
	if databaseExists(t, outer, database) {
		t.Errorf("database %s was not dropped", database)
	}
}

func TestOwnServersAreKilledAndStartedAgain(t *testing.T) {
	env := Own(t)
	marker := "kept-over-restart"
	if err := createVhost(t.Context(), env.Env, marker); err != nil {
		t.Fatal(err)
	}
	if err := createDatabase(t.Context(), env.Env, marker); err != nil {
		t.Fatal(err)
	}

	env.KillRabbitMQ()
	if err := probe.RabbitMQ(env.AMQPURL, env.ManagementURL)(t.Context()); err == nil {
		t.Error("a killed broker answers")
	}
	if !databaseExists(t, &env.Env, marker) {
		t.Error("the database server went down with the broker")
	}
	env.KillPostgres()
	if err := probe.Postgres(env.DatabaseURL)(t.Context()); err == nil {
		t.Error("a killed database server answers")
	}

	env.StartRabbitMQ()
	env.StartPostgres()
	if !vhostExists(t.Context(), &env.Env, marker) {
		t.Error("the broker lost a vhost by being killed")
	}
	if !databaseExists(t, &env.Env, marker) {
		t.Error("the database server lost a database by being killed")
	}
}

func TestServersAreFrozenAndControlled(t *testing.T) {
	env := Own(t)
	for _, frozen := range []struct {
		name   string
		server Server
		ask    func(context.Context) error
	}{
		{"RabbitMQ", env.servers.RabbitMQ, probe.RabbitMQ(env.AMQPURL, env.ManagementURL)},
		{"Postgres", env.servers.Postgres, probe.Postgres(env.DatabaseURL)},
	} {
		if err := frozen.server.Freeze(); err != nil {
			t.Fatal(err)
		}
		soon, stop := context.WithTimeout(t.Context(), time.Second)
		if frozen.ask(soon) == nil {
			t.Errorf("%s is frozen, and answers", frozen.name)
		}
		stop()
		if err := frozen.server.Thaw(); err != nil {
			t.Fatal(err)
		}
		if err := probe.Until(t.Context(), nil, frozen.ask); err != nil {
			t.Errorf("%s does not answer after it was thawed: %v", frozen.name, err)
		}
	}
	if out, err := env.servers.Control(t.Context(), "-q", "list_vhosts"); err != nil || !strings.Contains(string(out), pathOf(t, env.AMQPURL)) {
		t.Errorf("list_vhosts: %s %v", out, err)
	}
	if out, err := env.servers.Control(t.Context(), "no-such-command"); err == nil {
		t.Errorf("a command that does not exist: %s", out)
	}
}
