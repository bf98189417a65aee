package event

import "github.com/google/uuid"

// The types of the order workflow.
const (
	TypeOrderPlaced           Type = "OrderPlaced"
	TypePaymentProcessed      Type = "PaymentProcessed"
	TypePaymentFailed         Type = "PaymentFailed"
	TypeInventoryReserved     Type = "InventoryReserved"
	TypeInventoryRejected     Type = "InventoryRejected"
	TypeShipmentCreated       Type = "ShipmentCreated"
	TypeShipmentFailed        Type = "ShipmentFailed"
	TypeCancellationRequested Type = "CancellationRequested"
	TypeCancellationRejected  Type = "CancellationRejected"
	TypeShipmentCancelled     Type = "ShipmentCancelled"
	TypeInventoryReleased     Type = "InventoryReleased"
	TypePaymentRefunded       Type = "PaymentRefunded"
	TypePaymentVoided         Type = "PaymentVoided"
	TypeOrderShipped          Type = "OrderShipped"
	TypeOrderCancelled        Type = "OrderCancelled"
)

// Orders is the catalog of the order workflow.
var Orders = NewCatalog("orders.events",
	NewKind[OrderPlaced](1, "order", "order.placed", true),
	NewKind[PaymentProcessed](1, "payment", "payment.processed", true),
	NewKind[PaymentFailed](1, "payment", "payment.failed", true),
	NewKind[InventoryReserved](1, "inventory", "inventory.reserved", true),
	NewKind[InventoryRejected](1, "inventory", "inventory.rejected", true),
	NewKind[ShipmentCreated](1, "shipping", "shipment.created", true),
	NewKind[ShipmentFailed](1, "shipping", "shipment.failed", true),
	NewKind[CancellationRequested](1, "order", "order.cancellation-requested", true),
	NewKind[CancellationRejected](1, "shipping", "shipment.cancellation-rejected", true),
	NewKind[ShipmentCancelled](1, "shipping", "shipment.cancelled", true),
	NewKind[InventoryReleased](1, "inventory", "inventory.released", true),
	NewKind[PaymentRefunded](1, "payment", "payment.refunded", true),
	NewKind[PaymentVoided](1, "payment", "payment.voided", true),
	NewKind[OrderShipped](1, "order", "order.shipped", false),
	NewKind[OrderCancelled](1, "order", "order.cancelled", false),
).Against(Schemas)

// CancelReason says why an order is taken back. It travels with every event of the way back, so that whoever ends the order
// knows the reason without having seen the event that first gave it.
type CancelReason string

// The reasons there are.
const (
	ReasonPaymentFailed   CancelReason = "payment_failed"
	ReasonOutOfStock      CancelReason = "out_of_stock"
	ReasonUnknownProduct  CancelReason = "unknown_product"
	ReasonShipmentFailed  CancelReason = "shipment_failed"
	ReasonCustomerRequest CancelReason = "customer_request"
)

func (r CancelReason) validate() error {
	switch r {
	case ReasonPaymentFailed, ReasonOutOfStock, ReasonUnknownProduct, ReasonShipmentFailed, ReasonCustomerRequest:
		return nil
	}
	return fieldErrorf("/reason", "%q is not a reason for cancelling", string(r))
}

// OrderPlaced: a customer's order was accepted.
type OrderPlaced struct {
	Order
}

// Payment is what became of the money.
type Payment struct {
	PaymentID        uuid.UUID `json:"payment_id"`                  // the payment service's id of the payment
	Amount           Amount    `json:"amount"`                      // what was charged, or paid back
	GatewayReference string    `json:"gateway_reference,omitempty"` // the gateway's id of the charge
}

// PaymentProcessed: the order's total was charged.
type PaymentProcessed struct {
	Order
	Payment
}

// PaymentFailed: the gateway refused the charge; no money moved.
type PaymentFailed struct {
	Order
	PaymentID uuid.UUID    `json:"payment_id"`
	Reason    CancelReason `json:"reason"`
	Detail    string       `json:"detail,omitempty"` // what the gateway said
}

