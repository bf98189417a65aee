package stuck

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"orderflow/pkg/postgres"
	"orderflow/services/inventory"
	"orderflow/services/order"
	"orderflow/services/payment"
	"orderflow/services/shipping"
)

// Databases are those of the services, by the services' names; each pool sees the schema of its service.
type Databases map[string]*pgxpool.Pool

// snapshot runs f with a snapshot of a service's database.
func (d Databases) snapshot(ctx context.Context, service string, f func(*postgres.Snapshot) error) error {
	s, err := postgres.TakeSnapshot(ctx, d[service])
	if err == nil {
		defer s.Close(ctx)
		err = f(s)
	}
	if err != nil {
		return fmt.Errorf("service %s: %w", service, err)
	}
	return nil
}

// Overdue lists the orders that are older than a while and have not ended, the oldest first, and then those that were placed within a longer
// while, have shipped, and whose goods are still set aside. limit bounds how many there are; 0: all.
func (d Databases) Overdue(ctx context.Context, older, within time.Duration, limit int) (ids []uuid.UUID, err error) {
	var now time.Time
	err = d.snapshot(ctx, order.Name, func(s *postgres.Snapshot) (err error) {
		now = s.Taken
		ids, err = collect(order.Overdue(ctx, s, now.Add(-older), limit))
		return err
	})
	if err != nil || limit > 0 && len(ids) >= limit {
		return ids, err
	}
	known := postgres.Set(ids)
	var holding []uuid.UUID
	err = d.snapshot(ctx, inventory.Name, func(s *postgres.Snapshot) error {
		for id, err := range inventory.Holding(ctx, s, now.Add(-within), now.Add(-older)) {
			if err != nil {
				return err
			}
			if !known[id] && (limit == 0 || len(ids)+len(holding) < limit) {
				holding = append(holding, id)
			}
		}
		return nil
	})
	return append(ids, holding...), err
}

// read reads what the services have of orders, in the order of the ids. Ids of no order are left out.
func (d Databases) read(ctx context.Context, ids []uuid.UUID) ([]*Record, error) {
	byID := make(map[uuid.UUID]*Record, len(ids))
	records := make([]*Record, 0, len(ids))
	err := d.snapshot(ctx, order.Name, func(s *postgres.Snapshot) error {
		err := each(order.Whole(ctx, s, ids), func(o order.Order) { byID[o.OrderID] = &Record{Order: &o} })
		if err != nil {
			return err
		}
		return each(order.WholeTimelines(ctx, s, ids), func(seen order.Seen) {
			if r := byID[seen.OrderID]; r != nil {
				r.Timeline = append(r.Timeline, seen)
			}
		})
	})
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		if r := byID[id]; r != nil {
			records = append(records, r)
		}
	}
	err = d.snapshot(ctx, payment.Name, func(s *postgres.Snapshot) error {
		return each(payment.Whole(ctx, s, ids), func(p payment.Payment) { attach(byID, p.OrderID, func(r *Record) { r.Payment = &p }) })
	})
	if err != nil {
		return nil, err
	}
	err = d.snapshot(ctx, inventory.Name, func(s *postgres.Snapshot) error {
		return each(inventory.Whole(ctx, s, ids), func(v inventory.Reservation) { attach(byID, v.OrderID, func(r *Record) { r.Reservation = &v }) })
	})
	if err != nil {
		return nil, err
	}
	return records, d.snapshot(ctx, shipping.Name, func(s *postgres.Snapshot) error {
		return each(shipping.Whole(ctx, s, ids), func(p shipping.Shipment) { attach(byID, p.OrderID, func(r *Record) { r.Shipment = &p }) })
	})
}

func attach(records map[uuid.UUID]*Record, id uuid.UUID, to func(*Record)) {
	if r := records[id]; r != nil {
		to(r)
	}
}

func each[T any](rows iter.Seq2[T, error], f func(T)) error {
	for row, err := range rows {
		if err != nil {
			return err
		}
		f(row)
	}
	return nil
}

func collect[T any](rows iter.Seq2[T, error]) (all []T, err error) {
	err = each(rows, func(row T) { all = append(all, row) })
	return all, err
}
