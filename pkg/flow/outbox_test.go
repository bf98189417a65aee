package flow

import (
	"errors"
	"testing"
	"time"

	"orderflow/pkg/devstack/devtest"
	"orderflow/pkg/event"
	"orderflow/pkg/postgres"
)

// born puts events into the outbox as an HTTP request does.
func born(t *testing.T, s *Service, events ...*event.Event) {
	t.Helper()
	if err := s.Transact(t.Context(), func(*postgres.Tx) ([]*event.Event, error) { return events, nil }); err != nil {
		t.Fatal(err)
	}
}

func TestTransactPublishes(t *testing.T) {
	t.Parallel()
	h := newHouse(t, devtest.New(t))
	h.observe()
	s := h.run(h.effect(), 1)
	events := placed(500, "ok")
	for i := range 50 {
		born(t, s.Service, events[i*10:(i+1)*10]...)
	}
	h.journal.until(t, events)
	h.wantOnce(events)

	mine := errors.New("mine")
	err := s.Transact(t.Context(), func(*postgres.Tx) ([]*event.Event, error) { return placed(3, "ok"), mine })
	if err != mine {
		t.Errorf("error %v, want the caller's own", err)
	}
	s.stop()
	if n := h.outbox(); n != 0 {
		t.Errorf("the outbox has %d events, want none: all are confirmed, or rolled back", n)
	}
}

// A process commits and dies before it publishes: another one publishes what it left behind.
func TestSweepPublishesWhatACrashLeftBehind(t *testing.T) {
	t.Parallel()
	h := newHouse(t, devtest.New(t))
	h.observe()
	cfg := h.cfg
	cfg.Broker = h.broker
	crashed := New(cfg) // it never runs, so it publishes nothing
	events := placed(1200, "ok")
	born(t, crashed, events...)
	if n := h.outbox(); n != 1200 {
		t.Fatalf("the outbox has %d events, want 1200", n)
	}
	s := h.run(h.effect(), 2)
	other := h.run(h.effect(), 1)
	h.exec("UPDATE outbox SET due_at = now()")
	h.journal.until(t, events)
	h.eventually("the outbox is empty", func() bool { return h.outbox() == 0 })
	s.stop()
	other.stop()
	h.wantOnce(events)
}

// What is young is its writer's own business.
func TestSweepLeavesTheYoungAlone(t *testing.T) {
	t.Parallel()
	h := newHouse(t, devtest.New(t))
	cfg := h.cfg
	cfg.Broker = h.broker
	writer := New(cfg)
	born(t, writer, placed(1, "ok")...)
	if n, err := writer.outbox.sweepOnce(t.Context()); n != 0 || err != nil {
		t.Errorf("swept %d events, error %v", n, err)
	}
	if n := h.outbox(); n != 1 {
		t.Errorf("the outbox has %d events, want 1", n)
	}
}

// An event that somebody must take and nobody does stays in the outbox until somebody does.
func TestUnroutableEventWaits(t *testing.T) {
	t.Parallel()
	h := newHouse(t, devtest.New(t))
	s := h.run(h.effect(), 1)
	events := placed(3, "ok")
	h.feed(events...)
	h.journal.until(t, events)
	h.exec("UPDATE outbox SET due_at = now()")
	h.eventually("they were tried again", func() bool {
		return h.number("SELECT count(*) FROM outbox WHERE attempts > 0") == 3
	})
	h.observe()
	h.exec("UPDATE outbox SET due_at = now()")
	h.eventually("the outbox is empty", func() bool { return h.outbox() == 0 })
	s.stop()
	h.wantFollowers(events, true)
}

func TestEventsThatNobodyNeedAreNoFailure(t *testing.T) {
	t.Parallel()
	h := newHouse(t, devtest.New(t))
	s := h.run(h.effect(), 1)
	order := placed(1, "ok")[0].Data.(*event.OrderPlaced).Order
	born(t, s.Service, event.New("order", time.Now(), "c", &event.OrderShipped{Order: order}))
	h.eventually("the outbox is empty", func() bool { return h.outbox() == 0 })
}
