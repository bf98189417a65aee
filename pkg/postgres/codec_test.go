package postgres

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"orderflow/pkg/devstack/devtest"
)

// Ids arrive as they were sent, alone and in arrays, and nil stays NULL.
func TestUUIDs(t *testing.T) {
	p := pool(t, devtest.New(t))
	lowest, highest := uuid.UUID{}, uuid.Max
	many := make([]uuid.UUID, 1000)
	for i := range many {
		many[i] = uuid.New()
	}
	for _, id := range append([]uuid.UUID{lowest, highest}, many[:3]...) {
		var got uuid.UUID
		var text string
		if err := p.QueryRow(t.Context(), "SELECT $1::uuid, $1::uuid::text", id).Scan(&got, &text); err != nil || got != id || text != id.String() {
			t.Errorf("%s is %s in Postgres and comes back as %s, %v", id, text, got, err)
		}
	}
	for _, ids := range [][]uuid.UUID{{}, {lowest}, {highest, lowest}, many} {
		rows, err := p.Query(t.Context(), "SELECT id FROM unnest($1::uuid[]) WITH ORDINALITY AS v (id, n) ORDER BY n", ids)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID]); err != nil || !slices.Equal(got, ids) {
			t.Errorf("%d ids come back as %d others, %v", len(ids), len(got), err)
		}
		var text string
		if err := p.QueryRow(t.Context(), "SELECT $1::uuid[]::text", ids).Scan(&text); err != nil || len(text) < len("{}")+36*len(ids) {
			t.Errorf("%d ids are %.80s in Postgres, %v", len(ids), text, err)
		}
	}
	for sql, value := range map[string]any{"SELECT $1::uuid IS NULL": (*uuid.UUID)(nil), "SELECT $1::uuid[] IS NULL": []uuid.UUID(nil)} {
		var none bool
		if err := p.QueryRow(t.Context(), sql, value).Scan(&none); err != nil || !none {
			t.Errorf("%s: %v, %v", sql, none, err)
		}
	}
	var id uuid.UUID
	if err := p.QueryRow(t.Context(), "SELECT NULL::uuid").Scan(&id); err == nil {
		t.Error("NULL was read as an id")
	}
}

func TestTexts(t *testing.T) {
	p := pool(t, devtest.New(t))
	for _, texts := range [][]string{{}, {""}, {"a", "", "b"}, {"é, \"}{", "NULL", strings.Repeat("x", 1e6)}} {
		rows, err := p.Query(t.Context(), "SELECT s FROM unnest($1::text[]) WITH ORDINALITY AS v (s, n) ORDER BY n", texts)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := pgx.CollectRows(rows, pgx.RowTo[string]); err != nil || !slices.Equal(got, texts) {
			t.Errorf("%.80q come back as %.80q, %v", texts, got, err)
		}
		var got []string
		if err := p.QueryRow(t.Context(), "SELECT $1::text[]", texts).Scan(&got); err != nil || !slices.Equal(got, texts) {
			t.Errorf("%.80q come back as %.80q, %v", texts, got, err)
		}
	}
	var none bool
	if err := p.QueryRow(t.Context(), "SELECT $1::text[] IS NULL", []string(nil)).Scan(&none); err != nil || !none {
		t.Errorf("no array is NULL: %v, %v", none, err)
	}
}
