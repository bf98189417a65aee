package shipping

import (
	"github.com/jackc/pgx/v5/pgxpool"

	"orderflow/pkg/httpapi"
)

// shipmentList is the answer with the shipments of an order.
type shipmentList struct {
	Shipments []view `json:"shipments"`
}

// Routes is the service's part of the REST API. Without a database it can be read, and not served.
func Routes(db *pgxpool.Pool) []httpapi.Route {
	return []httpapi.Route{
		httpapi.OfOrder("shipments", "Shipments", ofOrder(db), viewOf, func(all []view) shipmentList { return shipmentList{all} }),
	}
}
