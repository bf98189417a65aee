package flow

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/google/uuid"

	"orderflow/pkg/broker"
	"orderflow/pkg/event"
	"orderflow/pkg/postgres"
)

const (
	day              = 24 * time.Hour
	daysAhead        = 3
	retentionEvery   = time.Hour
	restBetweenLooks = day - retentionEvery // with the next turn, once a day

	// A message that was delivered so often may be near its end, where RabbitMQ's own limit of 20 applies; one that has outlived that is not.
	wornFrom, wornTo = 12, 20

	claimPatience = 2 * time.Second
	looksAtMost   = 10_000 // dead letters looked at, to find the oldest; with more, nothing is dropped
)

// inboxDays is the inbox as a table of days: an event falls into that in which it was made.
func inboxDays(retention time.Duration) postgres.Days {
	return postgres.Days{
		Table: "inbox", First: func(d time.Time) string { return event.FirstID(d).String() }, Keep: retention, Ahead: daysAhead,
	}
}

// prepare makes the partitions that the inbox needs now, and opens its window.
func (i *inbox) prepare(ctx context.Context, cfg Config) error {
	ctx, stop := context.WithTimeout(ctx, 2*statementTimeout)
	defer stop()
	made, err := inboxDays(cfg.InboxRetention).Make(ctx, cfg.DB)
	if err != nil {
		return fmt.Errorf("service %s: %w", cfg.Service, err)
	}
	i.window.Store(&window{from: made.From, to: made.To, kept: made.Found, opened: time.Now()})
	return nil
}

// Keep has the runtime keep a table of the service's schema as it keeps the inbox: days to come are made, old ones dropped. It is called
// before Run.
func (s *Service) Keep(table postgres.Days) { s.tables = append(s.tables, table) }

// keepTable makes the days of a table that are needed and drops those that are not, now and then.
func (s *Service) keepTable(ctx context.Context, table postgres.Days) {
	for {
		if err := s.turnOver(ctx, table); err != nil && ctx.Err() == nil {
			s.cfg.Log.Error("days of a table not kept", "error", err)
		}
		if !sleep(ctx, retentionEvery) {
			return
		}
	}
}

func (s *Service) turnOver(ctx context.Context, table postgres.Days) error {
	ctx, stop := context.WithTimeout(ctx, 2*statementTimeout)
	defer stop()
	w, err := table.Make(ctx, s.cfg.DB)
	errs := []error{err}
	for d := range w.Found {
		if d.Before(w.From) {
			errs = append(errs, s.drop(ctx, table, d))
		}
	}
	return errors.Join(errs...)
}

func (s *Service) drop(ctx context.Context, table postgres.Days, d time.Time) error {
	err := table.Drop(ctx, s.cfg.DB, d)
	if err == nil {
		s.cfg.Log.Info("dropped an old day", "partition", table.Partition(d))
	}
	return err
}

// keepInbox makes the partitions of the days to come and drops those that nobody needs any more, now and then.
func (s *Service) keepInbox(ctx context.Context) {
	f := forgetting{service: s, worn: map[string]int{}}
	for {
		if !time.Now().Before(f.next) {
			if err := f.dropOld(ctx); err != nil && ctx.Err() == nil {
				s.cfg.Log.Warn("old inbox partitions not dropped", "error", err)
			}
		}
		if !sleep(ctx, retentionEvery) {
			return
		}
		if err := s.inbox.prepare(ctx, s.cfg); err != nil && ctx.Err() == nil {
			s.cfg.Log.Error("inbox partitions not made", "error", err)
		}
	}
}

// forgetting drops old days of an inbox. It looks into dead-letter queues for that as rarely as it can: each look counts as a delivery, and a
// policy may have given a queue a limit of those.
type forgetting struct {
	service *Service
	worn    map[string]int // queues that are not looked into before their depth is another one
	next    time.Time      // look
}

// dropOld drops the days that are not to be remembered, and of which there is no dead letter.
func (f *forgetting) dropOld(ctx context.Context) error {
	s := f.service
	days := inboxDays(s.cfg.InboxRetention)
	existing, err := days.Found(ctx, s.cfg.DB)
	if err != nil {
		return err
	}
	keep := s.inbox.window.Load().from
	for d := range existing {
		if !d.Before(keep) {
			delete(existing, d)
		}
	}
	if len(existing) == 0 {
		return nil
	}
	f.next = time.Now().Add(restBetweenLooks)
	oldest, err := f.oldestDeadLetter(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for d := range existing {
		if !d.Add(day).After(oldest) {
			s.inbox.forgetDay(d)
			errs = append(errs, s.drop(ctx, days, d))
		}
	}
	return errors.Join(errs...)
}

// oldestDeadLetter tells when the oldest event in the service's dead-letter queues was made: the far future where there is none,
// the far past where nobody can tell.
func (f *forgetting) oldestDeadLetter(ctx context.Context) (time.Time, error) {
	oldest := time.Unix(math.MaxInt32, 0)
	for _, sub := range f.service.subscriptions {
		made, err := f.oldestIn(ctx, broker.DeadLetterQueue(sub.Queue))
		if err != nil {
			return time.Time{}, err
		}
		if made.Before(oldest) {
			oldest = made
		}
	}
	return oldest, nil
}

func (f *forgetting) oldestIn(ctx context.Context, queue string) (time.Time, error) {
	oldest, b := time.Unix(math.MaxInt32, 0), f.service.cfg.Broker
	patient, stop := context.WithTimeout(ctx, claimPatience)
	defer stop()
	claim, err := b.Claim(patient, queue)
	if errors.Is(err, broker.ErrClaimed) {
		return time.Time{}, nil // nobody knows what is held
	}
	if err != nil {
		return oldest, err
	}
	defer claim.Release()
	depth, err := b.Depth(ctx, queue)
	if worn, found := f.worn[queue]; err != nil || depth > looksAtMost || found && worn == depth {
		return time.Time{}, err // to take a part of a queue and to give that back could change the order
	}
	getter, err := b.NewGetter(ctx, queue)
	if err != nil {
		return oldest, err
	}
	defer getter.Close()
	delete(f.worn, queue)
	for {
		d, err := getter.Next()
		if err != nil || d == nil {
			return oldest, err
		}
		if times, _ := d.Headers["x-delivery-count"].(int64); wornFrom <= times && times <= wornTo {
			f.worn[queue] = depth
			oldest = time.Time{}
		}
		if id, err := uuid.Parse(d.ID); err == nil && event.IDTime(id).Before(oldest) {
			oldest = event.IDTime(id)
		}
	}
}
