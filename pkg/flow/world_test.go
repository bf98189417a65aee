package flow

import (
	"context"
	"strings"
	"testing"

	"github.com/google/uuid"

	"orderflow/pkg/devstack/devtest"
	"orderflow/pkg/event"
	"orderflow/pkg/postgres"
)

// Postgres and RabbitMQ are killed in the middle of 2000 events. All are handled, each once, and no attempt is spent.
func TestServersAreKilled(t *testing.T) {
	t.Parallel()
	env := devtest.Own(t)
	h := newHouse(t, &env.Env)
	h.observe()
	h.cfg.Batch = 50
	env.SyncRabbitMQ()
	events := placed(2000, "ok")
	s := h.run(h.effect(), 2)
	at := func(n int) { // waits until so many are handled
		h.eventually("events are handled", func() bool {
			h.journal.mu.Lock()
			defer h.journal.mu.Unlock()
			return len(h.journal.handled) >= n
		})
	}
	h.feed(events[:1000]...)
	at(100)
	env.KillPostgres()
	env.StartPostgres()
	h.feed(events[1000:]...)
	at(1100)
	env.KillRabbitMQ()
	env.StartRabbitMQ()
	h.journal.until(t, events)
	h.exec("UPDATE outbox SET due_at = now()")
	h.eventually("the outbox is empty", func() bool { return h.outbox() == 0 })
	h.eventually("the queue is empty", func() bool { return h.depth(queue) == 0 })
	s.stop()
	h.wantOnce(events)
	h.wantFollowers(events, false)
	if n := h.depth(dlq); n != 0 {
		t.Errorf("%d dead letters", n)
	}
	for _, e := range events {
		if n := h.journal.count(h.journal.tried, e.ID); n > 20 {
			t.Errorf("event %s was tried %d times", e.ID, n)
		}
	}
}

// The database is not there for a while: nothing is spent or dead-lettered, and the service says what is wrong.
func TestDatabaseRefuses(t *testing.T) {
	t.Parallel()
	h := newHouse(t, devtest.New(t))
	s := h.run(h.effect(), 2)
	if err := s.Ready(t.Context()); err != nil {
		t.Errorf("not ready: %v", err)
	}
	h.exec("ALTER TABLE effects RENAME TO gone")
	events := placed(500, "ok")
	h.feed(events...)
	h.eventually("events were tried several times", func() bool { return h.journal.count(h.journal.tried, events[0].ID) > 3 })
	if n := h.depth(dlq) + h.depth("orders.retry.50ms") + h.depth("orders.retry.200ms"); n != 0 {
		t.Errorf("%d messages were passed on by the world's fault", n)
	}
	h.exec("ALTER TABLE gone RENAME TO effects")
	h.journal.until(t, events)
	s.stop()
	h.wantOnce(events)
}

// Two workers whose transactions lock the same rows in opposite order: a deadlock costs no attempt.
func TestDeadlocks(t *testing.T) {
	t.Parallel()
	h := newHouse(t, devtest.New(t))
	h.exec("CREATE TABLE locks (k text PRIMARY KEY, n int NOT NULL DEFAULT 0)")
	h.exec("INSERT INTO locks VALUES ('a'), ('b')")
	h.cfg.Batch = 1
	s := h.run(h.locking(), 4)
	events := append(placed(20, "a b"), placed(20, "b a")...)
	h.feed(events...)
	h.journal.until(t, events)
	s.stop()
	h.wantOnce(events)
	if n := h.number("SELECT sum(n) FROM locks"); n != 2*len(events) {
		t.Errorf("the rows were locked %d times, want %d", n, 2*len(events))
	}
}

// locking locks two rows for each event, in the order that its payment method says.
func (h *house) locking() Handler {
	return React(func(ctx context.Context, tx *postgres.Tx, batch []*event.Event) ([]*event.Event, error) {
		var ids []uuid.UUID
		for _, e := range batch {
			ids = append(ids, e.ID)
			for _, key := range strings.Fields(method(e)) {
				tx.Queue("UPDATE locks SET n = n + 1 WHERE k = $1", key)
				if err := tx.Send(ctx); err != nil {
					return nil, err
				}
			}
		}
		countEffects(tx, ids)
		tx.OnCommit(func() { h.journal.note(h.journal.handled, batch) })
		return nil, nil
	})
}
