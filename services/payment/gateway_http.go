package payment

import (
	"context"
	"fmt"
	"net/http"

	"orderflow/pkg/event"
	"orderflow/pkg/httpapi"
)

// HTTPGateway is a gateway behind a small JSON API:
//
//	POST {base}/charges  {amount, currency, payment_method}  201 {reference}, 402 {detail}: refused
//	POST {base}/refunds  {reference, amount, currency}       201 {reference}
//
// Every request has an Idempotency-Key. Any other answer counts as none.
type HTTPGateway struct {
	base   string
	client *http.Client
}

// NewHTTPGateway makes a gateway that is reached under base, "https://gateway.example/v1".
func NewHTTPGateway(base string, client *http.Client) *HTTPGateway {
	return &HTTPGateway{base: base, client: client}
}

type chargeRequest struct {
	Amount        event.Amount `json:"amount"`
	Currency      string       `json:"currency"`
	PaymentMethod string       `json:"payment_method"`
}

type refundRequest struct {
	Reference string       `json:"reference"`
	Amount    event.Amount `json:"amount"`
	Currency  string       `json:"currency"`
}

type gatewayAnswer struct {
	Reference string `json:"reference"`
	Detail    string `json:"detail"`
}

// Charge implements Gateway.
func (g *HTTPGateway) Charge(ctx context.Context, c Charge) (Verdict, error) {
	var answer gatewayAnswer
	status, err := httpapi.Post(ctx, g.client, g.base+"/charges", c.Key,
		chargeRequest{c.Amount, c.Currency, c.Method}, &answer, http.StatusPaymentRequired)
	declined := status == http.StatusPaymentRequired
	if err == nil && !declined && answer.Reference == "" {
		err = fmt.Errorf("the gateway's answer with status %d has no reference: whether it charged is not known", status)
	}
	return Verdict{Declined: declined, Reference: answer.Reference, Detail: answer.Detail}, err
}

// Refund implements Gateway.
func (g *HTTPGateway) Refund(ctx context.Context, r Refund) error {
	var answer gatewayAnswer
	_, err := httpapi.Post(ctx, g.client, g.base+"/refunds", r.Key, refundRequest{r.Reference, r.Amount, r.Currency}, &answer)
	return err
}
