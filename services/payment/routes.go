package payment

import (
	"github.com/jackc/pgx/v5/pgxpool"

	"orderflow/pkg/httpapi"
)

// paymentList is the answer with the payments of an order.
type paymentList struct {
	Payments []view `json:"payments"`
}

// Routes is the service's part of the REST API. Without a database it can be read, and not served.
func Routes(db *pgxpool.Pool) []httpapi.Route {
	return []httpapi.Route{
		httpapi.OfOrder("payments", "Payments", ofOrder(db), viewOf, func(all []view) paymentList { return paymentList{all} }),
	}
}
