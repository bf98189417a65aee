package shipping

import (
	"strings"
	"time"

	"github.com/google/uuid"
)

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

func viewOf(r row) view {
	return view{
		ShipmentID: r.ID, OrderID: r.OrderID, Status: r.Status,
		Carrier: strings.ToValidUTF8(r.Carrier, "�"), TrackingNumber: strings.ToValidUTF8(r.TrackingNumber, "�"),

		CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC(),
	}
}
