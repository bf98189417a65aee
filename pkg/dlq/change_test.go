package dlq

import (
	"errors"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"orderflow/migrations"
	"orderflow/pkg/broker"
	"orderflow/pkg/event"
	"orderflow/pkg/flow"
	"orderflow/pkg/postgres"
)

// database makes the schema of a service with its inbox, which remembers today, and the history.
func (b *bench) database() (service, history *pgxpool.Pool) {
	b.Helper()
	pool := func(schema string, folders ...string) *pgxpool.Pool {
		cfg := postgres.Config{URL: b.env.DatabaseURL, Schema: schema, MaxConns: 1}
		if _, err := postgres.Migrate(b.Context(), cfg, migrations.Files, folders...); err != nil {
			b.Fatal(err)
		}
		db, err := postgres.Open(b.Context(), cfg)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(db.Close)
		return db
	}
	service = pool("t", migrations.Flow)
	today := time.Now().UTC().Truncate(24 * time.Hour)
	b.exec(service, `CREATE TABLE inbox_`+today.Format("20060102")+` PARTITION OF inbox FOR VALUES FROM ('`+
		event.FirstID(today).String()+`') TO ('`+event.FirstID(today.Add(48*time.Hour)).String()+`')`)
	return service, pool(HistorySchema, migrations.DLQ)
}

func (b *bench) exec(db *pgxpool.Pool, sql string, args ...any) {
	b.Helper()
	if _, err := db.Exec(b.Context(), sql, args...); err != nil {
		b.Fatal(err)
	}
}

func (b *bench) inboxes(db *pgxpool.Pool) Inboxes {
	b.Helper()
	memory, err := flow.OpenMemory(b.Context(), db)
	if err != nil {
		b.Fatal(err)
	}
	return Inboxes{work: memory}
}

// handle notes that t.work has handled events.
func (b *bench) handle(db *pgxpool.Pool, ids ...uuid.UUID) {
	b.Helper()
	b.exec(db, `INSERT INTO inbox (event_id, queue) SELECT id, $2 FROM unnest($1::uuid[]) AS id ON CONFLICT DO NOTHING`, ids, work)
}

// idOf is an event's id that was made at a time.
func idOf(at time.Time) uuid.UUID {
	id := event.NewID()
	first := event.FirstID(at)
	copy(id[:6], first[:6])
	return id
}

func TestVerdicts(t *testing.T) {
	b := newBench(t)
	db, _ := b.database()
	fresh, done, old := event.NewID(), event.NewID(), idOf(time.Now().Add(-1000*time.Hour))
	b.handle(db, done)
	b.publish(deadLetter(fresh.String(), work), deadLetter(done.String(), work), deadLetter(old.String(), work), deadLetter("no id", work),
		deadLetter(event.NewID().String(), "t.other"))
	job := Job{DryRun: true, Inboxes: b.inboxes(db)}
	want := map[Outcome]int{
		{Replayed, work, New}: 2, {Replayed, work, Handled}: 1, {Held, work, Forgotten}: 1, {Replayed, "t.other", NoVerdict}: 1,
	}
	if got := b.replay(job).Tallies[0].Counts; !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	job.Max = 4
	if got := b.replay(job); got.Count(Replayed) != 4 {
		t.Errorf("what is held counts as replayed: %v", got)
	}
	job.DryRun, job.Max = false, 0
	if got := b.replay(job).Tallies[0].Counts; !reflect.DeepEqual(got, want) {
		t.Errorf("really: got  %v\nwant %v", got, want)
	}
	if got := b.ids(dead); !slices.Equal(got, []string{old.String()}) {
		t.Errorf("left %v, want %s", got, old)
	}
	job.Force = true
	if got := b.replay(job).Tallies[0].Counts; !reflect.DeepEqual(got, map[Outcome]int{{Replayed, work, Forgotten}: 1}) {
		t.Errorf("forced: %v", got)
	}
}

func TestHistory(t *testing.T) {
	b := newBench(t)
	_, db := b.database()
	history := &History{DB: db, Who: "ada@host, role", Plan: uuid.New()}
	odd := deadLetter("odd\x00\xff", work)
	b.publish(deadLetter("1", work), odd, deadLetter("gone", "t.gone"))
	b.replay(Job{DryRun: true, History: history})
	store, err := OpenStore(filepath.Join(t.TempDir(), "kept"), false)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	run := b.replay(Job{History: history})
	dropped := b.replay(Job{History: history, Do: Drop(store)})

	acts, err := history.Acts(t.Context(), time.Time{}, 10)
	if err != nil || len(acts) != 2 || acts[0].RunID.String() != dropped.ID || acts[1].RunID.String() != run.ID {
		t.Fatalf("%+v, %v", acts, err)
	}
	if a := acts[1]; a.Messages != 2 || a.Who != history.Who || *a.PlanID != history.Plan || a.Outcome != "replayed" || a.From != dead || a.To != work {
		t.Errorf("replayed: %+v", a)
	}
	if a := acts[0]; a.Messages != 1 || a.Outcome != "dropped" || a.File != store.path || a.To != "" {
		t.Errorf("dropped: %+v", a)
	}
	entries, err := history.Entries(t.Context(), HistoryQuery{Order: "order-1", Limit: 10})
	if err != nil || len(entries) != 1 {
		t.Fatalf("%+v, %v", entries, err)
	}
	l := Letter{Message: deadLetter("1", work)}
	if e := entries[0]; e.MessageID != "1" || e.SentID != "1" || e.BodyHash != bodyHash(&l) || e.Type != "OrderPlaced" || time.Since(e.At).Abs() > limit {
		t.Errorf("entry %+v", e)
	}
	lost := Lost{ID: event.NewID(), Type: "OrderPlaced", OrderID: "order-1", Queue: work, Body: []byte("{}")}
	if err := history.Nudged(t.Context(), uuid.New(), []Lost{lost}); err != nil {
		t.Fatal(err)
	}
	last, err := history.Last(t.Context(), []string{"1", "gone", "never", lost.ID.String()})
	outcomes := map[string]string{}
	for _, e := range last {
		outcomes[e.MessageID] += e.Outcome
	}
	if want := map[string]string{"1": "replayed", "gone": "dropped", lost.ID.String(): "nudged"}; err != nil || !reflect.DeepEqual(outcomes, want) {
		t.Errorf("last %v, %v; want %v", outcomes, err, want)
	}
	for _, sql := range []string{"DELETE FROM history", "UPDATE history SET who = 'x'", "TRUNCATE history"} {
		if _, err := db.Exec(t.Context(), sql); err == nil || !strings.Contains(err.Error(), "only added to") {
			t.Errorf("%s: %v", sql, err)
		}
	}
}

