package dlq

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
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

// kept reads what is in a file.
func kept(t *testing.T, path string) (stored []Stored) {
	t.Helper()
	if err := ReadStore(path, func(s Stored) error {
		stored = append(stored, s)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return stored
}

func TestDropAndImport(t *testing.T) {
	b := newBench(t)
	_, db := b.database()
	odd := deadLetter("odd", work)
	odd.Body, odd.Headers["odd"] = []byte{0xff, 0, '\n'}, []any{int32(1), []byte{2}, time.Unix(3, 0)}
	b.publish(odd, deadLetter("2", work), deadLetter("twin", work), deadLetter("twin", work))
	before := withoutCount(b.look(dead, 0))
	path := filepath.Join(t.TempDir(), "kept")
	store, err := OpenStore(path, false)
	if err != nil {
		t.Fatal(err)
	}
	run := b.replay(Job{Do: Drop(store)})
	if err := store.Close(); err != nil || run.Count(Dropped) != 4 || len(b.ids(dead)) != 0 {
		t.Errorf("%+v, %v", run, err)
	}
	if got := kept(t, path); len(got) != 4 || got[0].DLQ != dead {
		t.Errorf("kept %+v", got)
	}
	if _, err := OpenStore(path, false); !errors.Is(err, ErrTaken) {
		t.Errorf("a file with something in it: %v", err)
	}

	history := &History{DB: db, Who: "x"}
	from := []Source{{Queue: dead}}
	for n, want := range []Imported{{Imported: map[string]int{dead: 3}, Twice: 1}, {Imported: map[string]int{}, There: 3, Twice: 1}} {
		got, err := Import(t.Context(), b.broker, path, "", from, history)
		if want.RunID = got.RunID; err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("import %d: %+v, %v", n+1, got, err)
		}
	}
	after := withoutCount(b.look(dead, 0))
	if before = before[:3]; !reflect.DeepEqual(after, before) {
		t.Errorf("came back as\n%+v\nfrom\n%+v", after, before)
	}
	if got, err := Import(t.Context(), b.broker, path, "t.other.dlq", []Source{{Queue: "t.other.dlq"}}, nil); err != nil || got.Imported["t.other.dlq"] != 3 {
		t.Errorf("elsewhere: %+v, %v", got, err)
	}
	if entries, err := history.Entries(t.Context(), HistoryQuery{Message: "twin", Limit: 9}); err != nil || len(entries) != 2 ||
		entries[0].Outcome != "already_there" || entries[1].Outcome != "imported" {
		t.Errorf("history %+v, %v", entries, err)
	}
}

// Two messages are the same only if everything in them is.
func TestImportOfNamesakes(t *testing.T) {
	b := newBench(t)
	one, two := deadLetter("same", work), deadLetter("same", work)
	two.Headers["part"], two.Headers["CC"] = "2", []any{"t.other"}
	path := filepath.Join(t.TempDir(), "kept")
	store, err := OpenStore(path, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.keep([]*held{{Letter: Read(one), tally: &Tally{Queue: dead}}, {Letter: Read(two), tally: &Tally{Queue: dead}}}); err != nil {
		t.Fatal(err)
	}
	store.Close()
	for n, want := range []Imported{{Imported: map[string]int{dead: 2}}, {Imported: map[string]int{}, There: 2}} {
		got, err := Import(t.Context(), b.broker, path, "", []Source{{Queue: dead}}, nil)
		if want.RunID = got.RunID; err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("import %d: %+v, %v", n+1, got, err)
		}
	}
	if got := b.ids("t.other"); len(got) != 0 {
		t.Errorf("copies %v", got)
	}
}

// Two that import the same file at the same time put each message into its queue once.
func TestImportsAtTheSameTime(t *testing.T) {
	b := newBench(t)
	ids := b.die(600)
	path := filepath.Join(t.TempDir(), "kept")
	store, err := OpenStore(path, false)
	if err != nil {
		t.Fatal(err)
	}
	b.replay(Job{Do: Drop(store)})
	store.Close()
	var imports sync.WaitGroup
	for range 3 {
		other := open(t, b.env.AMQPURL)
		imports.Go(func() {
			if _, err := Import(t.Context(), other, path, "", []Source{{Queue: dead}}, nil); err != nil {
				t.Error(err)
			}
		})
	}
	imports.Wait()
	if got := b.ids(dead); !slices.Equal(got, ids) {
		t.Errorf("%d messages, want %d", len(got), len(ids))
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

// A file that is wrong somewhere is refused before anything is done.
func TestImportOfAWrongFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "wrong")
	for text, want := range map[string]string{
		`{"dlq":"t.work.dlq","message":{"body":"x"}}` + "\n" + `{"dlq":"t.work.d`: "line 2: it is cut off; nothing was imported",
		`{"specversion":"1.0","id":"1"}`:                                          "line 1: json: unknown field",
		`{"dlq":"t.work.dlq"}`:                                                    "line 1: it has no message",
		`{"dlq":"t.work.dlq","message":{"bodi":"x"}}`:                             "line 1: json: unknown field",
		`{"dlq":"t.work.dlq","message":{"headers":[]}}`:                           "line 1: ",
		`{"dlq":"t.work.dlq","message":{"body":"x"}} xyz`:                         "line 1: something follows the message",
	} {
		write(t, path, text)
		if _, err := StoredQueues(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

// A line that was not written to its end is cut off: its message was not removed. Nothing else is.
func TestStoreMendsTheEnd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kept")
	line := `{"dlq":"q","message":{"id":"0","body":"` + strings.Repeat("x", 100_000) + `"}}`
	for text, want := range map[string]string{
		"": "", line + "\n": line + "\n", line + "\n" + line[:60_000]: line + "\n", line[:3]: "", line: line + "\n", line + "\n" + line: line + "\n" + line + "\n",
	} {
		write(t, path, text)
		store, err := OpenStore(path, true)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := OpenStore(path, true); err == nil || !strings.Contains(err.Error(), "another process writes to it") {
			t.Errorf("opened twice: %v", err)
		}
		if err := store.keep([]*held{{Letter: Letter{Message: broker.Message{ID: "1"}}, tally: &Tally{Queue: "q"}}}); err != nil {
			t.Fatal(err)
		}
		store.Close()
		got, err := os.ReadFile(path)
		if want += `{"dlq":"q","message":{"id":"1","body":""}}` + "\n"; err != nil || string(got) != want {
			t.Errorf("%.20q became %.80q, %v", text, got, err)
		}
	}
	written := line + "\n" + line + " ,"
	write(t, path, written)
	if _, err := OpenStore(path, true); err == nil || !strings.Contains(err.Error(), "its last line is no dead letter") {
		t.Errorf("a line that something was added to: %v", err)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != written {
		t.Errorf("%.20q became %.80q, %v", written, got, err)
	}
	write(t, path, "what I must not forget")
	if _, err := OpenStore(path, true); err == nil || !strings.Contains(err.Error(), "no file of dead letters, nothing is added") {
		t.Errorf("a file of something else: %v", err)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// What the disk does not take is not dropped.
func TestDiskFull(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("there is no /dev/full here")
	}
	b := newBench(t)
	ids := b.die(3)
	file, err := os.OpenFile("/dev/full", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	store := &Store{path: "/dev/full", file: file}
	defer store.Close()
	_, err = Do(t.Context(), b.broker, Job{Do: Drop(store), From: []Source{{Queue: dead}}})
	if err == nil || !strings.Contains(err.Error(), "no space left") {
		t.Errorf("error %v", err)
	}
	if left := b.ids(dead); !slices.Equal(left, ids) {
		t.Errorf("left %v", left)
	}
}

// placed is a dead letter with an event in it.
func placed(t *testing.T, customer string) broker.Message {
	t.Helper()
	price := event.MinorAmount(1999, "EUR")
	e := event.New("order", time.Now(), uuid.NewString(), &event.OrderPlaced{Order: event.Order{
		OrderID: uuid.New(), CustomerID: customer, Currency: "EUR", TotalAmount: price,
		Items:           []event.Item{{ProductID: "demo-1", Quantity: 1, UnitPrice: price}},
		ShippingAddress: event.Address{Name: "Ada", Line1: "Street 1", City: "Berlin", PostalCode: "10115", Country: "DE"}, PaymentMethod: "pm_ok",
	}})
	body, err := event.Orders.Encode(e)
	if err != nil {
		t.Fatal(err)
	}
	m := deadLetter(e.ID.String(), work)
	m.Body, m.CorrelationID = body, e.CorrelationID
	return m
}

func TestEdit(t *testing.T) {
	b := newBench(t)
	ada, bob := placed(t, "ada"), placed(t, "bob")
	for name, c := range map[string]struct {
		patch string
		newID bool
	}{
		"JSON Patch":  {`[{"op":"test","path":"/data/customer_id","value":"ada"},{"op":"replace","path":"/data/shipping_address/city","value":"<Bonn>"}]`, false},
		"merge patch": {`{"data":{"shipping_address":{"city":"<Bonn>"}}}`, false},
		"new id":      {`{"data":{"shipping_address":{"city":"<Bonn>"}}}`, true},
	} {
		b.empty(dead)
		b.publish(ada, bob, deadLetter("no event", work))
		patch, err := ParsePatch([]byte(c.patch))
		if err != nil {
			t.Fatal(err)
		}
		where, err := ParseFilter(`data.customer_id == "ada" or id == "no event"`)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "originals")
		store, err := OpenStore(path, false)
		if err != nil {
			t.Fatal(err)
		}
		shown := ""
		see := func(_ string, _ Letter, instead broker.Message, _ Outcome) { shown += string(instead.Body) }
		run := b.replay(Job{Do: Edit(event.Orders, patch, c.newID, store), Where: where, See: see})
		if store.Close(); run.Count(Edited) != 1 || run.Count(Unfit) != 1 || run.Count(Unmatched) != 1 {
			t.Errorf("%s: %+v", name, run)
		}
		arrived := b.look(work, 0)
		b.empty(work)
		if len(arrived) != 1 || string(arrived[0].Body) != shown {
			t.Fatalf("%s: arrived %+v, shown %s", name, arrived, shown)
		}
		e, err := event.Orders.Decode(arrived[0].Body)
		if err != nil {
			t.Fatal(err)
		}
		order := e.Data.(*event.OrderPlaced)
		if order.ShippingAddress.City != "<Bonn>" || order.CustomerID != "ada" || (e.ID.String() == ada.ID) == c.newID || arrived[0].ID != e.ID.String() {
			t.Errorf("%s: %s", name, arrived[0].Body)
		}
		if c.newID && !event.IDTime(e.ID).Equal(event.IDTime(uuid.MustParse(ada.ID))) {
			t.Errorf("%s: the new id is of another time", name)
		}
		if stored := kept(t, path); len(stored) != 1 || !bytes.Equal(stored[0].Message.Body, ada.Body) {
			t.Errorf("%s: kept %+v", name, stored)
		}
	}
}

// The same edit makes the same id, so that doing it twice has the effect of doing it once.
func TestNewIDFollowsFromTheEdit(t *testing.T) {
	l := Read(placed(t, "ada"))
	made := func(text string) string {
		patch, err := ParsePatch([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		m, err := Edit(event.Orders, patch, true, nil).Send(&l, "run")
		if err != nil {
			t.Fatal(err)
		}
		return m.ID
	}
	one, two := `{"data":{"customer_id":"bob"}}`, `{"data":{"customer_id":"eve"}}`
	first := made(one)
	if again := made(one); again != first || made(two) == first || first == l.ID {
		t.Errorf("%s, %s, %s of %s", first, again, made(two), l.ID)
	}
}

func TestEditsThatAreRefused(t *testing.T) {
	for text, want := range map[string]string{
		`x`: "no JSON", `5`: "a patch is a list", `[]`: "no operations", `[{"op":"ad","path":"/a"}]`: "unsupported operation",
		`[{"op":"add"}]`: "cannot be read", `[5]`: "cannot be read",
	} {
		if _, err := ParsePatch([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	l := Read(placed(t, "ada"))
	for _, body := range []string{"", "null", "[]", "[1]", "5", "no JSON", `{"a":`} {
		for _, text := range []string{`{"a":1}`, `[{"op":"replace","path":"","value":null}]`, `[{"op":"add","path":"/a","value":1}]`} {
			patch, err := ParsePatch([]byte(text))
			if err != nil {
				t.Fatal(err)
			}
			garbage := Letter{Message: broker.Message{Body: []byte(body)}}
			if _, err := Edit(event.Orders, patch, false, nil).Send(&garbage, "run"); err == nil || !strings.Contains(err.Error(), "no JSON object") {
				t.Errorf("%s of %q: %v", text, body, err)
			}
		}
	}
	for text, want := range map[string]string{
		`[{"op":"replace","path":"","value":null}]`: "no JSON object", `{"data":{"amuont":"5.00"}}`: "a field that no event has: /data/amuont",
		`{}`: "changes nothing", `{"data":{"customer_id":"ada"}}`: "changes nothing", `{"data":{"customer_id":null}}`: "/data/customer_id is missing",
		`{"id":"` + event.NewID().String() + `"}`: "which is not its own", `[{"op":"test","path":"/data/customer_id","value":"bob"}]`: "cannot be applied",
		`[{"op":"remove","path":"/none"}]`: "cannot be applied", `{"type":"NoSuch"}`: "no valid event",
	} {
		patch, err := ParsePatch([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if m, err := Edit(event.Orders, patch, false, nil).Send(&l, "run"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q; %s", text, err, want, m.Body)
		}
	}
}

func TestPlan(t *testing.T) {
	b := newBench(t)
	db, historyDB := b.database()
	done := event.NewID()
	b.handle(db, done)
	b.publish(deadLetter("a", work), deadLetter(done.String(), work), deadLetter("twin", work), deadLetter("twin", work), deadLetter("gone", "t.gone"))
	plan, run, err := MakePlan(t.Context(), b.broker, Job{From: []Source{{Queue: dead}}, Inboxes: b.inboxes(db)})
	if err != nil || len(plan.Messages) != 4 || run.Count(TargetGone) != 1 || len(b.ids(dead)) != 5 {
		t.Fatalf("%+v, %+v, %v", plan, run, err)
	}
	l := Read(deadLetter("a", work))
	if want := (Planned{DLQ: dead, ID: "a", Hash: bodyHash(&l), Type: "OrderPlaced", OrderID: "order-a", Target: work, Verdict: New}); plan.Messages[0] != want {
		t.Errorf("planned %+v, want %+v", plan.Messages[0], want)
	}
	if plan.Messages[1].Verdict != Handled {
		t.Errorf("planned %+v", plan.Messages[1])
	}
	var text bytes.Buffer
	if err := plan.Write(&text); err != nil {
		t.Fatal(err)
	}
	if again, err := ReadPlan(&text); err != nil || !reflect.DeepEqual(again, plan) {
		t.Fatalf("read as %+v, %v\nfrom %+v", again, err, plan)
	}

	other := deadLetter("a", work)
	other.Body = []byte("another body")
	b.publish(other, deadLetter("later", work))
	job := Job{History: &History{DB: historyDB, Who: "x", Plan: plan.ID}}
	first := job
	first.Max = 1 // as if it was killed
	for n, want := range []struct {
		job                    Job
		replayed, before, gone int
		left                   []string
	}{
		{first, 1, 0, 3, []string{done.String(), "twin", "twin", "gone", "a", "later"}},
		{job, 3, 1, 0, []string{"gone", "a", "later"}},
		{job, 0, 4, 0, []string{"gone", "a", "later"}},
	} {
		want.job.From = []Source{{Queue: dead}}
		got, err := Apply(t.Context(), b.broker, plan, want.job)
		if n == 0 {
			got.Missing = got.Missing[:0] // of a call that was stopped, more is not met
			want.gone = 0
		}
		if err != nil || got.Count(Replayed) != want.replayed || got.Before != want.before || len(got.Missing) != want.gone {
			t.Errorf("call %d: %+v, %v", n+1, got, err)
		}
		if left := b.ids(dead); !slices.Equal(left, want.left) {
			t.Errorf("call %d left %v, want %v", n+1, left, want.left)
		}
	}
	job.From = []Source{{Queue: dead}}
	again := deadLetter("a", work) // it has died again: that is another dead letter
	again.Headers[flow.HeaderReplays] = int64(1)
	b.publish(again)
	if got, err := Apply(t.Context(), b.broker, plan, job); err != nil || got.Count(Replayed) != 0 || got.Count(DiedAgain) != 1 || got.Before != 3 || len(got.Changed)+len(got.Missing) > 0 {
		t.Errorf("what has died again: %+v, %v", got, err)
	}
	plan.Messages = append(plan.Messages, Planned{DLQ: dead, ID: "vanished", Hash: bodyHash(&l), Target: work}, Planned{DLQ: dead, ID: "later", Hash: bodyHash(&l), Target: "elsewhere"})
	if got, err := Apply(t.Context(), b.broker, plan, job); err != nil || len(got.Missing) != 1 || got.Missing[0].ID != "vanished" ||
		len(got.Changed) != 1 || got.Changed[0].ID != "later" {
		t.Errorf("what has vanished, and what is another: %+v, %v", got, err)
	}
}

// Each planned message is in one state, also where the same event is planned twice and one of the two has died again.
func TestPlanOfTwins(t *testing.T) {
	b := newBench(t)
	_, historyDB := b.database()
	b.publish(deadLetter("twin", work), deadLetter("twin", work))
	plan, _, err := MakePlan(t.Context(), b.broker, Job{From: []Source{{Queue: dead}}})
	if err != nil || len(plan.Messages) != 2 {
		t.Fatalf("%+v, %v", plan, err)
	}
	b.replay(Job{}) // by somebody else
	again := deadLetter("twin", work)
	again.Headers[flow.HeaderReplays] = int64(1)
	b.publish(again)
	job := Job{From: []Source{{Queue: dead}}, History: &History{DB: historyDB, Who: "x", Plan: plan.ID}}
	if got, err := Apply(t.Context(), b.broker, plan, job); err != nil || got.Count(DiedAgain) != 1 || len(got.Missing) != 1 || got.Before+len(got.Changed) > 0 {
		t.Errorf("one has died again: %+v, %v", got, err)
	}
	if got, err := Apply(t.Context(), b.broker, plan, job); err != nil || got.Count(DiedAgain) != 1 || len(got.Missing) != 1 {
		t.Errorf("once more: %+v, %v", got, err)
	}
	plan.Messages = plan.Messages[:1]
	b.publish(again)
	if got, err := Apply(t.Context(), b.broker, plan, job); err != nil || got.Count(DiedAgain) != 1 || got.Count(Unmatched) != 1 || len(got.Missing)+got.Before+len(got.Changed) > 0 {
		t.Errorf("one is planned: %+v, %v", got, err)
	}
}

// What this very run has replayed does not stand for its twin, which somebody has taken away.
func TestPlanOfATwinThatIsMissing(t *testing.T) {
	b := newBench(t)
	_, historyDB := b.database()
	b.publish(deadLetter("twin", work), deadLetter("twin", work), deadLetter("", work))
	plan, _, err := MakePlan(t.Context(), b.broker, Job{From: []Source{{Queue: dead}}})
	if err != nil || len(plan.Messages) != 3 {
		t.Fatalf("%+v, %v", plan, err)
	}
	b.empty(dead)
	other := deadLetter("", work)
	other.Body = []byte("another")
	b.publish(deadLetter("twin", work), other)
	job := Job{From: []Source{{Queue: dead}}, History: &History{DB: historyDB, Who: "x", Plan: plan.ID}}
	got, err := Apply(t.Context(), b.broker, plan, job)
	if err != nil || got.Count(Replayed) != 1 || len(got.Missing) != 2 || got.Before+len(got.Changed) > 0 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestPlansThatAreNone(t *testing.T) {
	for text, want := range map[string]string{
		``: "it is no plan: EOF", `[]`: "it is no plan", `{"version":2}`: "it is a plan of version 2, this program reads version 1", `{"ver":1}`: "unknown field",
		`{"version":1} {}`: "something follows it", `{"version":1}`: "it has no plan_id", `{"version":1,"messages":[{"dlq":"q","id":"1","body_sha256":"ab"}]}`: "message 1 has no queue, or no SHA-256",
	} {
		if _, err := ReadPlan(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

// handler handles what comes to t.work as a service does: what bad names dies again.
func (b *bench) handler(db *pgxpool.Pool, bad map[string]bool) (stop func()) {
	return b.consume(work, func(d *broker.Delivery) {
		if !bad[d.ID] {
			b.handle(db, uuid.MustParse(d.ID))
			return
		}
		m := d.Copy()
		m.Exchange, m.RoutingKey, m.Headers[flow.HeaderQueue] = broker.DeadLetterExchange(work), "", work
		b.publish(m)
	})
}

func TestCanary(t *testing.T) {
	b := newBench(t)
	db, _ := b.database()
	bad := map[string]bool{}
	var ids []string
	for i := range 30 {
		ids = append(ids, event.NewID().String())
		bad[ids[i]] = i == 3 || i == 5
		b.publish(deadLetter(ids[i], work))
	}
	defer b.handler(db, bad)()
	job := Job{Do: Replay(), From: []Source{{Queue: dead}}, Inboxes: b.inboxes(db), Canary: Canary{Send: 10, MaxFailures: 1, Patience: limit}}
	run, err := Do(t.Context(), b.broker, job)
	var died *CanaryError
	if !errors.As(err, &died) || died.Died != 2 || run.Canary == nil || run.Canary.Sent != 10 || run.Count(Replayed) != 10 {
		t.Fatalf("%+v, %v", run, err)
	}
	if left := b.ids(dead); len(left) != 22 || !slices.Equal(left[:20], ids[10:]) {
		t.Errorf("left %v", left)
	}
	clear(bad) // mended
	run, err = Do(t.Context(), b.broker, job)
	if err != nil || run.Count(Replayed) != 22 || *run.Canary != (Canaries{Sent: 10, Handled: 10}) {
		t.Errorf("%+v, %+v, %v", run, run.Canary, err)
	}
}

// The same event twice is one canary.
func TestCanaryThatIsThereTwice(t *testing.T) {
	b := newBench(t)
	db, _ := b.database()
	twice, once := event.NewID().String(), event.NewID().String()
	b.publish(deadLetter(twice, work), deadLetter(twice, work), deadLetter(once, work), deadLetter(event.NewID().String(), work))
	defer b.handler(db, map[string]bool{once: true})()
	job := Job{Do: Replay(), From: []Source{{Queue: dead}}, Inboxes: b.inboxes(db), Canary: Canary{Send: 2, Patience: limit}}
	run, err := Do(t.Context(), b.broker, job)
	var died *CanaryError
	if !errors.As(err, &died) || *run.Canary != (Canaries{Sent: 2, Handled: 1, Died: 1}) && *run.Canary != (Canaries{Sent: 2, Died: 1, Waiting: 1}) || run.Count(Replayed) != 3 {
		t.Errorf("%+v, %+v, %v", run, run.Canary, err)
	}
}

// The dead-letter exchange of another program may be a direct one.
func TestCanaryAtADirectExchange(t *testing.T) {
	b := newBench(t)
	b.manage("PUT", "/api/exchanges/%s/billing.dlx", `{"type":"direct","durable":true}`)
	b.manage("PUT", "/api/queues/%s/billing", `{"durable":true,"arguments":{"x-queue-type":"quorum","x-dead-letter-exchange":"billing.dlx"}}`)
	b.publish(deadLetter("1", "billing"), deadLetter("2", "billing"))
	defer b.consume("billing", func(d *broker.Delivery) {
		m := d.Copy()
		m.Exchange = broker.DeadLetterExchange("billing") // with the key that it came by, as the broker does it
		m.Mandatory = false
		m.Headers[flow.HeaderQueue] = "billing"
		b.publish(m)
	})()
	run, err := Do(t.Context(), b.broker, Job{Do: Replay(), From: []Source{{Queue: dead}}, Force: true, Canary: Canary{Send: 1, Patience: limit}})
	var died *CanaryError
	if !errors.As(err, &died) || died.Died != 1 || run.Count(Replayed) != 1 {
		t.Errorf("%+v, %v", run, err)
	}
}

func TestCanaryOfWhichNothingIsHeard(t *testing.T) {
	b := newBench(t)
	db, _ := b.database()
	for range 3 {
		b.publish(deadLetter(event.NewID().String(), work))
	}
	job := Job{Do: Replay(), From: []Source{{Queue: dead}}, Inboxes: b.inboxes(db), Canary: Canary{Send: 1, Patience: time.Second}}
	run, err := Do(t.Context(), b.broker, job)
	var unheard *CanaryError
	if !errors.As(err, &unheard) || unheard.Waiting != 1 || run.Count(Replayed) != 1 || len(b.ids(dead)) != 2 {
		t.Errorf("%+v, %v", run, err)
	}
	job.Inboxes = nil // nobody can tell
	if run, err := Do(t.Context(), b.broker, job); !errors.As(err, &unheard) || run.Count(Replayed) != 1 {
		t.Errorf("%+v, %v", run, err)
	}
	b.publish(deadLetter(event.NewID().String(), work))
	job.Force = true // what has not died is well
	if run, err := Do(t.Context(), b.broker, job); err != nil || run.Count(Replayed) != 2 || *run.Canary != (Canaries{Sent: 1, Waiting: 1}) {
		t.Errorf("%+v, %+v, %v", run, run.Canary, err)
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
