package inventory

import (
	"net/http"

	"github.com/jackc/pgx/v5/pgxpool"

	"orderflow/pkg/httpapi"
)

// reservationList is the answer with the reservations of an order.
type reservationList struct {
	Reservations []view `json:"reservations"`
}

// stockPage is one page of the stock.
type stockPage struct {
	Stock      []Stock `json:"stock"`
	NextCursor string  `json:"next_cursor,omitempty"` // where the next page begins; there is none on the last one
}

// putStock is what is said of a product's stock.
type putStock struct {
	OnHand *int64 `json:"on_hand"` // how much there is of it, with what is reserved
}

// Routes is the service's part of the REST API. Without a database it can be read, and not served.
func Routes(db *pgxpool.Pool) []httpapi.Route {
	a := api{db}
	return []httpapi.Route{
		httpapi.OfOrder("reservations", "Reservations", ofOrder(db), viewOf, func(all []view) reservationList { return reservationList{all} }),
		{
			Method: http.MethodGet, Path: "/v1/stock", Name: "listStock", Scope: httpapi.OrdersRead, Handler: a.listStock,
			Summary:     "The stock of all products",
			Description: "Sorted by the products' ids, a page at a time.",
			Params:      []httpapi.Param{httpapi.PageLimit, httpapi.PageCursor},
			Answers:     []httpapi.Answer{{Status: http.StatusOK, Description: "A page of the stock.", Content: httpapi.JSONOf(stockPage{})}},
		},
		{
			Method: http.MethodGet, Path: "/v1/stock/:product_id", Name: "getStock", Scope: httpapi.OrdersRead, Handler: a.getStock,
			Summary:  "The stock of a product",
			Params:   []httpapi.Param{productInPath()},
			Answers:  []httpapi.Answer{{Status: http.StatusOK, Description: "What there is of the product.", Content: httpapi.JSONOf(Stock{})}},
			Problems: []int{http.StatusNotFound},
		},
		{
			Method: http.MethodPut, Path: "/v1/stock/:product_id", Name: "putStock", Scope: httpapi.StockWrite, Handler: a.putStock,
			Summary: "Say how much there is of a product",
			Description: "The product need not have been known before. What is reserved for orders cannot be taken away from them: less than that is refused " +
				"with 409. To repeat the request changes nothing.",
			Params:  []httpapi.Param{productInPath()},
			Body:    putStock{},
			Answers: []httpapi.Answer{{Status: http.StatusOK, Description: "What there is of the product now.", Content: httpapi.JSONOf(Stock{})}},
			Problems: []int{
				http.StatusNotFound, http.StatusConflict, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity,
			},
		},
	}
}

func productInPath() httpapi.Param {
	return httpapi.Param{
		In: httpapi.InPath, Name: "product_id", Required: true, Schema: httpapi.Text(maxProductID),
		Description: "The id of the product, as in an order: any text, percent-encoded as paths are.",
	}
}
