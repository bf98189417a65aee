package shipping

import (
	"context"
	"fmt"
	"net/http"

	"github.com/google/uuid"

	"orderflow/pkg/event"
	"orderflow/pkg/httpapi"
)

// HTTPCarrier is a carrier behind a small JSON API:
//
//	POST {base}/parcels  {order_id, items, shipping_address}  201 {carrier, tracking_number}, 422 {detail}: refused
//
// Every request has an Idempotency-Key. Any other answer counts as none.
type HTTPCarrier struct {
	base   string
	client *http.Client
}

// NewHTTPCarrier makes a carrier that is reached under base, "https://carrier.example/v1".
func NewHTTPCarrier(base string, client *http.Client) *HTTPCarrier {
	return &HTTPCarrier{base: base, client: client}
}

type parcelRequest struct {
	OrderID         uuid.UUID     `json:"order_id"`
	Items           []event.Item  `json:"items"`
	ShippingAddress event.Address `json:"shipping_address"`
}

type carrierAnswer struct {
	Carrier        string `json:"carrier"`
	TrackingNumber string `json:"tracking_number"`
	Detail         string `json:"detail"`
}

// Book implements Carrier.
func (h *HTTPCarrier) Book(ctx context.Context, p Parcel) (Verdict, error) {
	var answer carrierAnswer
	status, err := httpapi.Post(ctx, h.client, h.base+"/parcels", p.Key,
		parcelRequest{p.OrderID, p.Items, p.To}, &answer, http.StatusUnprocessableEntity)
	refused := status == http.StatusUnprocessableEntity
	if err == nil && !refused && (event.Clip(answer.Carrier) == "" || event.Clip(answer.TrackingNumber) == "") {
		err = fmt.Errorf("the carrier's answer with status %d lacks the carrier's name or the tracking number: whether it booked is not known", status)
	}
	return Verdict{
		Refused: refused, Carrier: answer.Carrier, TrackingNumber: answer.TrackingNumber, Detail: answer.Detail,
	}, err
}
