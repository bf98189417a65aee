package inventory

import (
	"net/http"

	"github.com/jackc/pgx/v5/pgxpool"

	"orderflow/pkg/httpapi"
)

// Routes is the service's part of the REST API. Without a database it can be read, and not served.
func Routes(db *pgxpool.Pool) []httpapi.Route {
	a := api{db}
	return []httpapi.Route{
		httpapi.OfOrder("reservations", "Reservations", ofOrder(db), viewOf),
		{Method: http.MethodGet, Path: "/v1/stock", Name: "listStock", Scope: httpapi.OrdersRead, Handler: a.listStock},
		{Method: http.MethodGet, Path: "/v1/stock/:product_id", Name: "getStock", Scope: httpapi.OrdersRead, Handler: a.getStock},
		{Method: http.MethodPut, Path: "/v1/stock/:product_id", Name: "putStock", Scope: httpapi.StockWrite, Handler: a.putStock},
	}
}
