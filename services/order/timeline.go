package order

import (
	"github.com/google/uuid"

	"orderflow/pkg/event"
)

// detail is what the timeline shows of an event, besides that it happened: its data without the order.
type detail struct {
	PaymentID        uuid.UUID          `json:"payment_id,omitzero"`
	Amount           *event.Amount      `json:"amount,omitempty"`
	GatewayReference string             `json:"gateway_reference,omitempty"`
	ReservationID    uuid.UUID          `json:"reservation_id,omitzero"`
	ProductIDs       []string           `json:"product_ids,omitempty"`
	ShipmentID       uuid.UUID          `json:"shipment_id,omitzero"`
	Carrier          string             `json:"carrier,omitempty"`
	TrackingNumber   string             `json:"tracking_number,omitempty"`
	Reason           event.CancelReason `json:"reason,omitempty"`
	Detail           string             `json:"detail,omitempty"`
}

func detailOf(p event.Payload) detail {
	switch e := p.(type) {
	case *event.PaymentProcessed:
		return detail{PaymentID: e.PaymentID, Amount: &e.Amount, GatewayReference: e.GatewayReference}
	case *event.PaymentFailed:
		return detail{PaymentID: e.PaymentID, Reason: e.Reason, Detail: e.Detail}
	case *event.PaymentRefunded:
		return detail{PaymentID: e.PaymentID, Amount: &e.Amount, GatewayReference: e.GatewayReference, Reason: e.Reason}
	case *event.PaymentVoided:
		return detail{PaymentID: e.PaymentID, Reason: e.Reason}
	case *event.InventoryReserved:
		return detail{ReservationID: e.ReservationID}
	case *event.InventoryRejected:
		return detail{ReservationID: e.ReservationID, Reason: e.Reason, ProductIDs: e.ProductIDs}
	case *event.InventoryReleased:
		return detail{ReservationID: e.ReservationID, Reason: e.Reason}
	case *event.ShipmentCreated:
		return detail{ShipmentID: e.ShipmentID, Carrier: e.Carrier, TrackingNumber: e.TrackingNumber}
	case *event.ShipmentFailed:
		return detail{ShipmentID: e.ShipmentID, Reason: e.Reason, Detail: e.Detail}
	case *event.ShipmentCancelled:
		return detail{ShipmentID: e.ShipmentID, Reason: e.Reason}
	case *event.CancellationRequested:
		return detail{Reason: e.Reason}
	case *event.CancellationRejected:
		return detail{ShipmentID: e.ShipmentID, Carrier: e.Carrier, TrackingNumber: e.TrackingNumber}
	case *event.OrderCancelled:
		return detail{Reason: e.Reason}
	}
	return detail{}
}
