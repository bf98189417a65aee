package shipping

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"orderflow/pkg/event"
	"orderflow/pkg/flow"
	"orderflow/pkg/postgres"
	"orderflow/pkg/telemetry"
)

// reactions is what the service does with events.
type reactions struct {
	carrier Carrier
}

// intendBooking notes for each order that its parcel is being booked. A shipment that exists is continued from where it is.
func (r reactions) intendBooking(ctx context.Context, tx *postgres.Tx, batch []*event.Event) (func() []flow.Call[Verdict], error) {
	opened := make(map[uuid.UUID]Shipment, len(batch))
	for _, e := range batch {
		opened[e.Subject()] = Open(event.OrderOf(e), event.NewID())
	}
	var rows []row
	begin(tx, slices.Collect(maps.Values(opened)), &rows)
	return func() []flow.Call[Verdict] {
		shipments := byOrder(rows)
		calls := make([]flow.Call[Verdict], len(batch))
		for i, e := range batch {
			if shipments[e.Subject()].Status == Booking {
				calls[i] = r.book(event.OrderOf(e))
			}
		}
		return calls
	}, nil
}

func (r reactions) book(order *event.Order) flow.Call[Verdict] {
	booking := Parcel{Key: "book-" + order.OrderID.String(), OrderID: order.OrderID, Items: order.Items, To: order.ShippingAddress}
	return func(ctx context.Context) (Verdict, error) {
		telemetry.Name(ctx, "book", booking.Key)
		return r.carrier.Book(ctx, booking)
	}
}

// recordBooking notes what the carrier said.
func (r reactions) recordBooking(ctx context.Context, tx *postgres.Tx, batch []flow.Answered[Verdict]) (follow, again []*event.Event, err error) {
	rows, err := lock(ctx, tx, event.OrderIDs(flow.EventsOf(batch)))
	if err != nil {
		return nil, nil, err
	}
	now := time.Now()
	for _, a := range batch {
		if !a.Called {
			continue
		}
		s := rows[a.Subject()]
		next, facts := s.Settle(event.OrderOf(a.Event), a.Outcome)
		for _, fact := range facts {
			id := event.NewID()
			if fact.Type() != event.TypeCancellationRejected {
				next.SaidID = id
			}
			follow = event.RespondAs(follow, id, a.Event, Name, now, fact)
		}
		*s = next
	}
	update(tx, rows)
	return follow, nil, nil
}

// cancel decides cancellations, and puts a tombstone where there is no shipment yet.
func (r reactions) cancel(ctx context.Context, tx *postgres.Tx, batch []*event.Event) (follow []*event.Event, err error) {
	tombstones := make(map[uuid.UUID]Shipment, len(batch))
	facts := make(map[uuid.UUID]event.Payload, len(batch))
	for _, e := range batch {
		reason := e.Data.(*event.CancellationRequested).Reason
		t, fact := Tombstone(event.OrderOf(e), reason, event.NewID())
		t.SaidID = event.NewID()
		tombstones[e.Subject()], facts[e.Subject()] = t, fact
	}
	var inserted []uuid.UUID
	insert(tx, slices.Collect(maps.Values(tombstones)), &inserted)
	rows, err := lock(ctx, tx, event.OrderIDs(batch))
	if err != nil {
		return nil, err
	}
	buried := postgres.Set(inserted)
	now := time.Now()
	for _, e := range batch {
		if buried[e.Subject()] {
			delete(buried, e.Subject())
			follow = event.RespondAs(follow, tombstones[e.Subject()].SaidID, e, Name, now, facts[e.Subject()])
			continue
		}
		s := rows[e.Subject()]
		next, fact := s.Cancel(event.OrderOf(e))
		follow = event.Respond(follow, e, Name, now, fact)
		*s = next
	}
	update(tx, rows)
	return follow, nil
}
