package stuck

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"

	"orderflow/pkg/broker"
	"orderflow/pkg/dlq"
	"orderflow/pkg/event"
	"orderflow/pkg/flow"
	"orderflow/pkg/postgres"
)

// key is an event at some place.
type key struct {
	id uuid.UUID
	at string
}

// outboxed is an event in an outbox.
type outboxed = flow.Waiting

const (
	// mostLetters is how many dead letters of a queue are looked at, and mostDelayed how many messages in delay queues: these are held up by it,
	// and those behind them.
	mostLetters, mostDelayed = 100_000, 1_000
	// mostCopies is how often a dead letter that was edited is followed to its copy, which died and was edited.
	mostCopies = 10
	// lookPatience is how long to wait for another command that is at work on a queue.
	lookPatience = 2 * time.Second
	// skew is how far the clocks of services may differ, where an event is to be known as a later one.
	skew = time.Second
)

// see looks for the messages of waits in all places but the inboxes. The outboxes come first: what is in none was published before.
func (l *Looker) see(ctx context.Context, waits []*Wait, before *seen) (*seen, error) {
	s := &seen{
		outbox: map[key]outboxed{}, queues: map[string]queue{}, letters: map[key]dlq.Letter{}, delayed: map[key]dlq.Letter{},
		unread: map[string]string{}, dropped: map[key]dlq.Entry{}, edits: map[uuid.UUID]*dlq.Entry{}, passed: map[string]bool{},
		passedBefore: map[key]bool{},
	}
	if err := l.seeHistory(ctx, s, waits); err != nil {
		return nil, err
	}
	ids := idsOf(waits)
	for _, service := range distinct(waits, func(w *Wait) string { return w.Owner }) {
		if err := l.seeOutbox(ctx, s, service, ids); err != nil {
			return nil, err
		}
	}
	queues := distinct(waits, func(w *Wait) string { return w.Queue })
	if l.Broker == nil {
		s.unread[""] = fmt.Sprintf("RabbitMQ cannot be asked: %v", l.Away)
		return s, nil
	}
	if err := l.seeQueues(ctx, s, queues); err != nil {
		return nil, err
	}
	wanted := postgres.Set(append(distinct(waits, (*Wait).message), ids...))
	if err := l.seeDelayed(ctx, s, wanted); err != nil {
		return nil, err
	}
	if err := l.seeDead(ctx, s, queues, wanted); err != nil {
		return nil, err
	}
	if before == nil {
		return s, nil
	}
	for _, name := range queues {
		since, err := l.memories[name].HandledSince(ctx, name, before.at.Add(skew))
		if err != nil {
			return nil, err
		}
		s.passed[name] = since
	}
	l.remember(s, waits)
	return s, nil
}

// remember notes when each event was first found to be passed, for the looks to come.
func (l *Looker) remember(s *seen, waits []*Wait) {
	for _, w := range waits {
		if !s.passed[w.Queue] {
			continue
		}
		k := key{w.message(), w.Queue}
		first, ok := l.passed[k]
		if !ok {
			first = s.at
		}
		s.passedBefore[k] = s.at.Sub(first) >= oldEnough
		l.passing[k] = first
	}
}

func (l *Looker) seeOutbox(ctx context.Context, s *seen, service string, ids []uuid.UUID) error {
	return l.Databases.snapshot(ctx, service, func(snapshot *postgres.Snapshot) error {
		if snapshot.Taken.After(s.at) {
			s.at = snapshot.Taken
		}
		return each(flow.ReadOutbox(ctx, snapshot, ids), func(w flow.Waiting) { s.outbox[key{w.EventID, service}] = w })
	})
}

func (l *Looker) seeQueues(ctx context.Context, s *seen, names []string) error {
	var unacked map[string]int
	if l.Unacked != nil {
		unacked = l.Unacked(ctx)
	}
	for _, name := range names {
		ready, consumers, err := l.Broker.Inspect(ctx, name)
		if absent := errors.Is(err, broker.ErrNoQueue); err != nil && !absent {
			return err
		}
		q := queue{absent: err != nil, ready: ready, consumers: consumers}
		q.unacked, q.counted = unacked[name]
		s.queues[name] = q
	}
	return nil
}

// seeDelayed looks through the delay queues where there is anything in them. RabbitMQ 4 sends a message that is looked at too often back to its
// work queue too early, which is no harm; package dlq stops well before, and so does mayLook.
func (l *Looker) seeDelayed(ctx context.Context, s *seen, wanted map[uuid.UUID]bool) error {
	total := 0
	var filled []string
	for _, name := range l.Delays {
		depth, held, err := l.depth(ctx, name)
		if err != nil {
			return err
		}
		if total += depth; depth > 0 || held {
			filled = append(filled, name)
		}
	}
	if total > mostDelayed {
		s.unread[""] = fmt.Sprintf("%d messages are in delay queues, which are too many to be looked through", total)
		return nil
	}
	for _, name := range filled {
		if !l.mayLook(name) {
			s.unread[""] = fmt.Sprintf("%s was looked through not long ago, which its messages do not bear often", name)
			continue
		}
		_, err := dlq.Look(ctx, l.Broker, dlq.Source{Queue: name, Foreign: true, Wait: lookPatience}, func(letter dlq.Letter) error {
			if id, err := uuid.Parse(letter.ID); err == nil && wanted[id] {
				s.delayed[key{id, letter.RoutingKey}] = letter
			}
			return nil
		})
		if err := s.couldNot("", "the delay queue "+name, err); err != nil {
			return err
		}
	}
	return nil
}

