// Package inventory is the service that keeps the stock and sets goods aside for orders.
//
//	(none) ──PaymentProcessed──▶ reserved ──ShipmentCreated──▶ shipped
//	   │            │                └──ShipmentFailed, ShipmentCancelled──▶ released
//	   │            └──▶ rejected: a product is unknown or out of stock
//	   └──ShipmentCancelled──▶ voided: a tombstone, which a late PaymentProcessed finds
//
// Of each product, available = on_hand − reserved, and on_hand + shipped = put_in. A reservation takes all items of an order or
// none. Reservations are locked before stock, and both in the order of their keys.
package inventory
