package shipping

import (
	"context"

	"github.com/google/uuid"

	"orderflow/pkg/event"
)

// Carrier is a parcel service. Booking is idempotent: the same key gives the same answer, and books one parcel.
type Carrier interface {
	// Book asks for a parcel to be taken. A refusal is a verdict; an error says that the answer is not known.
	Book(context.Context, Parcel) (Verdict, error)
}

// Parcel is what is to be taken where.
type Parcel struct {
	Key     string
	OrderID uuid.UUID
	Items   []event.Item
	To      event.Address
}
