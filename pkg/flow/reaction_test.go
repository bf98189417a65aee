package flow

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"

	"orderflow/pkg/broker"
	"orderflow/pkg/devstack/devtest"
	"orderflow/pkg/event"
	"orderflow/pkg/postgres"
)

func TestEffectsHappenOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t, devtest.New(t))
	h.observe()
	events := placed(300, "ok")
	all := slices.Clone(events)
	for range 50 { // one of them fifty times in a row
		all = append(all, events[7])
	}
	for range 3 { // all of them three times more, across batches and workers
		again := slices.Clone(events)
		rand.Shuffle(len(again), func(i, j int) { again[i], again[j] = again[j], again[i] })
		all = append(all, again...)
	}
	h.feed(all...)
	s := h.run(h.effect(), 3)
	h.run(h.effect(), 2) // another process of the same service
	h.journal.until(t, events)
	h.eventually("the queue is empty", func() bool { return h.depth(queue) == 0 })
	s.stop()
	h.wantOnce(events)
	h.wantFollowers(events, true)
	if n := h.depth(broker.DeadLetterQueue(queue)); n != 0 {
		t.Errorf("%d dead letters", n)
	}
}

// The time that a transaction may take is the reaction's, too.
func TestReactionsHaveADeadline(t *testing.T) {
	t.Parallel()
	h := newHouse(t, devtest.New(t))
	limited := make(chan bool, 10)
	h.run(React(func(ctx context.Context, _ *postgres.Tx, batch []*event.Event) ([]*event.Event, error) {
		_, ok := ctx.Deadline()
		limited <- ok
		return nil, nil
	}), 1)
	h.feed(placed(1, "ok")...)
	if !receive(t, "the reaction", limited) {
		t.Error("the context of a reaction has no deadline: a server that is stalled would hold it for ever")
	}
}

// On stop, what is in hand is finished; the rest waits in the queue, and nothing is lost.
func TestStopFinishesWhatIsInHand(t *testing.T) {
	t.Parallel()
	h := newHouse(t, devtest.New(t))
	h.observe()
	h.cfg.Batch = 20
	events := placed(1000, "ok")
	h.feed(events...)
	s := h.run(h.effect(), 2)
	<-h.journal.news
	s.stop()
	done := h.number("SELECT count(*) FROM effects")
	if n := h.outbox(); n != 0 {
		t.Errorf("%d events stay in the outbox after a stop", n)
	}
	h.eventually("the rest is in the queue", func() bool { return h.depth(queue) == 1000-done })
	h.run(h.effect(), 2)
	h.journal.until(t, events)
	h.wantOnce(events)
	h.wantFollowers(events, true)
}
