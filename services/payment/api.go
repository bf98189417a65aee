package payment

import (
	"net/http"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/labstack/echo/v4"

	"orderflow/pkg/event"
	"orderflow/pkg/httpapi"
)

type api struct{ db *pgxpool.Pool }

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

// list answers GET /v1/payments?order_id=.
func (a api) list(c echo.Context) error {
	orderID, err := httpapi.QueryID(c, "order_id")
	if err != nil {
		return err
	}
	rows, err := ofOrder(c.Request().Context(), a.db, orderID)
	if err != nil {
		return err
	}
	payments := make([]view, len(rows))
	for i, r := range rows {
		payments[i] = view{
			PaymentID: r.ID, OrderID: r.OrderID, Status: r.Status, Amount: event.MinorAmount(r.Amount, r.Currency),
			RefundedAmount: event.MinorAmount(r.RefundedAmount, r.Currency), Currency: r.Currency,
			GatewayReference: r.GatewayReference, UndoReason: r.Undo, CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC(),
		}
	}
	return httpapi.JSON(c, http.StatusOK, struct {
		Payments []view `json:"payments"`
	}{payments})
}
