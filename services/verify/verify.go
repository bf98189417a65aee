package verify

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"orderflow/pkg/flow"
	"orderflow/pkg/postgres"
	"orderflow/services/inventory"
	"orderflow/services/order"
	"orderflow/services/payment"
	"orderflow/services/shipping"
)

const (
	// follow is how long what an event causes elsewhere may take to show.
	follow = 30 * time.Second
	// stubborn is how long something has to stay broken, at least, to be called so.
	stubborn = 2 * time.Second

	askAtOnce = 10_000 // orders, when they are looked at again

	pollEvery, lookEvery = 200 * time.Millisecond, time.Second
)

// Config says what to look at, and how patiently.
type Config struct {
	Databases Databases
	Deadline  time.Duration // how old an order may be that has not ended
	// Wait is how long to wait until everything has ended that was begun before, or 0. What has not ended then is broken, be it as
	// young as it may.
	Wait  time.Duration
	Limit int // how many findings of each line the report has, at most; 0 means all
}

// Databases are those of the services; each pool sees the schema of its service.
type Databases struct{ Order, Payment, Inventory, Shipping *pgxpool.Pool }

// database is one of them.
type database struct {
	service string
	*pgxpool.Pool
}

// all lists them, that of the orders first.
func (d Databases) all() [4]database {
	return [4]database{{order.Name, d.Order}, {payment.Name, d.Payment}, {inventory.Name, d.Inventory}, {shipping.Name, d.Shipping}}
}

// Run looks at the tables until everything holds or has stayed broken, and reports.
func Run(ctx context.Context, cfg Config) (*Report, error) {
	began := time.Now()
	p := &proof{Config: cfg, allow: allowance{end: cfg.Deadline, follow: follow}, total: newTally(cfg.Limit)}
	if cfg.Wait > 0 {
		if err := p.await(ctx, began.Add(cfg.Wait)); err != nil {
			return nil, err
		}
	}
	stock := newTally(cfg.Limit)
	group, first := errgroup.WithContext(ctx)
	group.Go(func() error { return p.checkStock(first, stock) })
	group.Go(func() error { return p.look(first) })
	if err := group.Wait(); err != nil {
		return nil, err
	}
	taken := p.allow.now
	over := began.Add(cfg.Wait)
	if now := time.Now(); over.Before(now.Add(stubborn)) {
		over = now.Add(stubborn)
	}
	for pause := pollEvery; p.broken.any() && time.Now().Before(over); pause = min(2*pause, lookEvery) {
		if err := sleep(ctx, min(pause, time.Until(over))); err != nil {
			return nil, err
		}
		if err := p.lookAgain(ctx); err != nil {
			return nil, err
		}
	}
	p.total.merge(p.broken)
	p.total.merge(stock)
	report := p.total.report(p.allow)
	report.TakenAt, report.Seconds = taken.UTC(), time.Since(began).Seconds()
	return report, nil
}

// await waits until what was begun before has ended, or the time is over.
func (p *proof) await(ctx context.Context, over time.Time) error {
	var left [4][]uuid.UUID
	p.allow.awaited = map[uuid.UUID]bool{}
	for i, db := range p.Databases.all() {
		begun, taken, err := db.unfinished(ctx, nil)
		if err != nil {
			return err
		}
		if left[i] = begun; i == 0 {
			p.allow.waited = taken
		}
		for _, id := range begun {
			p.allow.awaited[id] = true
		}
	}
	for {
		calm := true
		for i, db := range p.Databases.all() {
			if len(left[i]) == 0 {
				continue
			}
			var err error
			if left[i], _, err = db.unfinished(ctx, left[i]); err != nil {
				return err
			}
			calm = calm && len(left[i]) == 0
		}
		if calm || !time.Now().Before(over) {
			return nil
		}
		if err := sleep(ctx, min(pollEvery, time.Until(over))); err != nil {
			return err
		}
	}
}

// unfinished lists the orders that have not ended and the events that are in the outbox: those of the ids, or all where ids is nil.
func (db database) unfinished(ctx context.Context, ids []uuid.UUID) (left []uuid.UUID, taken time.Time, err error) {
	s, err := postgres.TakeSnapshot(ctx, db.Pool)
	if err != nil {
		return nil, taken, fmt.Errorf("service %s: %w", db.service, err)
	}
	defer s.Close(ctx)
	if db.service == order.Name {
		for id, err := range order.UnderWay(ctx, s, ids) {
			if err != nil {
				return nil, taken, fmt.Errorf("service %s: read orders: %w", db.service, err)
			}
			left = append(left, id)
		}
	}
	for w, err := range flow.ReadOutbox(ctx, s, ids) {
		if err != nil {
			return nil, taken, fmt.Errorf("service %s: read outbox: %w", db.service, err)
		}
		left = append(left, w.EventID)
	}
	return left, s.Taken, nil
}

