package httpapi

import (
	"context"
	"fmt"
	"net/http"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"
)

// OfOrder is the route that tells what a service has of an order: GET /v1/NAME?order_id=, {NAME: […]}. Title is the name as a part of a longer
// one. read gets the customers that the caller serves, nil for all; list makes an answer of views.
func OfOrder[Row, View, List any](
	name, title string, read func(context.Context, uuid.UUID, []string) ([]Row, error), view func(Row) View, list func([]View) List,
) Route {
	var none List
	return Route{
		Method: http.MethodGet, Path: "/v1/" + name, Name: "list" + title, Scope: OrdersRead,
		Summary:     fmt.Sprintf("The %s of an order", name),
		Description: fmt.Sprintf("There are none until the order has come that far; then there is one. An order that nobody placed has no %s, either.", name),
		Params:      []Param{{In: InQuery, Name: "order_id", Description: "The id of the order.", Required: true, Schema: UUID()}},
		Answers:     []Answer{{Status: http.StatusOK, Description: fmt.Sprintf("The %s of the order.", name), Content: JSONOf(none)}},
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
			return JSON(c, http.StatusOK, list(views))
		},
	}
}
