package payment

import (
	"github.com/google/uuid"

	"orderflow/pkg/event"
)

// Status is where a payment stands.
type Status string

// A payment goes charging → charged → refunding → refunded, or ends early as failed (the gateway refused) or voided (it was
// undone before it began).
const (
	Charging  Status = "charging"
	Charged   Status = "charged"
	Failed    Status = "failed"
	Refunding Status = "refunding"
	Refunded  Status = "refunded"
	Voided    Status = "voided"
)

// Payment is the one payment of an order.
type Payment struct {
	ID               uuid.UUID
	OrderID          uuid.UUID
	CustomerID       string // of the order; is written with a new payment, and not read again
	Status           Status
	Amount           int64 // minor units of Currency
	RefundedAmount   int64
	Currency         string
	GatewayReference string
	// Undo is why the payment has to be taken back. On a payment that is charging it is a mark: the undoing came while the
	// gateway was being asked, and the refund follows as soon as its answer is known.
	Undo   event.CancelReason
	Detail string    // why it was declined, as the event says it
	SaidID uuid.UUID // of the event that told of the present state; see Said
}

// Said is what the payment has said of the state that it is in. It is nil while it has said nothing yet, since the gateway is being asked.
func (p Payment) Said(order *event.Order) event.Payload {
	switch p.Status {
	case Charged:
		return &event.PaymentProcessed{Order: *order, Payment: p.fact(p.Amount)}
	case Failed:
		return &event.PaymentFailed{Order: *order, PaymentID: p.ID, Reason: event.ReasonPaymentFailed, Detail: p.Detail}
	case Refunded:
		return &event.PaymentRefunded{Order: *order, Payment: p.fact(p.RefundedAmount), Reason: p.Undo}
	case Voided:
		return &event.PaymentVoided{Order: *order, PaymentID: p.ID, Reason: p.Undo}
	}
	return nil
}

// Verdict is the gateway's answer to a charge.
type Verdict struct {
	Declined  bool
	Reference string // the gateway's name for the charge, whatever text that is
	Detail    string // why it was declined
}

// Open is the payment that an order starts with: the intent to charge it.
func Open(order *event.Order, id uuid.UUID) Payment {
	return Payment{
		ID: id, OrderID: order.OrderID, CustomerID: order.CustomerID, Status: Charging, Amount: order.TotalAmount.Minor, Currency: order.Currency,
	}
}

// Tombstone is the payment of an order that is undone before it was placed here. The late OrderPlaced finds it and does nothing.
func Tombstone(order *event.Order, reason event.CancelReason, id uuid.UUID) (Payment, event.Payload) {
	p := Open(order, id)
	p.Status, p.Undo = Voided, reason
	return p, p.Said(order)
}

// Settle takes the gateway's answer to the charge. A charge that is to be undone goes on to its refund; it says nothing of
// itself, so that nobody reserves goods for it.
func (p Payment) Settle(order *event.Order, v Verdict) (Payment, event.Payload) {
	if p.Status != Charging {
		return p, nil
	}
	if v.Declined {
		p.Status, p.Detail = Failed, event.Clip(v.Detail)
		return p, p.Said(order)
	}
	p.GatewayReference = v.Reference
	if p.Undo != "" {
		p.Status = Refunding
		return p, nil
	}
	p.Status = Charged
	return p, p.Said(order)
}

// Takeback undoes the payment as far as that can be decided without the gateway. What it leaves refunding has to be refunded.
func (p Payment) Takeback(reason event.CancelReason) Payment {
	switch p.Status {
	case Charging:
		if p.Undo == "" {
			p.Undo = reason
		}
	case Charged:
		p.Status, p.Undo = Refunding, reason
	}
	return p
}

// Repaid takes the gateway's confirmation of the refund.
func (p Payment) Repaid(order *event.Order) (Payment, event.Payload) {
	if p.Status != Refunding {
		return p, nil
	}
	p.Status, p.RefundedAmount = Refunded, p.Amount
	return p, p.Said(order)
}

// fact is the payment for others. They get as much of the gateway's reference as fits into an event: a charge that was made must
// not fail for what it is called. The payment keeps the whole, which the refund needs.
func (p Payment) fact(amount int64) event.Payment {
	return event.Payment{PaymentID: p.ID, Amount: event.MinorAmount(amount, p.Currency), GatewayReference: event.Clip(p.GatewayReference)}
}
