package order

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/singleflight"

	"orderflow/pkg/devstack/devtest"
	"orderflow/pkg/postgres"
)

func TestParseKey(t *testing.T) {
	for _, c := range []struct {
		lines []string
		key   string
		wrong string // part of the problem
	}{
		{[]string{`"8e03978e-40d5-43e8-bc93-6894a57f9324"`}, "8e03978e-40d5-43e8-bc93-6894a57f9324", ""},
		{[]string{"8e03978e-40d5-43e8-bc93-6894a57f9324"}, "8e03978e-40d5-43e8-bc93-6894a57f9324", ""},
		{[]string{`"say \"k\\k\""`}, `say "k\k"`, ""},
		{[]string{`"k";from=proxy`}, "k", ""},
		{[]string{"clé à moi, de 9:00; 1"}, "clé à moi, de 9:00; 1", ""},
		{[]string{strings.Repeat("é", 255)}, strings.Repeat("é", 255), ""},
		{[]string{`"` + strings.Repeat("k", 255) + `"`}, strings.Repeat("k", 255), ""},
		{[]string{strings.Repeat("é", 256)}, "", "at most 255"},
		{[]string{`"` + strings.Repeat("k", 256) + `"`}, "", "at most 255"},
		{[]string{""}, "", "is empty"},
		{[]string{`""`}, "", "is empty"},
		{[]string{"k", "k"}, "", "is there 2 times"},
		{[]string{`"k", "l"`}, "", "no string as in RFC 9651"},
		{[]string{`"k`}, "", "no string as in RFC 9651"},
		{[]string{`k"`}, "", "no string as in RFC 9651"},
		{[]string{`"clé"`}, "", "no string as in RFC 9651"},
		{[]string{`("k")`}, "", "no string as in RFC 9651"},
		{[]string{`?1;a="b"`}, "", "no string as in RFC 9651"},
		{[]string{"k\xff"}, "", "is not text"},
	} {
		key, err := parseKey(c.lines)
		if key != c.key || (err != nil) != (c.wrong != "") || err != nil && !strings.Contains(err.Error(), c.wrong) {
			t.Errorf("%q is read as %q, %v; want %q, %q", c.lines, key, err, c.key, c.wrong)
		}
	}
}

// The key of an order that is being placed on one day waits for its answer on the other, in whatever way the clocks go.
func TestKeyIsHeldOverMidnight(t *testing.T) {
	t.Parallel()
	db := database(t)
	end := midnight(t, db)
	before, after := end.Add(-time.Microsecond), end.Add(time.Microsecond)
	for name, at := range map[string][2]time.Time{"then after": {before, after}, "then before": {after, before}, "at once": {end, end}} {
		first, second := keyed("", name), keyed("", name)
		noted, done, over := make(chan struct{}), make(chan struct{}), make(chan error, 1)
		note := sync.OnceFunc(func() { close(noted) })
		var group errgroup.Group
		group.Go(func() error {
			defer note()
			return placeAndWait(t.Context(), db, at[0], func() { note(); <-done }, first)
		})
		<-noted
		group.Go(func() error {
			err := placeAt(t.Context(), db, at[1], second)
			over <- err
			return err
		})
		if err := devtest.Until(t.Context(), func() error { return waiting(t.Context(), db, over) }); err != nil {
			t.Error(err)
		}
		close(done)
		if err := group.Wait(); err != nil && !postgres.Contended(err) { // on a slow machine the second one loses its patience
			t.Fatal(err)
		}
		if err := placeAt(t.Context(), db, at[1], second); err != nil {
			t.Fatal(err)
		}
		if first.answered() != second.answered() {
			t.Errorf("%s: one was answered %s, the other %s", name, first.answered(), second.answered())
		}
	}
	if n := number(t, db, "SELECT count(*) FROM orders"); n != 3 {
		t.Errorf("%d orders of 3 keys", n)
	}
}

