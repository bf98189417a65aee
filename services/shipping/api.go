package shipping

import (
	"net/http"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/labstack/echo/v4"

	"orderflow/pkg/httpapi"
)

type api struct{ db *pgxpool.Pool }

// view is a shipment as clients see it.
type view struct {
	ShipmentID     uuid.UUID `json:"shipment_id"`
	OrderID        uuid.UUID `json:"order_id"`
	Status         Status    `json:"status"`
	Carrier        string    `json:"carrier,omitempty"`
	TrackingNumber string    `json:"tracking_number,omitempty"`
	CreatedAt      time.Time `json:"created_at"`
	UpdatedAt      time.Time `json:"updated_at"`
}

// list answers GET /v1/shipments?order_id=.
func (a api) list(c echo.Context) error {
	orderID, err := httpapi.QueryID(c, "order_id")
	if err != nil {
		return err
	}
	rows, err := ofOrder(c.Request().Context(), a.db, orderID)
	if err != nil {
		return err
	}
	shipments := make([]view, len(rows))
	for i, r := range rows {
		shipments[i] = view{
			ShipmentID: r.ID, OrderID: r.OrderID, Status: r.Status, Carrier: r.Carrier, TrackingNumber: r.TrackingNumber,
			CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC(),
		}
	}
	return httpapi.JSON(c, http.StatusOK, struct {
		Shipments []view `json:"shipments"`
	}{shipments})
}
