package client

import (
	"context"
	"time"

	"github.com/google/uuid"
)

// TimelineEvent is one event of an order, as orderflow has seen it.
type TimelineEvent struct {
	ID     uuid.UUID `json:"id"`
	Type   EventType `json:"type"`
	Source string    `json:"source"` // the service that it comes from: "/payment"
	Time   time.Time `json:"time"`   // when it happened
	SeenAt time.Time `json:"seen_at"`
	Data   EventData `json:"data"`

	Cursor string `json:"-"` // where it is in the stream, for After; only Follow knows it
}

// EventData is what an event says beside its type; what it does not say is empty.
type EventData struct {
	PaymentID        uuid.UUID    `json:"payment_id,omitzero"`
	Amount           string       `json:"amount,omitempty"`
	GatewayReference string       `json:"gateway_reference,omitempty"`
	ReservationID    uuid.UUID    `json:"reservation_id,omitzero"`
	ProductIDs       []string     `json:"product_ids,omitempty"` // those of which there was not enough
	ShipmentID       uuid.UUID    `json:"shipment_id,omitzero"`
	Carrier          string       `json:"carrier,omitempty"`
	TrackingNumber   string       `json:"tracking_number,omitempty"`
	Reason           CancelReason `json:"reason,omitempty"`
	Detail           string       `json:"detail,omitempty"`
}

// EventType names what has happened. There may be others than those that are known here.
type EventType string

// The types of events.
const (
	EventOrderPlaced           EventType = "OrderPlaced"
	EventPaymentProcessed      EventType = "PaymentProcessed"
	EventPaymentFailed         EventType = "PaymentFailed"
	EventInventoryReserved     EventType = "InventoryReserved"
	EventInventoryRejected     EventType = "InventoryRejected"
	EventShipmentCreated       EventType = "ShipmentCreated"
	EventShipmentFailed        EventType = "ShipmentFailed"
	EventCancellationRequested EventType = "CancellationRequested"
	EventCancellationRejected  EventType = "CancellationRejected"
	EventShipmentCancelled     EventType = "ShipmentCancelled"
	EventInventoryReleased     EventType = "InventoryReleased"
	EventPaymentRefunded       EventType = "PaymentRefunded"
	EventPaymentVoided         EventType = "PaymentVoided"
	EventOrderShipped          EventType = "OrderShipped"
	EventOrderCancelled        EventType = "OrderCancelled"
)

// Ends tells whether an order has ended with an event. Others may be seen after it, which have happened before.
func (t EventType) Ends() bool { return t == EventOrderShipped || t == EventOrderCancelled }

// Timeline reads the events of an order until now, in the order in which they happened.
func (c *Client) Timeline(ctx context.Context, orderID uuid.UUID) ([]TimelineEvent, error) {
	answer, err := get[struct{ Events []TimelineEvent }](ctx, c, timelinePath(orderID))
	if err != nil {
		return nil, err
	}
	return answer.Events, nil
}

func timelinePath(orderID uuid.UUID) string { return orderPath(orderID) + "/events" }
