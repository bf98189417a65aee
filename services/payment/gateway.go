package payment

import (
	"context"

	"orderflow/pkg/event"
)

// Gateway is a payment provider. Both calls are idempotent: the same key gives the same answer, and moves money once. An error
// says that the answer is not known.
type Gateway interface {
	// Charge asks for money. A refusal is a verdict, not an error.
	Charge(context.Context, Charge) (Verdict, error)
	// Refund pays a charge back in full.
	Refund(context.Context, Refund) error
}

// Charge is what is asked for.
type Charge struct {
	Key      string
	Amount   event.Amount
	Currency string
	Method   string // the customer's payment method
}

// Refund is what is to be paid back.
type Refund struct {
	Key       string
	Reference string // the gateway's name for the charge
	Amount    event.Amount
	Currency  string
}