// waiting is nil when somebody waits for a key, or has ended.
func waiting(ctx context.Context, db *pgxpool.Pool, over <-chan error) error {
	var n int
	err := db.QueryRow(ctx, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted").Scan(&n)
	if err != nil || n > 0 {
		return err
	}
	if len(over) > 0 {
		return nil
	}
	return errors.New("nobody waits for the key")
}

// Many place the same orders at the same time, half of them before midnight and half after it, in batches of any size.
func TestRaceOverMidnight(t *testing.T) {
	t.Parallel()
	const racers, orders = 8, 120
	db := database(t)
	end := midnight(t, db)
	answers := make([][]string, racers)
	start := make(chan struct{})
	var group errgroup.Group
	for racer := range racers {
		at := end.Add(time.Duration(racer%2*2-1) * time.Millisecond)
		group.Go(func() error {
			<-start
			for from := 0; from < orders; {
				to := min(from+1+rand.IntN(8), orders)
				told, err := placeKeys(t.Context(), db, at, from, to)
				if err != nil {
					return err
				}
				answers[racer], from = append(answers[racer], told...), to
			}
			return nil
		})
	}
	close(start)
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	for racer := range racers {
		if !slices.Equal(answers[racer], answers[0]) {
			t.Errorf("racer %d was answered\n%v, racer 0\n%v", racer, answers[racer], answers[0])
		}
	}
	today := number(t, db, "SELECT count(*) FROM answers WHERE created_at < $1", end)
	all := number(t, db, "SELECT count(*) FROM orders")
	if noted := number(t, db, "SELECT count(*) FROM answers"); all != orders || noted != orders {
		t.Errorf("%d orders and %d answers of %d keys", all, noted, orders)
	}
	t.Logf("%d orders before midnight, %d after", today, all-today)
}

// placeKeys places the orders of some keys until it has answers, each key twice.
func placeKeys(ctx context.Context, db *pgxpool.Pool, at time.Time, from, to int) (told []string, err error) {
	var batch []*placement
	for i := from; i < to; i++ {
		batch = append(batch, keyed("", fmt.Sprint("key-", i)), keyed("", fmt.Sprint("key-", i)))
	}
	order := slices.Clone(batch)
	rand.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	for err = placeAt(ctx, db, at, order...); postgres.Contended(err); err = placeAt(ctx, db, at, order...) {
	}
	for i := 0; i < len(batch); i += 2 {
		if told = append(told, batch[i].answered()); batch[i+1].answered() != told[i/2] {
			err = errors.Join(err, fmt.Errorf("key %s is answered %s and %s", batch[i].key.key, told[i/2], batch[i+1].answered()))
		}
	}
	return told, err
}

func TestKeyIsFreeAfterADay(t *testing.T) {
	t.Parallel()
	db := database(t)
	end := midnight(t, db)
	first := end.Add(-24*time.Hour + 10*time.Hour)
	answers := map[string]int{} // requests that were answered so
	for _, at := range []time.Time{first, first.Add(time.Hour), end, first.Add(answersKept - time.Microsecond), first.Add(answersKept), first.Add(answersKept + time.Hour)} {
		p := keyed("", "key")
		if err := placeAt(t.Context(), db, at, p); err != nil {
			t.Fatal(err)
		}
		answers[p.answered()]++
		if want := 1; at.Before(first.Add(answersKept)) && len(answers) != want {
			t.Errorf("%s after the first order there are %d", at.Sub(first), len(answers))
		}
	}
	if len(answers) != 2 || number(t, db, "SELECT count(*) FROM orders") != 2 {
		t.Errorf("the answers were %v; want 4 and 2 of two orders", answers)
	}
}

// The key of one caller is nothing to another.
func TestKeysOfCallers(t *testing.T) {
	t.Parallel()
	db := database(t)
	end := midnight(t, db)
	batch := []*placement{keyed("", "key"), keyed("shop", "key"), keyed("till", "key"), keyed("shop", "key"), keyed("", ""), keyed("shop", "")}
	if err := placeAt(t.Context(), db, end, batch...); err != nil {
		t.Fatal(err)
	}
	again := keyed("till", "key")
	if err := placeAt(t.Context(), db, end, again); err != nil {
		t.Fatal(err)
	}
	if again.answered() != batch[2].answered() || batch[3].answered() != batch[1].answered() {
		t.Error("a caller does not get its own first answer")
	}
	if n := number(t, db, "SELECT count(*) FROM orders"); n != 5 {
		t.Errorf("%d orders, want 5: three with keys and two without", n)
	}
}

// The days of answers are made for all who wait for them, though the client that was first has gone.
func TestDaysAreMadeForAll(t *testing.T) {
	t.Parallel()
	db := database(t)
	today := answerDays.Partition(midnight(t, db).Add(-24 * time.Hour))
	if _, err := db.Exec(t.Context(), "DROP TABLE "+today); err != nil {
		t.Fatal(err)
	}
	gone, leave := context.WithCancel(t.Context())
	leave()
	if err := (api{db: db, making: new(singleflight.Group)}).makeDays(gone); err != nil {
		t.Error(err)
	}
	if err := placeAt(t.Context(), db, time.Now(), keyed("", "key")); err != nil {
		t.Error(err)
	}
}

// headed is a request to place an order, whose key came in a header.
func headed(t *testing.T, header string) *placement {
	t.Helper()
	key, err := parseKey([]string{header})
	if err != nil {
		t.Fatal(err)
	}
	p := keyed("", key)
	p.header = header
	return p
}

// A key is the same in all the forms that it may come in, together or one after the other, and whether the version before has it or not.
func TestFormsOfAKey(t *testing.T) {
	t.Parallel()
	db := database(t)
	noted := headed(t, `"noted"`)
	if _, err := before(t.Context(), db, noted, func() {}); err != nil {
		t.Fatal(err)
	}
	for i, forms := range [][]string{{"fresh", `"fresh"`, `"fresh";from=proxy`}, {"noted", `"noted";from=proxy`, `"noted"`}} {
		var batch []*placement
		for _, header := range forms {
			batch = append(batch, headed(t, header))
		}
		want := []string{batch[0].answered(), noted.answered()}[i]
		if err := placeAt(t.Context(), db, time.Now(), batch...); err != nil {
			t.Fatal(err)
		}
		again := headed(t, forms[2])
		if err := placeAt(t.Context(), db, time.Now(), again); err != nil {
			t.Fatal(err)
		}
		for _, p := range append(batch, again) {
			if p.answered() != want {
				t.Errorf("%s is answered %s, want %s", p.header, p.answered(), want)
			}
		}
	}
}

// before claims a key as the version before does, and returns what it would answer.
func before(ctx context.Context, db *pgxpool.Pool, p *placement, wait func()) (answer string, err error) {
	err = postgres.Transact(ctx, db, func(tx *postgres.Tx) error {
		tx.Queue("SET LOCAL lock_timeout = '500ms'")
		claimed, err := postgres.Query(ctx, tx, pgx.RowTo[string], `
			INSERT INTO idempotency_keys AS k (key, request_hash, order_id, response)
			SELECT * FROM unnest($1::text[], $2::bytea[], $3::uuid[], $4::text[])
			ON CONFLICT (key) DO UPDATE
				SET request_hash = excluded.request_hash, order_id = excluded.order_id, response = excluded.response, created_at = now()
				WHERE k.created_at < now() - interval '24 hours'
			RETURNING key`,
			[]string{p.header}, [][]byte{p.answer.RequestHash}, []uuid.UUID{p.answer.OrderID}, []string{string(p.answer.Response)})
		if err != nil {
			return err
		}
		wait()
		if answer = p.answered(); len(claimed) > 0 {
			return nil
		}
		used, err := postgres.Query(ctx, tx, pgx.RowTo[string], `SELECT response FROM idempotency_keys WHERE key = ANY($1::text[])`, []string{p.header})
		if err != nil || len(used) != 1 {
			return fmt.Errorf("answers %q, %w", used, err)
		}
		answer = used[0]
		return nil
	})
	return answer, err
}

// While a release is rolled out, or after it was taken back, two versions answer with one voice.
func TestVersionBefore(t *testing.T) {
	t.Parallel()
	db := database(t)
	nothing := func() {}
	var now time.Time
	if err := db.QueryRow(t.Context(), "SELECT now()").Scan(&now); err != nil {
		t.Fatal(err)
	}
	old := func(p *placement) string {
		t.Helper()
		answer, err := before(t.Context(), db, p, nothing)
		if err != nil {
			t.Fatal(err)
		}
		return answer
	}
	young := func(p *placement) string {
		t.Helper()
		if err := placeAt(t.Context(), db, now, p); err != nil {
			t.Fatal(err)
		}
		return p.answered()
	}
	for _, way := range []struct {
		name    string
		answers []func(*placement) string
	}{
		{"before", []func(*placement) string{old, young, old, young}}, {"after", []func(*placement) string{young, old, young, old}},
	} {
		for _, form := range forms {
			header := fmt.Sprintf(form, way.name)
			first := headed(t, header)
			for i, answer := range way.answers {
				p := first
				if i > 0 {
					p = headed(t, header)
				}
				if got := answer(p); got != string(first.answer.Response) {
					t.Errorf("%s, answer %d is %s, want %s", header, i, got, first.answer.Response)
				}
			}
		}
	}

	// What is older than a day counts for neither.
	for _, sql := range []string{"UPDATE idempotency_keys SET created_at = now() - interval '25 hours'", "TRUNCATE answers"} {
		if _, err := db.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	for name, answer := range map[string]func(*placement) string{"before": old, "after": young} {
		for _, form := range forms {
			header := fmt.Sprintf(form, name)
			p := headed(t, header)
			if answer(p) != string(p.answer.Response) || old(headed(t, header)) != string(p.answer.Response) || young(headed(t, header)) != string(p.answer.Response) {
				t.Errorf("%s: a key that was used long ago is not free", header)
			}
		}
	}
}

// While the version before answers, this one waits.
func TestVersionBeforeAtTheSameMoment(t *testing.T) {
	t.Parallel()
	db := database(t)
	for _, form := range forms {
		together(t, db, fmt.Sprintf(form, "together"))
	}
}

// forms are those in which a key may come.
var forms = []string{"%s", `"%s in quotation marks"`, `"\"%s\", escaped: \\"`, `"%s, too";from=proxy`}

func together(t *testing.T, db *pgxpool.Pool, header string) {
	t.Helper()
	p, late := headed(t, header), headed(t, header)
	over := make(chan error, 1)
	var group errgroup.Group
	_, err := before(t.Context(), db, p, func() {
		group.Go(func() error {
			err := placeAt(t.Context(), db, time.Now(), late)
			over <- err
			return err
		})
		if err := devtest.Until(t.Context(), func() error { return waiting(t.Context(), db, over) }); err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := group.Wait(); err != nil && !postgres.Contended(err) {
		t.Fatal(err)
	}
	if err := placeAt(t.Context(), db, time.Now(), late); err != nil {
		t.Fatal(err)
	}
	if got := late.answered(); got != p.answered() {
		t.Errorf("%s is answered %s, and %s by the version before", header, got, p.answered())
	}
}
