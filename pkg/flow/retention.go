package flow

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"orderflow/pkg/broker"
	"orderflow/pkg/event"
)

const (
	day              = 24 * time.Hour
	daysAhead        = 3
	retentionEvery   = time.Hour
	retentionLock    = 0x6f66 // "of": one process at a time makes partitions of a schema
	partitionName    = "inbox_20060102"
	restBetweenLooks = day - retentionEvery // with the next turn, once a day

	// A message that was delivered so often may be near its end, where RabbitMQ's own limit of 20 applies; one that has outlived that is not.
	wornFrom, wornTo = 12, 20

	claimPatience = 2 * time.Second
	looksAtMost   = 10_000 // dead letters looked at, to find the oldest; with more, nothing is dropped
)

// prepare makes the partitions that the inbox needs now, and opens its window.
func (i *inbox) prepare(ctx context.Context, cfg Config) error {
	ctx, stop := context.WithTimeout(ctx, 2*statementTimeout)
	defer stop()
	// The database's clock, since there is one for all: a host whose clock is wrong must not drop what the others need.
	var now time.Time
	if err := cfg.DB.QueryRow(ctx, "SELECT now()").Scan(&now); err != nil {
		return fmt.Errorf("make inbox partitions of service %s: %w", cfg.Service, err)
	}
	today := now.UTC().Truncate(day)
	w := window{from: today.Add(-cfg.InboxRetention).Truncate(day), to: today.Add(daysAhead * day)}
	var existing map[time.Time]bool
	err := pgx.BeginFunc(ctx, cfg.DB, func(tx pgx.Tx) (err error) {
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1::int, hashtext(current_schema()))", retentionLock); err != nil {
			return err
		}
		if existing, err = partitions(ctx, tx); err != nil {
			return err
		}
		for d := w.from; d.Before(w.to); d = d.Add(day) {
			if existing[d] {
				continue
			}
			// LIKE and ATTACH, since CREATE … PARTITION OF would lock out everybody who uses the inbox.
			sql := fmt.Sprintf(`CREATE TABLE IF NOT EXISTS %[1]s (LIKE inbox INCLUDING ALL);
				ALTER TABLE inbox ATTACH PARTITION %[1]s FOR VALUES FROM ('%[2]s') TO ('%[3]s')`,
				d.Format(partitionName), event.FirstID(d), event.FirstID(d.Add(day)))
			if _, err := tx.Exec(ctx, sql); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("make inbox partitions of service %s: %w", cfg.Service, err)
	}
	w.kept, w.opened = existing, time.Now()
	i.window.Store(&w)
	return nil
}

// partitions lists the days that have one.
func partitions(ctx context.Context, db interface {
	Query(context.Context, string, ...any) (pgx.Rows, error)
}) (map[time.Time]bool, error) {
	rows, err := db.Query(ctx, `
		SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'inbox'::regclass`)
	if err != nil {
		return nil, err
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	days := make(map[time.Time]bool, len(names))
	for _, name := range names {
		if d, err := time.Parse(partitionName, name); err == nil {
			days[d] = true
		}
	}
	return days, err
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
	existing, err := partitions(ctx, s.cfg.DB)
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
			errs = append(errs, s.dropPartition(ctx, d.Format(partitionName)))
		}
	}
	return errors.Join(errs...)
}

// dropPartition detaches first, which waits for nobody and stops nobody. Another process may do the same at any moment between the
// steps; what it has done is done.
func (s *Service) dropPartition(ctx context.Context, name string) error {
	_, err := s.cfg.DB.Exec(ctx, "ALTER TABLE inbox DETACH PARTITION "+name+" CONCURRENTLY")
	var refused *pgconn.PgError
	if errors.As(err, &refused) && refused.Code == "55000" { // another process is at it, or was and crashed
		_, err = s.cfg.DB.Exec(ctx, "ALTER TABLE inbox DETACH PARTITION "+name+" FINALIZE")
	}
	if err == nil || errors.As(err, &refused) && refused.Code == "42P01" { // it is no partition any more
		_, err = s.cfg.DB.Exec(ctx, "DROP TABLE IF EXISTS "+name)
	}
	if err != nil {
		return fmt.Errorf("drop partition %s: %w", name, err)
	}
	s.cfg.Log.Info("dropped inbox partition", "partition", name)
	return nil
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
