package flow

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"orderflow/pkg/broker"
	"orderflow/pkg/devstack/devtest"
	"orderflow/pkg/event"
	"orderflow/pkg/postgres"
)

// aged is an event that was made some days ago.
func aged(days int, method string) *event.Event {
	e := placed(1, method)[0]
	at := event.FirstID(time.Now().Add(-time.Duration(days) * day))
	copy(e.ID[:6], at[:6])
	return e
}

func (h *house) partition(daysAgo int) bool {
	h.t.Helper()
	name := inboxDays(0).Partition(time.Now().UTC().Add(-time.Duration(daysAgo) * day))
	return h.number("SELECT count(*) FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE c.relname = $1", name) == 1
}

func TestFirstID(t *testing.T) {
	t.Parallel()
	now := time.Now().UTC().Truncate(day)
	first, before := event.FirstID(now), uuid.UUID{}
	id := event.NewID()
	if compareIDs(first, id) > 0 || compareIDs(event.FirstID(now.Add(day)), id) < 0 {
		t.Errorf("id %s is not of today, which begins with %s", id, first)
	}
	if compareIDs(before, first) > 0 || event.IDTime(first) != now {
		t.Errorf("the first id of %s is %s, of %s", now, first, event.IDTime(first))
	}
}

func TestOldDaysAreForgotten(t *testing.T) {
	t.Parallel()
	h := newHouse(t, devtest.New(t))
	h.cfg.InboxRetention = 10 * day
	s := h.run(h.effect(), 1)
	events := []*event.Event{aged(9, "ok"), aged(5, "ok"), aged(0, "ok")}
	h.feed(events...)
	h.journal.until(t, events)
	for _, days := range []int{10, 9, 0, -1, -2} {
		if !h.partition(days) {
			t.Errorf("there is no partition for the day %d days ago", days)
		}
	}
	s.stop()

	// Two processes of a version that remembers less.
	h.cfg.InboxRetention = 3 * day
	s = h.run(h.effect(), 1)
	other := h.run(h.effect(), 1)
	h.eventually("only the days to be remembered have tables", func() bool {
		return h.number(`SELECT count(*) FROM pg_class WHERE relname ~ '^inbox_\d{8}$'`) == 3+daysAhead
	})
	if !h.partition(3) || !h.partition(0) {
		t.Error("a day that is to be remembered is forgotten")
	}
	late := aged(5, "ok")
	h.feed(late, events[0], events[2])
	for _, d := range h.deadLetters(2) {
		wantHeaders(t, d, ReasonRejected, 1, "the inbox")
	}
	s.stop()
	other.stop()
	h.wantOnce(events)
}

// A day is remembered as long as there is a dead letter of it, which can so be replayed, and has its effect once.
func TestADeadLetterKeepsItsDay(t *testing.T) {
	t.Parallel()
	h := newHouse(t, devtest.New(t))
	h.cfg.InboxRetention = 10 * day
	s := h.run(h.effect(), 1)
	dead, handled := aged(8, "reject"), aged(8, "ok")
	h.feed(dead, handled, aged(9, "ok"))
	h.eventually("there is a dead letter", func() bool { return h.depth(dlq) == 1 })
	h.journal.until(t, []*event.Event{handled})
	s.stop()

	h.cfg.InboxRetention = 3 * day
	s = h.run(h.effect(), 1)
	h.eventually("the older days are forgotten", func() bool { return !h.partition(9) && !h.partition(10) })
	if !h.partition(8) {
		t.Fatal("the day of the dead letter is forgotten")
	}
	h.eventually("the dead letter is there after the look", func() bool { return h.depth(dlq) == 1 })
	// Replayed: the one that died, mended, and one of the same day that was handled already.
	letter := h.take(dlq)[0].Copy()
	dead.Data.(*event.OrderPlaced).PaymentMethod = "ok"
	letter.Exchange, letter.RoutingKey, letter.Mandatory, letter.Body = "", queue, true, message(t, dead).Body
	again := message(t, handled)
	again.Exchange, again.RoutingKey = "", queue
	h.publish(letter, again)
	h.journal.until(t, []*event.Event{dead})
	h.eventually("the queue is empty", func() bool { return h.depth(queue) == 0 })
	s.stop()
	if n := h.depth(dlq); n != 0 {
		t.Errorf("%d dead letters after the replay", n)
	}
	if n := h.number("SELECT max(n) FROM effects"); n != 1 {
		t.Errorf("an event had its effect %d times", n)
	}
}

