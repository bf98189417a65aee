package payment

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
	gateway Gateway
}

// answer is what the gateway said: to a charge a verdict, to a refund that it is done.
type answer struct {
	verdict Verdict
	refund  bool
}

// call asks the gateway for what a payment needs; nil where it needs nothing.
func (r reactions) call(p *Payment, order *event.Order) flow.Call[answer] {
	if p == nil {
		return nil
	}
	switch p.Status {
	case Charging:
		charge := Charge{Key: "charge-" + p.OrderID.String(), Amount: order.TotalAmount, Currency: order.Currency, Method: order.PaymentMethod}
		return func(ctx context.Context) (answer, error) {
			telemetry.Name(ctx, "charge", charge.Key)
			verdict, err := r.gateway.Charge(ctx, charge)
			return answer{verdict: verdict}, err
		}
	case Refunding:
		refund := Refund{Key: "refund-" + p.OrderID.String(), Reference: p.GatewayReference,
			Amount: event.MinorAmount(p.Amount, p.Currency), Currency: p.Currency}
		return func(ctx context.Context) (answer, error) {
			telemetry.Name(ctx, "refund", refund.Key)
			return answer{refund: true}, r.gateway.Refund(ctx, refund)
		}
	}
	return nil
}

// intendCharge notes for each order that it is being charged. A payment that exists is continued from where it is.
func (r reactions) intendCharge(ctx context.Context, tx *postgres.Tx, batch []*event.Event) (func() []flow.Call[answer], error) {
	opened := make(map[uuid.UUID]Payment, len(batch))
	for _, e := range batch {
		opened[e.Subject()] = Open(event.OrderOf(e), event.NewID())
	}
	var rows []row
	begin(tx, slices.Collect(maps.Values(opened)), &rows)
	return func() []flow.Call[answer] {
		payments := byOrder(rows)
		calls := make([]flow.Call[answer], len(batch))
		for i, e := range batch {
			calls[i] = r.call(payments[e.Subject()], event.OrderOf(e))
		}
		return calls
	}, nil
}

// recordCharge notes what the gateway said. No event is finished while its payment is refunding, whoever began that: another
// worker may hold the same event, and if this one noted it as handled, the inbox would drop the other's refund.
func (r reactions) recordCharge(ctx context.Context, tx *postgres.Tx, batch []flow.Answered[answer]) (follow, again []*event.Event, err error) {
	rows, err := lock(ctx, tx, event.OrderIDs(flow.EventsOf(batch)))
	if err != nil {
		return nil, nil, err
	}
	now := time.Now()
	for _, a := range batch {
		p := rows[a.Subject()]
		if !a.Called || p == nil {
			continue
		}
		next, fact := a.Outcome.applyTo(*p, event.OrderOf(a.Event))
		if next.Status == Refunding {
			again = append(again, a.Event)
		}
		follow = tell(follow, a.Event, now, &next, fact)
		*p = next
	}
	update(tx, rows)
	return follow, again, nil
}

// tell says a fact about a payment, which then names the event.
func tell(follow []*event.Event, cause *event.Event, now time.Time, p *Payment, fact event.Payload) []*event.Event {
	if fact != nil {
		p.SaidID = event.NewID()
	}
	return event.RespondAs(follow, p.SaidID, cause, Name, now, fact)
}

// intendUndo notes for each order that its payment is taken back, as far as it exists. While the gateway is being asked for the
// charge, that is a mark on the payment, and whoever is asking goes on to the refund.
func (r reactions) intendUndo(ctx context.Context, tx *postgres.Tx, batch []*event.Event) (func() []flow.Call[answer], error) {
	rows, err := lock(ctx, tx, event.OrderIDs(batch))
	if err != nil {
		return nil, err
	}
	calls := make([]flow.Call[answer], len(batch))
	for i, e := range batch {
		p := rows[e.Subject()]
		if p == nil {
			continue
		}
		*p = p.Takeback(undoReason(e))
		if p.Status == Refunding {
			calls[i] = r.call(p, event.OrderOf(e))
		}
	}
	update(tx, rows)
	return func() []flow.Call[answer] { return calls }, nil
}

// recordUndo notes the refunds, and puts a tombstone where there was no payment.
func (r reactions) recordUndo(ctx context.Context, tx *postgres.Tx, batch []flow.Answered[answer]) (follow, again []*event.Event, err error) {
	now := time.Now()
	tombstones := make(map[uuid.UUID]Payment)
	facts := make(map[uuid.UUID]event.Payload)
	for _, a := range batch {
		if !a.Called {
			t, fact := Tombstone(event.OrderOf(a.Event), undoReason(a.Event), event.NewID())
			t.SaidID = event.NewID()
			tombstones[a.Subject()], facts[a.Subject()] = t, fact
		}
	}
	var inserted []uuid.UUID
	insert(tx, slices.Collect(maps.Values(tombstones)), &inserted)
	rows, err := lock(ctx, tx, event.OrderIDs(flow.EventsOf(batch)))
	if err != nil {
		return nil, nil, err
	}
	buried := postgres.Set(inserted)
	for _, a := range batch {
		p, order := rows[a.Subject()], event.OrderOf(a.Event)
		if !a.Called && buried[a.Subject()] {
			delete(buried, a.Subject())
			follow = event.RespondAs(follow, tombstones[a.Subject()].SaidID, a.Event, Name, now, facts[a.Subject()])
			continue
		}
		next, fact := *p, event.Payload(nil)
		if a.Called {
			next, fact = next.Repaid(order)
		}
		// A payment that appeared since the intent is taken back now; if it was charged already, the refund is still to be made.
		next = next.Takeback(undoReason(a.Event))
		if next.Status == Refunding {
			again = append(again, a.Event)
		}
		follow = tell(follow, a.Event, now, &next, fact)
		*p = next
	}
	update(tx, rows)
	return follow, again, nil
}

// applyTo gives the gateway's answer to the rules.
func (a answer) applyTo(p Payment, order *event.Order) (Payment, event.Payload) {
	if a.refund {
		return p.Repaid(order)
	}
	return p.Settle(order, a.verdict)
}

func undoReason(e *event.Event) event.CancelReason {
	switch data := e.Data.(type) {
	case *event.InventoryRejected:
		return data.Reason
	case *event.InventoryReleased:
		return data.Reason
	}
	return ""
}
