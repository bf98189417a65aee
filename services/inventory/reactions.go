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
		opened = append(opened, Open(event.OrderOf(e), event.NewID()))
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
	var rejected []uuid.UUID
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
			rejected = append(rejected, id)
		}
		follow = event.Respond(follow, e, Name, now, fact)
	}
	change.apply(tx)
	setStatus(tx, Rejected, rejected)
	return follow, nil
}

// release puts goods back, and a tombstone where nothing was set aside yet.
func release(ctx context.Context, tx *postgres.Tx, batch []*event.Event) (follow []*event.Event, err error) {
	tombstones := make([]Reservation, 0, len(batch))
	facts := make(map[uuid.UUID]event.Payload, len(batch))
	for _, e := range batch {
		t, fact := Tombstone(event.OrderOf(e), undoReason(e), event.NewID())
		tombstones, facts[e.Subject()] = append(tombstones, t), fact
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
	var released []uuid.UUID
	for _, e := range batch {
		id := e.Subject()
		if buried[id] {
			delete(buried, id)
			follow = event.Respond(follow, e, Name, now, facts[id])
			continue
		}
		next, fact := rows[id].Release(event.OrderOf(e), undoReason(e))
		if next.Status == Released && rows[id].Status == Reserved {
			change.add(next, func(q *quantities, n int64) { q.reserved -= n })
			released = append(released, id)
		}
		*rows[id] = next
		follow = event.Respond(follow, e, Name, now, fact)
	}
	if err := change.lockAndApply(ctx, tx); err != nil {
		return nil, err
	}
	setStatus(tx, Released, released)
	return follow, nil
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
	setStatus(tx, Shipped, shipped)
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
