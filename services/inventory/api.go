package inventory

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/labstack/echo/v4"

	"orderflow/pkg/event"
	"orderflow/pkg/httpapi"
	"orderflow/pkg/postgres"
)

// MaxOnHand is the most that there can be of a product. It keeps sums of stock within 64 bits.
const MaxOnHand = 1_000_000_000_000

const maxProductID = 200 // characters, as in an order

type api struct{ db *pgxpool.Pool }

// view is what of the stock is put aside for an order, as clients see it.
type view struct {
	ReservationID uuid.UUID    `json:"reservation_id"`
	OrderID       uuid.UUID    `json:"order_id"`
	Status        Status       `json:"status"` // rejected and voided ones have put nothing aside, released ones do no more
	Items         []event.Item `json:"items"`
	CreatedAt     time.Time    `json:"created_at"`
	UpdatedAt     time.Time    `json:"updated_at"`
}

func viewOf(r row) view {
	return view{
		ReservationID: r.ID, OrderID: r.OrderID, Status: r.Status, Items: r.Items,
		CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC(),
	}
}

// listStock answers GET /v1/stock, in the order of the products' ids.
func (a api) listStock(c echo.Context) error {
	limit, err := httpapi.QueryLimit(c)
	if err != nil {
		return err
	}
	after, err := readCursor(c.QueryParam("cursor"))
	if err != nil {
		return err
	}
	page, err := stockAfter(c.Request().Context(), a.db, after, limit+1)
	if err != nil {
		return err
	}
	next := ""
	if len(page) > limit {
		page = page[:limit]
		next = cursorAfter(page[limit-1].ProductID)
	}
	return httpapi.JSON(c, http.StatusOK, stockPage{page, next})
}

// cursorAfter is where the page begins that follows a product.
func cursorAfter(product string) string { return base64.RawURLEncoding.EncodeToString([]byte(product)) }

// readCursor returns the product that a cursor comes after; without a cursor, "".
func readCursor(cursor string) (string, error) {
	after, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil || cursorAfter(string(after)) != cursor || !utf8.Valid(after) || bytes.ContainsRune(after, 0) {
		return "", httpapi.InvalidCursor(cursor)
	}
	return string(after), nil
}

// getStock answers GET /v1/stock/{product_id}.
func (a api) getStock(c echo.Context) error {
	product, err := productID(c)
	if err != nil {
		return err
	}
	stock, err := stockOf(c.Request().Context(), a.db, product)
	if postgres.NoRows(err) {
		return httpapi.NewProblem(http.StatusNotFound, "there is no product %q", product)
	}
	if err != nil {
		return err
	}
	return httpapi.JSON(c, http.StatusOK, stock)
}

// putStock answers PUT /v1/stock/{product_id}.
func (a api) putStock(c echo.Context) error {
	product, err := productID(c)
	if err != nil {
		return err
	}
	onHand, err := readOnHand(c)
	if err != nil {
		return err
	}
	stock, err := setOnHand(c.Request().Context(), a.db, product, onHand)
	if postgres.NoRows(err) {
		return httpapi.NewProblem(http.StatusConflict, "more of product %q is reserved than %d", product, onHand)
	}
	if err != nil {
		return err
	}
	return httpapi.JSON(c, http.StatusOK, stock)
}

// readOnHand reads and checks a request to say how much there is of a product.
func readOnHand(c echo.Context) (int64, error) {
	var request putStock
	body, err := httpapi.Body(c)
	if err == nil {
		err = httpapi.Decode(body, &request)
	}
	if err != nil {
		return 0, err
	}
	if request.OnHand == nil || *request.OnHand < 0 || *request.OnHand > MaxOnHand {
		return 0, &event.FieldError{Pointer: "/on_hand", Detail: fmt.Sprintf("must be a whole number from 0 to %d", MaxOnHand)}
	}
	return *request.OnHand, nil
}

// productID reads the product from the path. What no order could name is not found.
func productID(c echo.Context) (string, error) {
	product, err := httpapi.PathText(c, "product_id")
	if err != nil || strings.TrimSpace(product) == "" || utf8.RuneCountInString(product) > maxProductID || strings.ContainsFunc(product, unicode.IsControl) {
		return "", httpapi.NewProblem(http.StatusNotFound, "%.100q cannot be the id of a product", c.Param("product_id"))
	}
	return product, nil
}
