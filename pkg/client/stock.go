package client

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Stock is how much there is of a product.
type Stock struct {
	ProductID string    `json:"product_id"`
	OnHand    int64     `json:"on_hand"`
	Reserved  int64     `json:"reserved"` // of what is on hand
	Shipped   int64     `json:"shipped"`  // since ever
	Available int64     `json:"available"`
	UpdatedAt time.Time `json:"updated_at"`
}

// stockPageSize is the largest that the server gives: the rows are small.
const stockPageSize = 200

// Stock goes through all products, in the order of their ids. After an error there are no more.
func (c *Client) Stock(ctx context.Context) iter.Seq2[Stock, error] {
	return walk("", func(cursor string) ([]Stock, string, error) {
		page, err := get[stockPage](ctx, c, "/v1/stock"+query(stockPageSize, cursor))
		if err != nil {
			return nil, "", err
		}
		return page.Stock, page.NextCursor, nil
	})
}

type stockPage struct {
	Stock      []Stock `json:"stock"`
	NextCursor string  `json:"next_cursor"`
}

// StockOf reads how much there is of a product.
func (c *Client) StockOf(ctx context.Context, productID string) (*Stock, error) {
	return get[Stock](ctx, c, stockPath(productID))
}

// PutStock says how much of a product is on hand, reserved or not. Less than is reserved is a [*Problem] with status 409.
func (c *Client) PutStock(ctx context.Context, productID string, onHand int64) (*Stock, error) {
	r, stock := newRequest(http.MethodPut, stockPath(productID)), new(Stock)
	r.body = fmt.Appendf(nil, `{"on_hand":%d}`, onHand)
	if _, err := c.call(ctx, r, stock); err != nil {
		return nil, err
	}
	return stock, nil
}

// stockPath names a product. Two of the names would be taken for a way up in a path, so their dots are escaped, too.
func stockPath(productID string) string {
	name := url.PathEscape(productID)
	if name == "." || name == ".." {
		name = strings.ReplaceAll(name, ".", "%2E")
	}
	return "/v1/stock/" + name
}