// tooSoon tells whether what stays in a queue for a delay would not bear that a look which began at a time was not the last: it bears 12, which
// package dlq leaves it, and is looked at twice in each of five at most.
func tooSoon(last, began time.Time, delay time.Duration) bool {
	return began != last && began.Sub(last) < delay/4
}

// mayLook tells whether to look through a delay queue in this call of Look.
func (l *Looker) mayLook(queue string) bool {
	delay, _ := broker.DelayOf(event.Orders.Exchange, queue)
	last, ok := l.lookedAt[queue]
	if ok && tooSoon(last, l.began, delay) && l.Broker.Version() != 3 { // which does not count
		return false
	}
	l.lookedAt[queue] = l.began
	return true
}

func (l *Looker) seeDead(ctx context.Context, s *seen, queues []string, wanted map[uuid.UUID]bool) error {
	var filled []string
	for _, q := range queues {
		name := broker.DeadLetterQueue(q)
		depth, held, err := l.depth(ctx, name)
		if err != nil {
			return err
		}
		if depth > 0 || held {
			filled = append(filled, name)
		}
	}
	if len(filled) == 0 {
		return nil
	}
	for _, from := range l.DeadLetters(filled) {
		from.Take, from.Wait = mostLetters, lookPatience
		depth, err := dlq.Look(ctx, l.Broker, from, func(letter dlq.Letter) error {
			if id, err := uuid.Parse(letter.ID); err == nil && wanted[id] {
				s.letters[key{id, from.Queue}] = letter
			}
			return nil
		})
		if err := s.couldNot(from.Queue, from.Queue, err); err != nil {
			return err
		}
		if depth > mostLetters {
			s.unread[from.Queue] = fmt.Sprintf("%s has %d messages, which are too many to be looked through", from.Queue, depth)
		}
	}
	return nil
}

// depth tells how many messages wait in a queue, and whether another command is at work on it, which may hold more. What is not there is empty.
func (l *Looker) depth(ctx context.Context, name string) (depth int, held bool, err error) {
	if depth, err = l.Broker.Depth(ctx, name); errors.Is(err, broker.ErrNoQueue) {
		return 0, false, nil
	}
	if err == nil {
		held, err = l.Broker.Exists(ctx, broker.ClaimQueue(name))
	}
	return depth, held, err
}

// couldNot notes why a queue was not looked through, where that is no reason to give up.
func (s *seen) couldNot(place, what string, err error) error {
	switch {
	case err == nil, errors.Is(err, broker.ErrNoQueue):
		return nil
	case errors.Is(err, broker.ErrClaimed), errors.Is(err, dlq.ErrWorn), errors.Is(err, dlq.ErrLive):
		s.unread[place] = fmt.Sprintf("%s could not be looked through: %v", what, err)
		return nil
	}
	return err
}

// seeHistory asks whether somebody has taken dead letters away, or has edited them. A queue that was sent a copy under another id is to handle that.
func (l *Looker) seeHistory(ctx context.Context, s *seen, waits []*Wait) error {
	if l.History == nil {
		return nil
	}
	edits, err := l.History.Edits(ctx, texts(distinct(waits, func(w *Wait) uuid.UUID { return w.Data.Subject() })))
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok && (refused.Code == "42P01" || refused.Code == "3F000") {
		return nil // nothing was done yet
	}
	if err != nil {
		return err
	}
	for _, e := range edits {
		if id, err := uuid.Parse(e.OrderID); err == nil {
			s.edits[id] = &e
		}
	}
	for range mostCopies {
		entries, err := l.History.Last(ctx, texts(distinct(waits, (*Wait).message)))
		if err != nil {
			return err
		}
		did := map[key]dlq.Entry{}
		for _, e := range entries {
			if id, err := uuid.Parse(e.MessageID); err == nil {
				did[key{id, e.From}] = e
			}
		}
		var copied []*Wait
		for _, w := range waits {
			at := key{w.message(), broker.DeadLetterQueue(w.Queue)}
			e, ok := did[at]
			sent, err := uuid.Parse(e.SentID)
			switch {
			case !ok:
			case e.Outcome == string(dlq.Dropped):
				s.dropped[at] = e
			case err == nil && sent != w.message():
				w.sent, copied = sent, append(copied, w)
			}
		}
		if waits = copied; len(waits) == 0 {
			break
		}
	}
	return nil
}

func texts(ids []uuid.UUID) []string {
	texts := make([]string, len(ids))
	for i, id := range ids {
		texts[i] = id.String()
	}
	return texts
}

func idsOf(waits []*Wait) []uuid.UUID {
	return distinct(waits, func(w *Wait) uuid.UUID { return w.ID })
}

// distinct is what is told of waits, each once.
func distinct[T comparable](waits []*Wait, told func(*Wait) T) []T {
	all := map[T]bool{}
	for _, w := range waits {
		all[told(w)] = true
	}
	return slices.Collect(maps.Keys(all))
}