// proof is the state of a run.
type proof struct {
	Config
	allow    allowance
	total    *tally      // what holds, and is not looked at again
	broken   *tally      // what did not hold in the last look
	suspects []uuid.UUID // the orders in it
}

// look looks at everything. What holds goes into the total.
func (p *proof) look(ctx context.Context) error {
	p.broken = newTally(p.Limit)
	if err := p.lookAtOrders(ctx, nil); err != nil {
		return err
	}
	return p.lookAtOutboxes(ctx)
}

// lookAgain looks at what was broken in the last look.
func (p *proof) lookAgain(ctx context.Context) error {
	suspects := p.suspects
	p.broken, p.suspects = newTally(p.Limit), nil
	for ids := range slices.Chunk(suspects, askAtOnce) {
		if err := p.lookAtOrders(ctx, ids); err != nil {
			return err
		}
	}
	return p.lookAtOutboxes(ctx)
}

// lookAtOrders looks at the orders of those ids; at all of them if ids is nil.
func (p *proof) lookAtOrders(ctx context.Context, ids []uuid.UUID) error {
	var snapshots [4]*postgres.Snapshot
	for i, db := range p.Databases.all() {
		s, err := postgres.TakeSnapshot(ctx, db.Pool)
		if err != nil {
			return fmt.Errorf("service %s: %w", db.service, err)
		}
		defer s.Close(ctx)
		snapshots[i] = s
	}
	orders, payments, reservations, shipments := snapshots[0], snapshots[1], snapshots[2], snapshots[3]
	p.allow.now = orders.Taken
	return streams{
		order.Audit(ctx, orders, ids), order.AuditTimelines(ctx, orders, ids), payment.Audit(ctx, payments, ids),
		inventory.Audit(ctx, reservations, ids), shipping.Audit(ctx, shipments, ids),
	}.merge(func(r *record) {
		if f := r.judge(p.allow); len(f) > 0 {
			p.broken.add(r, f)
			p.suspects = append(p.suspects, r.id)
		} else {
			p.total.add(r, nil)
		}
	})
}

// lookAtOutboxes looks for events that wait for too long.
func (p *proof) lookAtOutboxes(ctx context.Context) error {
	for _, db := range p.Databases.all() {
		if err := p.lookAtOutbox(ctx, db); err != nil {
			return fmt.Errorf("service %s: read outbox: %w", db.service, err)
		}
	}
	return nil
}

func (p *proof) lookAtOutbox(ctx context.Context, db database) error {
	s, err := postgres.TakeSnapshot(ctx, db.Pool)
	if err != nil {
		return err
	}
	defer s.Close(ctx)
	allow := p.allow
	allow.now = s.Taken
	for w, err := range flow.ReadOutbox(ctx, s, nil) {
		if err != nil {
			return err
		}
		p.broken.checked[OutboxesEmpty]++
		if allow.over(w.EventID, w.Since, allow.follow) {
			var f findings
			f.add(OutboxesEmpty, "%s of %s waits in the outbox of %s for %s, after %d attempts to publish it again",
				w.Type, w.CorrelationID, db.service, allow.now.Sub(w.Since).Round(time.Second/10), w.Attempts)
			p.broken.found(w.EventID.String(), f)
		}
	}
	return nil
}

// checkStock looks at the accounts of all products. Those of one moment add up at every moment, so one look is enough.
func (p *proof) checkStock(ctx context.Context, t *tally) error {
	s, err := postgres.TakeSnapshot(ctx, p.Databases.Inventory)
	if err != nil {
		return fmt.Errorf("service %s: %w", inventory.Name, err)
	}
	defer s.Close(ctx)
	for account, err := range inventory.AuditStock(ctx, s) {
		if err != nil {
			return fmt.Errorf("service %s: read stock: %w", inventory.Name, err)
		}
		t.checked[StockAddsUp]++
		t.found(account.ProductID, checkStock(account))
	}
	return nil
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