func TestOldestDeadLetter(t *testing.T) {
	t.Parallel()
	h := newHouse(t, devtest.New(t))
	dead := aged(5, "ok")
	m := message(t, dead)
	m.Exchange, m.RoutingKey = "", dlq
	foreign := broker.Message{RoutingKey: dlq, Mandatory: true, ID: "not an id"}
	h.publish(foreign, message(t, aged(0, "ok")), m, foreign)
	cfg := h.cfg
	cfg.Broker = h.broker
	f := forgetting{service: &Service{cfg: cfg}, worn: map[string]int{}}
	oldest, err := f.oldestIn(t.Context(), dlq)
	if err != nil || !oldest.Equal(event.IDTime(dead.ID)) {
		t.Errorf("the oldest is of %s, error %v; want %s", oldest, err, event.IDTime(dead.ID))
	}
	h.eventually("all three dead letters are there after the look", func() bool { return h.depth(dlq) == 3 })

	// What was delivered often is spared. (Not every RabbitMQ counts what was given back.)
	for range 2 * wornFrom {
		if oldest, err = f.oldestIn(t.Context(), dlq); err != nil || !oldest.IsZero() && !oldest.Equal(event.IDTime(dead.ID)) {
			t.Fatalf("the oldest is of %s, error %v", oldest, err)
		}
		h.eventually("the messages are back", func() bool { return h.depth(dlq) == 3 })
	}
	if times, _ := h.take(dlq)[0].Headers["x-delivery-count"].(int64); times > wornFrom+1 || times >= wornFrom && !oldest.IsZero() {
		t.Errorf("delivered %d times, and the oldest is of %s", times, oldest)
	}
}

// A table of the service is kept as the inbox is.
func TestKeep(t *testing.T) {
	t.Parallel()
	h := newHouse(t, devtest.New(t))
	h.exec("CREATE TABLE diary (at timestamptz PRIMARY KEY) PARTITION BY RANGE (at)")
	h.exec("CREATE TABLE diary_20200102 PARTITION OF diary FOR VALUES FROM ('2020-01-02T00:00:00Z') TO ('2020-01-03T00:00:00Z')")
	cfg := h.cfg
	cfg.Broker = h.connect()
	s := New(cfg)
	s.Keep(postgres.Days{Table: "diary", First: func(d time.Time) string { return d.Format(time.RFC3339) }, Keep: day, Ahead: 2})
	ctx, stop := context.WithCancel(t.Context())
	over := make(chan error, 1)
	go func() { over <- s.Run(ctx) }()
	h.eventually("there are the days that are needed, and no others", func() bool {
		return h.number("SELECT count(*) FROM pg_class WHERE relname ~ '^diary_\\d{8}$'") == 3
	})
	stop()
	if err := <-over; err != nil {
		t.Error(err)
	}
}

// Many processes start at once on an empty schema.
func TestPrepareByMany(t *testing.T) {
	t.Parallel()
	h := newHouse(t, devtest.New(t))
	var wait sync.WaitGroup
	for range 6 {
		wait.Go(func() {
			cfg := h.cfg.withDefaults()
			var i inbox
			if err := i.prepare(t.Context(), cfg); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if n := h.number("SELECT count(*) FROM pg_inherits WHERE inhparent = 'inbox'::regclass"); n != 14+daysAhead {
		t.Errorf("there are %d partitions, want %d", n, 14+daysAhead)
	}
}
