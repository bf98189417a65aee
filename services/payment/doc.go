// Package payment is the service that charges orders and pays back what has to be undone, through a gateway.
//
// The rules are in payment.go, what happens with events in reactions.go, every SQL statement in store.go, the gateways in
// gateway*.go. Each order has one payment:
//
//	(none) ──OrderPlaced──▶ charging ──▶ charged ──undo──▶ refunding ──▶ refunded
//	   │                       └──▶ failed                    ▲
//	   │                       └──▶ charging, undo marked ────┘ as soon as the charge is known
//	   └──undo──▶ voided: a tombstone, which a late OrderPlaced finds
package payment
