package shipping

import (
	"github.com/jackc/pgx/v5/pgxpool"

	"orderflow/pkg/httpapi"
)

// Routes is the service's part of the REST API. Without a database it can be read, and not served.
func Routes(db *pgxpool.Pool) []httpapi.Route {
	return []httpapi.Route{
		httpapi.OfOrder("shipments", "Shipments", ofOrder(db), viewOf),
	}
}