// PaymentRefunded: what had been charged was paid back in full.
type PaymentRefunded struct {
	Order
	Payment
	Reason CancelReason `json:"reason"`
}

// PaymentVoided: there was no charge, and there will be none.
type PaymentVoided struct {
	Order
	PaymentID uuid.UUID    `json:"payment_id"`
	Reason    CancelReason `json:"reason"`
}

// InventoryReserved: every item of the order is set aside.
type InventoryReserved struct {
	Order
	ReservationID uuid.UUID `json:"reservation_id"`
}

// InventoryRejected: at least one item is not to be had; nothing was set aside.
type InventoryRejected struct {
	Order
	ReservationID uuid.UUID    `json:"reservation_id"`
	Reason        CancelReason `json:"reason"`
	ProductIDs    []string     `json:"product_ids"` // the items that are missing
}

// InventoryReleased: nothing is set aside for the order, and nothing will be.
type InventoryReleased struct {
	Order
	ReservationID uuid.UUID    `json:"reservation_id"`
	Reason        CancelReason `json:"reason"`
}

// Shipment is a parcel that the carrier has taken on.
type Shipment struct {
	ShipmentID     uuid.UUID `json:"shipment_id"`     // the shipping service's id of the shipment
	Carrier        string    `json:"carrier"`         // who brings the parcel
	TrackingNumber string    `json:"tracking_number"` // the carrier's id of the parcel
}

// ShipmentCreated: the parcel is booked. There is no way back from here.
type ShipmentCreated struct {
	Order
	Shipment
}

// ShipmentFailed: the carrier refused the parcel.
type ShipmentFailed struct {
	Order
	ShipmentID uuid.UUID    `json:"shipment_id"`
	Reason     CancelReason `json:"reason"`
	Detail     string       `json:"detail,omitempty"` // what the carrier said
}

// CancellationRequested: the customer wants the order cancelled; shipping decides.
type CancellationRequested struct {
	Order
	Reason CancelReason `json:"reason"`
}

// CancellationRejected: too late, the parcel was booked already.
type CancellationRejected struct {
	Order
	Shipment
}

// ShipmentCancelled: there is no parcel, and there will be none.
type ShipmentCancelled struct {
	Order
	ShipmentID uuid.UUID    `json:"shipment_id"`
	Reason     CancelReason `json:"reason"`
}

// OrderShipped: the order has ended well.
type OrderShipped struct {
	Order
}

// OrderCancelled: the order has ended, and whatever was done for it is undone.
type OrderCancelled struct {
	Order
	Reason CancelReason `json:"reason"`
}

// Type implements Payload.
func (*OrderPlaced) Type() Type           { return TypeOrderPlaced }
func (*PaymentProcessed) Type() Type      { return TypePaymentProcessed }
func (*PaymentFailed) Type() Type         { return TypePaymentFailed }
func (*PaymentRefunded) Type() Type       { return TypePaymentRefunded }
func (*PaymentVoided) Type() Type         { return TypePaymentVoided }
func (*InventoryReserved) Type() Type     { return TypeInventoryReserved }
func (*InventoryRejected) Type() Type     { return TypeInventoryRejected }
func (*InventoryReleased) Type() Type     { return TypeInventoryReleased }
func (*ShipmentCreated) Type() Type       { return TypeShipmentCreated }
func (*ShipmentFailed) Type() Type        { return TypeShipmentFailed }
func (*CancellationRequested) Type() Type { return TypeCancellationRequested }
func (*CancellationRejected) Type() Type  { return TypeCancellationRejected }
func (*ShipmentCancelled) Type() Type     { return TypeShipmentCancelled }
func (*OrderShipped) Type() Type          { return TypeOrderShipped }
func (*OrderCancelled) Type() Type        { return TypeOrderCancelled }
