package shipping

import (
	"context"
	"strings"
)

// undeliverable is the postal code that the built-in carrier refuses.
const undeliverable = "UNDELIVERABLE"

// SimulatedCarrier is the built-in carrier. It takes every parcel but those for the postal code UNDELIVERABLE. Its tracking
// numbers are made of the orders' ids, so that it needs no memory to be idempotent.
type SimulatedCarrier struct{}

// Book implements Carrier.
func (SimulatedCarrier) Book(_ context.Context, p Parcel) (Verdict, error) {
	if p.To.PostalCode == undeliverable {
		return Verdict{Refused: true, Detail: "no delivery to this postal code"}, nil
	}
	return Verdict{Carrier: "simulated", TrackingNumber: "SIM" + strings.ToUpper(strings.ReplaceAll(p.OrderID.String(), "-", ""))}, nil
}
