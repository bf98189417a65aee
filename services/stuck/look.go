package stuck

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"orderflow/pkg/broker"
	"orderflow/pkg/dlq"
	"orderflow/pkg/flow"
	"orderflow/services/order"
)

// Queue is a work queue and the service that it is of.
type Queue struct {
	Service string
	flow.Subscription
}

// Looker looks at everything that there is of an order.
type Looker struct {
	Databases Databases
	Queues    []Queue
	Broker    *broker.Broker // nil: it cannot be reached, for the reason Away
	Away      error
	Delays    []string // the delay queues
	// DeadLetters makes of dead-letter queues what can be read, with their delivery limits.
	DeadLetters func(queues []string) []dlq.Source
	// Unacked tells how many messages of each work queue are in consumers' hands, as of some seconds ago, or nothing; nil: nobody can.
	Unacked func(context.Context) map[string]int
	History *dlq.History // nil: nobody knows what was done with dead letters

	memories map[string]*flow.Memory // by work queue
	passed   map[key]time.Time       // when events, by work queue, were found to be passed: what Look before this one has noted
	passing  map[key]time.Time       // the same, of this one
	began    time.Time               // this Look
	lookedAt map[string]time.Time    // when the Look began that has looked through a delay queue last
}

// pause is the time between two looks. What Unacked tells is as old as RabbitMQ's last tick of five seconds.
const pause = 6 * time.Second

// atOnce is how many orders are looked at together.
const atOnce = 100_000

// Case is an order and what it waits for.
type Case struct {
	*Record
	Age   time.Duration
	Waits []*Wait // the one that holds it up first
}

// Overdue tells whether the order should have ended.
func (c *Case) Overdue(deadline time.Duration) bool {
	return !c.Order.Status.Ended() && c.Age >= deadline
}

// Stuck tells whether somebody has to do something.
func (c *Case) Stuck(deadline time.Duration) bool {
	return c.Overdue(deadline) || slices.ContainsFunc(c.Waits, func(w *Wait) bool { return w.Still })
}

// Look finds out what orders wait for, in the order of the ids; those that do not exist are left out.
func (l *Looker) Look(ctx context.Context, ids []uuid.UUID) (cases []*Case, err error) {
	if err := l.open(ctx); err != nil {
		return nil, err
	}
	if l.began = time.Now(); l.lookedAt == nil {
		l.lookedAt = map[string]time.Time{}
	}
	l.passed, l.passing = l.passing, map[key]time.Time{}
	for some := range slices.Chunk(ids, atOnce) {
		more, err := l.lookAt(ctx, some)
		if err != nil {
			return nil, err
		}
		cases = append(cases, more...)
	}
	return cases, nil
}

// open finds out what the inboxes remember.
func (l *Looker) open(ctx context.Context) error {
	l.memories = map[string]*flow.Memory{}
	opened := map[string]*flow.Memory{}
	for _, q := range l.Queues {
		if opened[q.Service] == nil {
			memory, err := flow.OpenMemory(ctx, l.Databases[q.Service])
			if err != nil {
				return fmt.Errorf("service %s: %w", q.Service, err)
			}
			opened[q.Service] = memory
		}
		l.memories[q.Queue] = opened[q.Service]
	}
	return nil
}

func (l *Looker) lookAt(ctx context.Context, ids []uuid.UUID) ([]*Case, error) {
	records, err := l.Databases.read(ctx, ids)
	if err != nil {
		return nil, err
	}
	cases, waits := make([]*Case, len(records)), []*Wait(nil)
	for i, r := range records {
		cases[i] = &Case{Record: r, Age: time.Since(r.Order.PlacedAt)}
		cases[i].Waits = l.waitsOf(r)
		for _, w := range cases[i].Waits {
			if w.Place == "" {
				waits = append(waits, w)
			}
		}
	}
	over := map[*Wait]bool{}
	if waits, err = l.unhandled(ctx, waits, over); err != nil {
		return nil, err
	}
	if err := l.locate(ctx, waits, over); err != nil {
		return nil, err
	}
	for _, c := range cases {
		c.Waits = slices.DeleteFunc(c.Waits, func(w *Wait) bool { return over[w] })
	}
	return cases, nil
}

// waitsOf lists what the order may wait for. What it is held up by comes before what only its status waits for.
func (l *Looker) waitsOf(r *Record) (waits []*Wait) {
	for _, word := range r.Words() {
		for _, q := range l.Queues {
			if !slices.Contains(q.Events, word.Data.Type()) || r.Order.Status.Ended() && q.Service == order.Name {
				continue
			}
			w := &Wait{Word: word, Queue: q.Queue, Service: q.Service, calling: r.calling(word), trace: r.Order.TraceParent}
			switch known := word.ID != uuid.Nil; {
			case known && !l.memories[q.Queue].Forgot(word.ID):
			case r.followed(word, q.Service):
				continue
			case known:
				w.put(Expired, w.At, true, "it is older than what the inbox of %s remembers (INBOX_RETENTION), and would be refused", q.Service)
			default:
				w.put(Unnamed, w.At, true, "its row was written by a version of %s that did not note the event's id, or not all that it says, so it cannot be looked for, nor published again", w.Owner)
			}
			waits = append(waits, w)
		}
	}
	slices.SortStableFunc(waits, func(a, b *Wait) int {
		rank := map[bool]int{true: 1}
		return rank[a.Service == order.Name] - rank[b.Service == order.Name]
	})
	return waits
}

// unhandled returns the waits whose events their queues have not handled; the others are over.
func (l *Looker) unhandled(ctx context.Context, waits []*Wait, over map[*Wait]bool) (left []*Wait, err error) {
	byQueue := map[string][]*Wait{}
	for _, w := range waits {
		byQueue[w.Queue] = append(byQueue[w.Queue], w)
	}
	for name, some := range byQueue {
		handled, err := l.memories[name].Handled(ctx, name, append(idsOf(some), distinct(some, (*Wait).message)...))
		if err != nil {
			return nil, err
		}
		for _, w := range some {
			if over[w] = over[w] || handled[w.ID] || handled[w.message()]; !over[w] {
				left = append(left, w)
			}
		}
	}
	return left, nil
}

// locate finds out where the messages of waits are, by two looks where one is not enough.
func (l *Looker) locate(ctx context.Context, waits []*Wait, over map[*Wait]bool) error {
	for before := (*seen)(nil); len(waits) > 0; {
		now, err := l.see(ctx, waits, before)
		if err != nil {
			return err
		}
		if waits, err = l.unhandled(ctx, waits, over); err != nil {
			return err
		}
		var unclear []*Wait
		for _, w := range waits {
			if w.judge(now, before) {
				unclear = append(unclear, w)
			}
		}
		waits, before = unclear, now
		if len(waits) > 0 {
			select {
			case <-time.After(pause):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	return nil
}
