package order

import (
	"log/slog"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/labstack/echo/v4"

	"orderflow/pkg/event"
	"orderflow/pkg/flow"
)

// Name is the service's name; Schema its schema in the database and its folder of migrations. They differ because ORDER is a
// reserved word of SQL.
const (
	Name   = "order"
	Schema = "orders"
)

// Subscribe makes the service's subscriptions on a runtime.
func Subscribe(runtime *flow.Service, metrics *Metrics) {
	runtime.Subscribe(subscriptions(reactions{metrics})...)
}

// Subscriptions tells which queues the service has, without the means to work on them.
func Subscriptions() []flow.Subscription { return subscriptions(reactions{}) }

func subscriptions(r reactions) []flow.Subscription {
	return []flow.Subscription{{
		Queue: "order.progress",
		Events: []event.Type{
			event.TypePaymentProcessed, event.TypePaymentFailed, event.TypePaymentRefunded, event.TypePaymentVoided,
			event.TypeInventoryReserved, event.TypeInventoryRejected, event.TypeInventoryReleased,
			event.TypeShipmentCreated, event.TypeShipmentFailed, event.TypeShipmentCancelled, event.TypeCancellationRejected,
		},
		Handler: flow.React(r.progress),
	}}
}

// Routes adds the service's routes. Orders are refused while maxOpen of the latest have not ended; 0 means never.
func Routes(e *echo.Echo, db *pgxpool.Pool, runtime *flow.Service, metrics *Metrics, maxOpen int, log *slog.Logger) {
	a := api{
		db: db, runtime: runtime, placing: flow.NewGroup(runtime, placeAll(metrics)),
		gate: &gate{db: db, limit: maxOpen, refused: metrics.refused, log: log},
	}
	e.POST("/v1/orders", a.place)
	e.GET("/v1/orders", a.list)
	e.GET("/v1/orders/:order_id", a.get)
	e.POST("/v1/orders/:order_id/cancel", a.cancel)
	e.GET("/v1/orders/:order_id/events", a.events)
}
