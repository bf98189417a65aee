package payment

import (
	"strings"
	"time"

	"github.com/google/uuid"

	"orderflow/pkg/event"
)

// view is a payment as clients see it.
type view struct {
	PaymentID        uuid.UUID          `json:"payment_id"`
	OrderID          uuid.UUID          `json:"order_id"`
	Status           Status             `json:"status"`
	Amount           event.Amount       `json:"amount"`
	RefundedAmount   event.Amount       `json:"refunded_amount"`
	Currency         string             `json:"currency"`
	GatewayReference string             `json:"gateway_reference,omitempty"`
	UndoReason       event.CancelReason `json:"undo_reason,omitempty"`
	CreatedAt        time.Time          `json:"created_at"`
	UpdatedAt        time.Time          `json:"updated_at"`
}

func viewOf(r row) view {
	return view{
		PaymentID: r.ID, OrderID: r.OrderID, Status: r.Status, Amount: event.MinorAmount(r.Amount, r.Currency),
		RefundedAmount: event.MinorAmount(r.RefundedAmount, r.Currency), Currency: r.Currency,
		GatewayReference: strings.ToValidUTF8(r.GatewayReference, "�"), UndoReason: r.Undo, CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC(),
	}
}
