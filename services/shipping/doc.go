// Package shipping is the service that books parcels with a carrier. A booked parcel is the point of no return, so it is also
// the one place where a cancellation is decided; everybody else follows what it says.
//
//	(none) ──InventoryReserved──▶ booking ──▶ created
//	   │                             └──▶ failed
//	   │                             └──▶ booking, cancellation asked: the carrier's answer decides
//	   └──CancellationRequested──▶ cancelled: a tombstone, which a late InventoryReserved finds
package shipping
