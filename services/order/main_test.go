package order

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"orderflow/migrations"
	"orderflow/pkg/devstack/devtest"
	"orderflow/pkg/postgres"
)

func TestMain(m *testing.M) { devtest.Main(m) }

// limit is how long a test waits for something that is sure to come.
const limit = 40 * time.Second

// database is an empty schema of the service.
func database(t testing.TB) *pgxpool.Pool {
	t.Helper()
	cfg := postgres.Config{URL: devtest.New(t).DatabaseURL, Schema: Schema, Name: t.Name(), MaxConns: 12, ByKey: true}
	if _, err := postgres.Migrate(t.Context(), cfg, migrations.Files, migrations.Flow, Schema); err != nil {
		t.Fatal(err)
	}
	db, err := postgres.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	return db
}
