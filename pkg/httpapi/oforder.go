package httpapi

import (
	"context"
	"net/http"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"
)

// OfOrder is the route that tells what a service has of an order: GET /v1/NAME?order_id=, {NAME: […]}. Title is the name as a part of a longer
// one. read gets the customers that the caller serves, nil for all.
func OfOrder[Row, View any](name, title string, read func(context.Context, uuid.UUID, []string) ([]Row, error), view func(Row) View) Route {
	return Route{
		Method: http.MethodGet, Path: "/v1/" + name, Name: "list" + title, Scope: OrdersRead,
		Handler: func(c echo.Context) error {
			orderID, err := QueryID(c, "order_id")
			if err != nil {
				return err
			}
			rows, err := read(c.Request().Context(), orderID, CallerOf(c).Customers)
			if err != nil {
				return err
			}
			views := make([]View, len(rows))
			for i, row := range rows {
				views[i] = view(row)
			}
			return JSON(c, http.StatusOK, map[string][]View{name: views})
		},
	}
}
