package client

import (
	"context"
	"time"

	"github.com/google/uuid"
)

// Payment is what became of an order's money.
type Payment struct {
	PaymentID        uuid.UUID     `json:"payment_id"`
	OrderID          uuid.UUID     `json:"order_id"`
	Status           PaymentStatus `json:"status"`
	Amount           string        `json:"amount"`
	RefundedAmount   string        `json:"refunded_amount"`
	Currency         string        `json:"currency"`
	GatewayReference string        `json:"gateway_reference,omitempty"`
	UndoReason       CancelReason  `json:"undo_reason,omitempty"` // why it goes back, where it does
	CreatedAt        time.Time     `json:"created_at"`
	UpdatedAt        time.Time     `json:"updated_at"`
}

// PaymentStatus is where a payment stands. There may be others than those that are known here.
type PaymentStatus string

// The statuses of a payment.
const (
	PaymentCharging  PaymentStatus = "charging"
	PaymentCharged   PaymentStatus = "charged"
	PaymentFailed    PaymentStatus = "failed"
	PaymentRefunding PaymentStatus = "refunding"
	PaymentRefunded  PaymentStatus = "refunded"
	PaymentVoided    PaymentStatus = "voided" // taken back before it was made
)

// Payments reads the payments of an order: one at most, as long as orderflow keeps its promises.
func (c *Client) Payments(ctx context.Context, orderID uuid.UUID) ([]Payment, error) {
	return ofOrder[Payment](ctx, c, "payments", orderID)
}

// Reservation is what is held for an order of the stock.
type Reservation struct {
	ReservationID uuid.UUID         `json:"reservation_id"`
	OrderID       uuid.UUID         `json:"order_id"`
	Status        ReservationStatus `json:"status"`
	Items         []Item            `json:"items"`
	CreatedAt     time.Time         `json:"created_at"`
	UpdatedAt     time.Time         `json:"updated_at"`
}

// ReservationStatus is where a reservation stands. There may be others than those that are known here.
type ReservationStatus string

// The statuses of a reservation.
const (
	ReservationReserved ReservationStatus = "reserved"
	ReservationRejected ReservationStatus = "rejected"
	ReservationReleased ReservationStatus = "released"
	ReservationShipped  ReservationStatus = "shipped"
	ReservationVoided   ReservationStatus = "voided" // taken back before it was made
)

// Reservations reads the reservations of an order: one at most.
func (c *Client) Reservations(ctx context.Context, orderID uuid.UUID) ([]Reservation, error) {
	return ofOrder[Reservation](ctx, c, "reservations", orderID)
}

// Shipment is an order's parcel.
type Shipment struct {
	ShipmentID     uuid.UUID      `json:"shipment_id"`
	OrderID        uuid.UUID      `json:"order_id"`
	Status         ShipmentStatus `json:"status"`
	Carrier        string         `json:"carrier,omitempty"`
	TrackingNumber string         `json:"tracking_number,omitempty"`
	CreatedAt      time.Time      `json:"created_at"`
	UpdatedAt      time.Time      `json:"updated_at"`
}

// ShipmentStatus is where a shipment stands. There may be others than those that are known here.
type ShipmentStatus string

// The statuses of a shipment.
const (
	ShipmentBooking   ShipmentStatus = "booking"
	ShipmentCreated   ShipmentStatus = "created"
	ShipmentFailed    ShipmentStatus = "failed"
	ShipmentCancelled ShipmentStatus = "cancelled"
)

// Shipments reads the shipments of an order: one at most.
func (c *Client) Shipments(ctx context.Context, orderID uuid.UUID) ([]Shipment, error) {
	return ofOrder[Shipment](ctx, c, "shipments", orderID)
}

// ofOrder asks what a service has of an order.
func ofOrder[T any](ctx context.Context, c *Client, name string, id uuid.UUID) ([]T, error) {
	all, err := get[map[string][]T](ctx, c, "/v1/"+name+"?order_id="+id.String())
	if err != nil {
		return nil, err
	}
	return (*all)[name], nil
}
