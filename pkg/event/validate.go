package event

import (
	"fmt"

	"github.com/google/uuid"
)

// Every payload checks itself: the order that it carries, and then its own fields.

// Validate implements Payload.
func (p *PaymentProcessed) Validate() error {
	return p.check(p.Payment.validate(p.Currency))
}

// Validate implements Payload.
func (p *PaymentFailed) Validate() error {
	return p.check(needID("/payment_id", p.PaymentID), p.Reason.validate(), text("/detail", p.Detail, false, MaxText))
}

// Validate implements Payload.
func (p *PaymentRefunded) Validate() error {
	return p.check(p.Payment.validate(p.Currency), p.Reason.validate())
}

// Validate implements Payload.
func (p *PaymentVoided) Validate() error {
	return p.check(needID("/payment_id", p.PaymentID), p.Reason.validate())
}

// Validate implements Payload.
func (p *InventoryReserved) Validate() error {
	return p.check(needID("/reservation_id", p.ReservationID))
}

// Validate implements Payload.
func (p *InventoryRejected) Validate() error {
	return p.check(needID("/reservation_id", p.ReservationID), p.Reason.validate(), products("/product_ids", p.ProductIDs))
}

// Validate implements Payload.
func (p *InventoryReleased) Validate() error {
	return p.check(needID("/reservation_id", p.ReservationID), p.Reason.validate())
}

// Validate implements Payload.
func (p *ShipmentCreated) Validate() error {
	return p.check(p.Shipment.validate())
}

// Validate implements Payload.
func (p *ShipmentFailed) Validate() error {
	return p.check(needID("/shipment_id", p.ShipmentID), p.Reason.validate(), text("/detail", p.Detail, false, MaxText))
}

// Validate implements Payload.
func (p *CancellationRequested) Validate() error {
	return p.check(p.Reason.validate())
}

// Validate implements Payload.
func (p *CancellationRejected) Validate() error {
	return p.check(p.Shipment.validate())
}

// Validate implements Payload.
func (p *ShipmentCancelled) Validate() error {
	return p.check(needID("/shipment_id", p.ShipmentID), p.Reason.validate())
}

// Validate implements Payload.
func (p *OrderCancelled) Validate() error {
	return p.check(p.Reason.validate())
}

// check returns the first error of the order and of the checks of a payload's own fields.
func (o *Order) check(own ...error) error {
	if err := o.Validate(); err != nil {
		return err
	}
	return firstError(own...)
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func products(pointer string, ids []string) error {
	switch {
	case len(ids) == 0:
		return fieldErrorf(pointer, "names no product")
	case len(ids) > MaxItems:
		return fieldErrorf(pointer, "has %d products, an order has at most %d", len(ids), MaxItems)
	}
	for i, id := range ids {
		if err := text("", id, true, MaxText); err != nil {
			return below(fmt.Sprintf("%s/%d", pointer, i), err)
		}
	}
	return nil
}

func needID(pointer string, id uuid.UUID) error {
	if id == uuid.Nil {
		return fieldErrorf(pointer, "is missing")
	}
	return nil
}

func (p *Payment) validate(currency string) error {
	if decimals, _ := Decimals(currency); p.Amount.Decimals != decimals {
		return fieldErrorf("/amount", "%q has %d decimals, %s has %d", p.Amount, p.Amount.Decimals, currency, decimals)
	}
	return firstError(needID("/payment_id", p.PaymentID), text("/gateway_reference", p.GatewayReference, false, MaxText))
}

func (s *Shipment) validate() error {
	return firstError(needID("/shipment_id", s.ShipmentID), text("/carrier", s.Carrier, true, MaxText),
		text("/tracking_number", s.TrackingNumber, true, MaxText))
}
