package inventory

import (
	"context"
	"time"

	"github.com/google/uuid"

	"orderflow/pkg/event"
	"orderflow/pkg/flow"
	"orderflow/pkg/postgres"
)

// reserve sets goods aside for orders that are paid. An order that has a reservation, or a tombstone, keeps what it has.
func reserve(ctx context.Context, tx *postgres.Tx, batch []*event.Event) (follow []*event.Event, err error) {
	opened := make([]Reservation, 0, len(batch))
	for _, e := range batch {
		r := Open(event.OrderOf(e), event.NewID())
		r.SaidID = event.NewID() // of what it says where the goods are there
		opened = append(opened, r)
	}
	var inserted []uuid.UUID
	if err := insert(tx, opened, &inserted); err != nil {
		return nil, err
	}
	shelf, err := lockShelf(ctx, tx, opened)
	if err != nil {
		return nil, err
	}
	fresh := postgres.Set(inserted)
	now := time.Now()
	change := stockChange{}
	var rejected []Reservation
	for i, e := range batch {
		id := e.Subject()
		if !fresh[id] {
			continue
		}
		delete(fresh, id)
		r, fact := opened[i].Reserve(event.OrderOf(e), shelf)
		if r.Status == Reserved {
			change.add(r, func(q *quantities, n int64) { q.reserved += n })
		} else {
			r.SaidID = event.NewID() // another state, another event
			rejected = append(rejected, r)
		}
		follow = event.RespondAs(follow, r.SaidID, e, Name, now, fact)
	}
	change.apply(tx)
	return follow, giveUp(tx, rejected)
}

// release puts goods back, and a tombstone where nothing was set aside yet.
func release(ctx context.Context, tx *postgres.Tx, batch []*event.Event) (follow []*event.Event, err error) {
	tombstones := make([]Reservation, 0, len(batch))
	for _, e := range batch {
		t, _ := Tombstone(event.OrderOf(e), undoReason(e), event.NewID())
		t.SaidID = event.NewID()
		tombstones = append(tombstones, t)
	}
	var inserted []uuid.UUID
	if err := insert(tx, tombstones, &inserted); err != nil {
		return nil, err
	}
	rows, err := lock(ctx, tx, batch)
	if err != nil {
		return nil, err
	}
	buried := postgres.Set(inserted)
	now := time.Now()
	change := stockChange{}
	var released []Reservation
	for i, e := range batch {
		id := e.Subject()
		if buried[id] {
			delete(buried, id)
			follow = event.RespondAs(follow, tombstones[i].SaidID, e, Name, now, tombstones[i].Said(event.OrderOf(e)))
			continue
		}
		next, fact := rows[id].Release(event.OrderOf(e), undoReason(e))
		if fact != nil {
			change.add(next, func(q *quantities, n int64) { q.reserved -= n })
			next.SaidID = event.NewID()
			released = append(released, next)
		}
		*rows[id] = next
		follow = event.RespondAs(follow, next.SaidID, e, Name, now, fact)
	}
	if err := change.lockAndApply(ctx, tx); err != nil {
		return nil, err
	}
	return follow, giveUp(tx, released)
}

// ship takes the goods of booked parcels out of the house.
func ship(ctx context.Context, tx *postgres.Tx, batch []*event.Event) ([]*event.Event, error) {
	rows, err := lock(ctx, tx, batch)
	if err != nil {
		return nil, err
	}
	change := stockChange{}
	var shipped []uuid.UUID
	for _, e := range batch {
		r := rows[e.Subject()]
		if r == nil {
			return nil, flow.Reject("there is no reservation of order %s, whose parcel was booked", e.Subject())
		}
		if next := r.Ship(); next.Status != r.Status {
			change.add(next, func(q *quantities, n int64) { q.reserved -= n; q.onHand -= n; q.shipped += n })
			shipped = append(shipped, r.OrderID)
			*r = next
		}
	}
	if err := change.lockAndApply(ctx, tx); err != nil {
		return nil, err
	}
	setShipped(tx, shipped)
	return nil, nil
}

func undoReason(e *event.Event) event.CancelReason {
	switch data := e.Data.(type) {
	case *event.ShipmentFailed:
		return data.Reason
	case *event.ShipmentCancelled:
		return data.Reason
	}
	return ""
}
