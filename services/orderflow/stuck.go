package main

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"orderflow/pkg/broker"
	"orderflow/pkg/broker/management"
	"orderflow/pkg/dlq"
	"orderflow/pkg/event"
	"orderflow/pkg/postgres"
	"orderflow/services/stuck"
)

// search is the flags of commands that look for orders which wait.
type search struct {
	older, within time.Duration
	limit         int
	asJSON        bool
}

// flags adds them.
func (s *search) flags(cmd *cobra.Command) {
	cmd.Flags().DurationVar(&s.older, "older-than", 0, "orders that were placed so long ago (ORDER_DEADLINE, 10m)")
	cmd.Flags().DurationVar(&s.within, "within", 24*time.Hour, "of those that have shipped, and whose goods have not left the stock: placed not longer ago than this")
	limitFlag(cmd, &s.limit, 0, "look at this many orders at most, the oldest first")
	cmd.Flags().BoolVar(&s.asJSON, "json", false, "print JSON")
}

// check checks them, and takes from the configuration what is not given.
func (s *search) check(cmd *cobra.Command, cfg config) error {
	if !cmd.Flags().Changed("older-than") {
		s.older = cfg.OrderDeadline
	}
	if s.older < 0 {
		return usagef("--older-than %s is less than 0", s.older)
	}
	if s.within < 0 {
		return usagef("--within %s is less than 0", s.within)
	}
	return checkLimit(s.limit)
}

// find lists the orders that are looked for.
func (s *search) find(ctx context.Context, l *stuck.Looker) ([]uuid.UUID, error) {
	return l.Databases.Overdue(ctx, s.older, s.within, s.limit)
}

// withLooker runs f with all that can be asked where an order stands. writes says that the history has to be there, to be written.
func withLooker(cmd *cobra.Command, cfg config, writes bool, f func(*stuck.Looker) error) error {
	ctx := cmd.Context()
	name := cmd.CommandPath()
	log := slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	b, away := broker.Open(ctx, broker.Config{URLs: cfg.AMQPURLs, Name: name, Log: log})
	if away != nil && (writes || broker.IsSetup(away) || ctx.Err() != nil) {
		return away
	}
	l := &stuck.Looker{Databases: stuck.Databases{}, Broker: b, Away: away}
	if b != nil { // else there is much to tell all the same
		defer b.Close()
		l.DeadLetters = func(queues []string) []dlq.Source { return sources(cmd, b, queues, false) }
		l.Unacked = func(ctx context.Context) map[string]int { return unacked(ctx, cfg, b) }
		l.Delays = delayQueues(cfg, managedQueues(cmd, b))
	}
	d := desk{Broker: b, inboxes: dlq.Inboxes{}}
	defer func() {
		for _, pool := range d.pools {
			pool.Close()
		}
		for _, pool := range l.Databases {
			pool.Close()
		}
	}()
	for _, s := range services {
		for _, subscription := range s.subscriptions() {
			l.Queues = append(l.Queues, stuck.Queue{Service: s.name, Subscription: subscription})
		}
		db, err := postgres.Open(ctx, postgres.Config{URL: cfg.DatabaseURL, Schema: s.schema, Name: name, MaxConns: 2, ByKey: true})
		if err != nil {
			return err
		}
		l.Databases[s.name] = db
	}
	if err := d.openHistory(ctx, uuid.Nil, writes); err != nil {
		return err
	}
	l.History = d.history
	if err := f(l); err != nil {
		return fmt.Errorf("%w%s", err, aboutTables(err))
	}
	return nil
}