// What cannot be written into the history is not removed.
func TestWithoutTraceNothingIsRemoved(t *testing.T) {
	b := newBench(t)
	_, db := b.database()
	ids := b.die(3)
	b.exec(db, "ALTER TABLE history ADD CHECK (message_id <> '1')")
	run, err := Do(t.Context(), b.broker, Job{Do: Replay(), From: []Source{{Queue: dead}}, History: &History{DB: db, Who: "x"}})
	if err == nil || !strings.Contains(err.Error(), "replay t.work.dlq: the history: ") || run.Count(Unsettled) != 3 || run.Count(Replayed) != 0 {
		t.Errorf("%+v, %v", run, err)
	}
	if left := b.ids(dead); !slices.Equal(left, ids) {
		t.Errorf("left %v", left)
	}
}

func TestOrder(t *testing.T) {
	b := newBench(t)
	now := time.Now()
	letter := func(queue, target, order string, at time.Time) string {
		m := deadLetter(idOf(at).String(), target)
		m.RoutingKey, m.CorrelationID = queue, order
		b.publish(m)
		return m.ID
	}
	late := letter(dead, work, "mine", now)
	letter(dead, work, "theirs", now)
	early := letter("t.other.dlq", work, "mine", now.Add(-time.Minute))
	middle := letter(dead, work, "mine", now.Add(-time.Second))
	from := []Source{{Queue: dead}, {Queue: "t.other.dlq"}}
	dry := b.replay(Job{Order: "mine", From: from, DryRun: true})
	run := b.replay(Job{Order: "mine", From: from})
	if !reflect.DeepEqual(dry.Tallies, run.Tallies) || run.Count(Replayed) != 3 {
		t.Errorf("dry  %+v\nreal %+v", dry, run)
	}
	if got := b.ids(work); !slices.Equal(got, []string{early, middle, late}) {
		t.Errorf("arrived %v, want %v", got, []string{early, middle, late})
	}
	if left := b.ids(dead); len(left) != 1 {
		t.Errorf("left %v", left)
	}
}

func TestRate(t *testing.T) {
	b := newBench(t)
	b.die(30)
	began := time.Now()
	b.replay(Job{Rate: 20})
	if took := time.Since(began); took < 1300*time.Millisecond { // the first two may go at once
		t.Errorf("30 messages at 20 a second took %s", took)
	}
	if got := len(b.ids(work)); got != 30 {
		t.Errorf("%d arrived", got)
	}
}

// What another program's consumers have is not taken from them.
func TestLiveQueue(t *testing.T) {
	b := newBench(t)
	defer b.consume("t.other", func(*broker.Delivery) {})()
	eventually(t, "it has a consumer", func() bool {
		_, consumers, err := b.broker.Inspect(t.Context(), "t.other")
		return err == nil && consumers > 0
	})
	from := Source{Queue: "t.other", Foreign: true}
	if _, err := Look(t.Context(), b.broker, from, nil); !errors.Is(err, ErrLive) {
		t.Errorf("error %v", err)
	}
	from.Force = true
	if _, err := Look(t.Context(), b.broker, from, nil); err != nil {
		t.Error(err)
	}
}

// A message of a queue that may have a delivery limit is not looked at to death.
func TestWornMessages(t *testing.T) {
	b := newBench(t)
	b.manage("PUT", "/api/queues/%s/foreign", `{"durable":true,"arguments":{"x-queue-type":"quorum","x-delivery-limit":20}}`)
	m := deadLetter("1", work)
	m.RoutingKey = "foreign"
	b.publish(m)
	from, looks := Source{Queue: "foreign", Foreign: true, Lives: 20}, 0
	for ; looks < 25; looks++ {
		if _, err := Look(t.Context(), b.broker, from, func(Letter) error { return nil }); err != nil {
			if !errors.Is(err, ErrWorn) {
				t.Fatal(err)
			}
			break
		}
	}
	if looks > 15 || len(b.look("foreign", 0)) != 1 {
		t.Errorf("looked %d times", looks)
	}
}

func TestNormalize(t *testing.T) {
	for text, want := range map[string]string{
		"order 019a8f3e-5b7c-7d21-9a55-3f6f1c2b7a10 is 12.50 EUR":      "order <id> is <n> EUR",
		"dial tcp 127.0.0.1:5432: connect: connection refused":         "dial tcp <address>: connect: connection refused",
		"made at 2026-01-02T03:04:05.678Z, outside (2026-01-01 00:00)": "made at <time>, outside (<time>)",
		"trace 4bf92f3577b34da6a3ce929d0e0e4736 lost":                  "trace <id> lost",
		"no luck": "no luck",
	} {
		if got := Normalize(text); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
}
