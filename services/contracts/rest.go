package main

import (
	"reflect"
	"slices"
	"time"

	"github.com/google/jsonschema-go/jsonschema"
	"github.com/google/uuid"

	"orderflow/pkg/document"
	"orderflow/pkg/event"
	"orderflow/pkg/httpapi"
	"orderflow/pkg/openapi"
	"orderflow/pkg/schema"
	"orderflow/services/documents"
	"orderflow/services/inventory"
	"orderflow/services/order"
	"orderflow/services/payment"
	"orderflow/services/shipping"
)

// about is what the document says of the API as a whole.
var about = openapi.About{
	Info: document.Of(
		"title", "orderflow", "version", "1.0.0",
		"summary", "Place, follow and cancel orders.",
		"description", `An order is placed in one request, and then goes its way by itself: it is paid, its stock is reserved, its parcel is booked. It always ends, as
`+"`shipped` or as `cancelled`"+`, with nothing half-done left behind.

Amounts are decimal strings such as `+"`\"39.98\"`"+`, with as many decimals as their currency has. Times are RFC 3339, in UTC. Answers may get further fields,
which clients ignore; requests with fields or parameters that are not described here are refused.

Errors are problem details (RFC 9457): `+"`detail`"+` says to people what was wrong, `+"`errors`"+` where. HEAD is answered wherever GET is; an unknown path is 404,
an unknown method 405, both with problem details.`,
	),
	Tags: []openapi.Tag{
		{Name: "orders", Paths: []string{"/v1/orders"}, Description: "What customers want, and how far it is."},
		{Name: "services", Paths: []string{"/v1/payments", "/v1/reservations", "/v1/shipments"}, Description: "What each service has of an order."},
		{Name: "stock", Paths: []string{"/v1/stock"}, Description: "What there is to be sold."},
		{Name: "operations", Paths: []string{"/healthz", "/readyz", "/metrics"}, Description: "For those who run it."},
		{Name: "documents", Paths: []string{"/openapi.yaml", "/asyncapi.yaml", "/docs"}, Description: "The contracts, for programs and for people."},
	},
}

// restNames are the types that the document calls otherwise than Go.
var restNames = map[string]string{
	"order.view": "Order", "payment.view": "Payment", "inventory.view": "Reservation", "shipping.view": "Shipment",
	"order.placeRequest": "PlaceOrder", "order.timelineView": "Timeline", "order.momentView": "TimelineEvent", "order.detail": "TimelineDetail",
	"httpapi.FieldError": "ProblemField",
}

// restDocuments are those of the REST API.
func restDocuments(root string) (map[string][]byte, error) {
	w := openapi.Writer{About: about, Answers: describer(root, nil), Requests: describer(root, strict), Names: restNames}
	described, err := w.Document(restRoutes())
	if err != nil {
		return nil, err
	}
	text, err := document.YAML(described)
	return map[string][]byte{"services/documents/openapi.yaml": text}, err
}

// restRoutes are all routes of the API.
func restRoutes() []httpapi.Route {
	return slices.Concat(order.Describe(), payment.Routes(nil), inventory.Routes(nil), shipping.Routes(nil), httpapi.Operations(), documents.Routes())
}

// amount is how amounts are written.
var amount = jsonschema.Schema{
	Type: "string", Pattern: `^(0|[1-9][0-9]{0,18})(\.[0-9]{1,9})?$`, MaxLength: new(20), Examples: []any{"39.98"},
	Description: "A decimal number with as many decimals as the currency has; without the point it fits into 63 bits.",
}

// describer knows the types that reflection does not see through.
func describer(root string, field func(reflect.Type, string, bool, *jsonschema.Schema)) *schema.Describer {
	d := schema.New("orderflow", root)
	d.Known[reflect.TypeFor[event.Amount]()] = &amount
	d.Known[reflect.TypeFor[uuid.UUID]()] = httpapi.UUID()
	d.Known[reflect.TypeFor[time.Time]()] = &jsonschema.Schema{Type: "string", Format: "date-time"}
	d.Field = field
	return d
}

// strict narrows the fields of requests to what is accepted.
func strict(_ reflect.Type, name string, required bool, s *jsonschema.Schema) {
	switch {
	case name == "currency":
		s.Pattern, s.Examples = "^[A-Z]{3}$", []any{"EUR"}
	case name == "items":
		s.MinItems, s.MaxItems = new(1), new(event.MaxItems)
	case name == "quantity":
		s.Minimum, s.Maximum = new(1.0), new(float64(event.MaxQuantity))
	case name == "on_hand":
		s.Minimum, s.Maximum = new(0.0), new(float64(inventory.MaxOnHand))
	case s.Type == "string" && s.Pattern == "":
		text := httpapi.Text(maxText)
		s.MaxLength, s.Pattern = text.MaxLength, text.Pattern
		if required {
			s.MinLength = text.MinLength
		}
	}
}

// maxText is the longest text in an order, in characters.
const maxText = 200