// delayQueues lists the delay queues: those of this configuration, and those that there are, since the services may have others.
func delayQueues(cfg config, managed []managedQueue) (names []string) {
	for _, delay := range cfg.RetryDelays {
		names = append(names, broker.DelayQueue(event.Orders.Exchange, delay))
	}
	for _, q := range managed {
		if broker.IsDelayQueue(event.Orders.Exchange, q.Name) {
			names = append(names, q.Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// unacked is how many messages of each queue are in consumers' hands, as far as the management API tells.
func unacked(ctx context.Context, cfg config, b *broker.Broker) map[string]int {
	counts := map[string]int{}
	if cfg.ManagementURL == "" {
		return counts
	}
	ctx, stop := context.WithTimeout(ctx, managementTimeout)
	defer stop()
	queues, err := brieflyListed(ctx, management.New(cfg.ManagementURL, b.VirtualHost()))
	if err != nil {
		return counts // why was told when the command began
	}
	for _, q := range queues {
		if q.Unacked != nil {
			counts[q.Name] = *q.Unacked
		}
	}
	return counts
}

// orderIDs reads the ids of orders that were given as arguments.
func orderIDs(args []string) ([]uuid.UUID, error) {
	var ids []uuid.UUID
	for _, arg := range args {
		id, err := uuid.Parse(arg)
		if err != nil {
			return nil, usagef("%q is no id of an order; it looks like 019a8f3e-5b7c-7d21-9a55-3f6f1c2b7a10", arg)
		}
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// lookAtEach is Look, where each of the orders has to be there.
func lookAtEach(ctx context.Context, l *stuck.Looker, ids []uuid.UUID) ([]*stuck.Case, error) {
	cases, err := l.Look(ctx, ids)
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		if !slices.ContainsFunc(cases, func(c *stuck.Case) bool { return c.Order.OrderID == id }) {
			return nil, fmt.Errorf("there is no order %s", id)
		}
	}
	return cases, nil
}

// wait is what an order waits for, as JSON has it.
type wait struct {
	OrderID   uuid.UUID   `json:"order_id"`
	Queue     string      `json:"queue"`
	Service   string      `json:"service"` // whose queue it is
	EventID   uuid.UUID   `json:"event_id,omitzero"`
	EventType event.Type  `json:"event_type"`
	SaidBy    string      `json:"said_by"`
	SaidAt    time.Time   `json:"said_at,omitzero"`
	Place     stuck.Place `json:"place"`
	Since     time.Time   `json:"since,omitzero"` // there
	Told      string      `json:"told"`
	Next      string      `json:"next"` // what to do
}

func waitOf(w *stuck.Wait) wait {
	id := w.Data.Subject()
	return wait{
		OrderID: id, Queue: w.Queue, Service: w.Service, EventID: w.ID, EventType: w.Data.Type(), SaidBy: w.Owner, SaidAt: w.At,
		Place: w.Place, Since: w.Since, Told: w.Told, Next: next(w, id.String()),
	}
}

// next is what gets an order going; id is the order's, or "" where it is about many.
func next(w *stuck.Wait, id string) string {
	only := ""
	if id != "" {
		only = " --order " + id
	}
	switch w.Place {
	case stuck.Outbox:
		see := fmt.Sprintf("see that %s runs (orderflow serve %s) and reaches RabbitMQ, and that no binding is missing (orderflow topology %s)", w.Owner, w.Owner, w.Service)
		if !w.Still {
			return "wait, it is published again within a minute; if it stays, " + see
		}
		return see
	case stuck.Dead:
		return "orderflow dlq replay " + w.Queue + only
	case stuck.Dropped:
		return "orderflow dlq import the file, and orderflow dlq replay " + w.Queue + only
	case stuck.Lost:
		return strings.TrimSpace("orderflow nudge " + id)
	case stuck.Waiting:
		if w.Still {
			return "orderflow serve " + w.Service
		}
		return "wait; see the log of " + w.Service + " if it takes long"
	case stuck.InHand:
		return "see the log of " + w.Service + ", and whether the system that it asks answers"
	case stuck.Delayed:
		return "wait; it comes back by itself"
	case stuck.Edited:
		return strings.TrimSpace("see orderflow dlq history"+only) + ", and the file of the originals; " + strings.TrimSpace("orderflow nudge --force "+id) +
			" publishes it with the terms on which the order was placed, which takes the edit back"
	case stuck.Expired, stuck.Unnamed:
		return "nothing that this program can do"
	}
	if id == "" {
		return "look again; orderflow nudge --force ID… publishes it all the same, which does no harm"
	}
	return "look again; orderflow nudge --force " + id + " publishes it all the same, which does no harm"
}

// inPlace names a place for people.
func inPlace(w *stuck.Wait) string {
	switch w.Place {
	case stuck.Outbox:
		return "in the outbox of " + w.Owner
	case stuck.Dead:
		return "in " + broker.DeadLetterQueue(w.Queue)
	case stuck.Dropped:
		return "was taken out of " + broker.DeadLetterQueue(w.Queue)
	case stuck.Delayed:
		return "in a delay queue"
	case stuck.Waiting:
		return "in the queue"
	case stuck.InHand:
		return "in the hands of " + w.Service
	case stuck.Lost, stuck.Edited:
		return "lost"
	case stuck.Expired:
		return "too old"
	}
	return "not known"
}
