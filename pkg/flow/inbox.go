package flow

import (
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"orderflow/pkg/event"
	"orderflow/pkg/postgres"
)

// inbox remembers which events the subscriptions of a service have handled.
type inbox struct {
	window atomic.Pointer[window]
}

// window is the days of events for which the inbox has partitions: the span that it is to remember, and what is older and kept for
// the sake of a dead letter.
type window struct {
	from, to time.Time
	kept     map[time.Time]bool
	opened   time.Time
}

// freshWindow is how old a window must be before an event that lies behind it is a reason to look at the clock again.
const freshWindow = 10 * time.Second

// behind tells whether e is from after the window, which then may be old: this process has slept, or could not reach the database.
func (i *inbox) behind(e *event.Event) bool {
	w := i.window.Load()
	return !event.IDTime(e.ID).Before(w.to) && time.Since(w.opened) > freshWindow
}

// accepts reports, as a permanent failure, an event that the inbox could not remember.
func (i *inbox) accepts(e *event.Event) error {
	w, made := i.window.Load(), event.IDTime(e.ID)
	if inside := !made.Before(w.from) && made.Before(w.to); !inside && !w.kept[made.Truncate(day)] {
		return Reject("event id %s was made at %s, outside what the inbox remembers (%s to %s): whether it was handled cannot be told",
			e.ID, made.Format(time.RFC3339), w.from.Format(time.RFC3339), w.to.Format(time.RFC3339))
	}
	return nil
}

// forgetDay takes a day out of those that are kept.
func (i *inbox) forgetDay(d time.Time) {
	w := *i.window.Load()
	w.kept = maps.Clone(w.kept)
	delete(w.kept, d)
	i.window.Store(&w)
}

// claim notes in tx that a queue handles these events, and tells which of them it had not handled before. It is queued, and answered
// together with what the transaction asks next. Ids are sorted, so that two transactions with the same events wait for each other in
// one order.
func (i *inbox) claim(tx *postgres.Tx, queue string, ids []uuid.UUID) *claim {
	slices.SortFunc(ids, compareIDs)
	c := &claim{ids: ids}
	postgres.Read(tx, pgx.RowTo[uuid.UUID], &c.noted, `
		INSERT INTO inbox (event_id, queue) SELECT id, $2 FROM unnest($1::uuid[]) AS id
		ON CONFLICT DO NOTHING RETURNING event_id`, ids, queue)
	return c
}

// claim is what was asked of the inbox, and its answer.
type claim struct {
	ids   []uuid.UUID
	noted []uuid.UUID // nil until it is answered
}

func (c *claim) answered() bool { return c.noted != nil }

// fresh is the events that the queue had not handled before.
func (c *claim) fresh() map[uuid.UUID]bool { return postgres.Set(c.noted) }

// explain says what is wrong with a claim that failed.
func (c *claim) explain(err error) error {
	if postgres.NoPartition(err) {
		return Reject("another process has just dropped the day of the event from the inbox: %w", err)
	}
	return fmt.Errorf("inbox: %w", err)
}

// forget takes back in tx what claim noted, for events that are not finished.
func (i *inbox) forget(tx *postgres.Tx, queue string, ids []uuid.UUID) {
	tx.Queue(`DELETE FROM inbox WHERE event_id = ANY($1::uuid[]) AND queue = $2`, ids, queue)
}

func compareIDs(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) }
