package flow

import (
	"testing"
	"time"

	"orderflow/pkg/devstack/devtest"
	"orderflow/pkg/event"
)

// What is published again is published by whoever runs the service, and has its effect only where it had none.
func TestPublishAgain(t *testing.T) {
	t.Parallel()
	h := newHouse(t, devtest.New(t))
	h.observe()
	s := h.run(h.effect(), 1)
	events := placed(20, "ok")
	born(t, s.Service, events[:10]...)
	h.journal.until(t, events[:10])
	began := time.Now()
	for range 2 { // of which the second may find it in the outbox
		if err := PublishAgain(t.Context(), h.db, event.Orders, events); err != nil {
			t.Fatal(err)
		}
	}
	h.journal.until(t, events)
	h.eventually("the outbox is empty", func() bool { return h.outbox() == 0 })

	memory, err := OpenMemory(t.Context(), h.db)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		since time.Time
		want  bool
	}{{began.Add(-time.Minute), true}, {time.Now().Add(time.Minute), false}} {
		if got, err := memory.HandledSince(t.Context(), queue, c.since); err != nil || got != c.want {
			t.Errorf("handled since %s: %v, %v; want %v", c.since, got, err, c.want)
		}
	}
	for days, forgot := range map[time.Duration]bool{0: false, -400 * day: true, 400 * day: false} {
		if id := event.FirstID(time.Now().Add(days)); memory.Forgot(id) != forgot {
			t.Errorf("an event of %s from now: forgotten is %v", days, !forgot)
		}
	}
	bad := placed(1, "")
	if err := PublishAgain(t.Context(), h.db, event.Orders, bad); err == nil {
		t.Error("what nobody could read was published")
	}
	s.stop()
	h.wantOnce(events)
}
