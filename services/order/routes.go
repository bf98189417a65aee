package order

import (
	"log/slog"
	"net/http"

	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/singleflight"

	"orderflow/pkg/flow"
	"orderflow/pkg/httpapi"
)

// Routes is the service's part of the REST API. Orders are refused while maxOpen of the latest have not ended; 0 means never.
func Routes(db *pgxpool.Pool, runtime *flow.Service, metrics *Metrics, maxOpen int, log *slog.Logger) []httpapi.Route {
	runtime.Keep(answerDays)
	return api{
		making: new(singleflight.Group),
		db:     db, runtime: runtime, placing: flow.NewGroup(runtime, placeAll(metrics)),
		gate: &gate{db: db, limit: maxOpen, refused: metrics.refused, log: log},
	}.routes()
}

// Describe is Routes to be read, and not served.
func Describe() []httpapi.Route { return api{}.routes() }

func (a api) routes() []httpapi.Route {
	return []httpapi.Route{
		{Method: http.MethodPost, Path: "/v1/orders", Name: "placeOrder", Scope: httpapi.OrdersWrite, Handler: a.place},
		{Method: http.MethodGet, Path: "/v1/orders", Name: "listOrders", Scope: httpapi.OrdersRead, Handler: a.list},
		{Method: http.MethodGet, Path: "/v1/orders/:order_id", Name: "getOrder", Scope: httpapi.OrdersRead, Handler: a.get},
		{Method: http.MethodPost, Path: "/v1/orders/:order_id/cancel", Name: "cancelOrder", Scope: httpapi.OrdersWrite, Handler: a.cancel},
		{Method: http.MethodGet, Path: "/v1/orders/:order_id/events", Name: "getTimeline", Scope: httpapi.OrdersRead, Handler: a.events},
	}
}
