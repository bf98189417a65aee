package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"
)

// client speaks with orderflow's REST API.
type client struct{ *connections }

func newClient(base string) (*client, error) {
	server, err := url.Parse(base)
	if err != nil {
		return nil, err
	}
	return &client{newConnections(server)}, nil
}

func (c *client) send(ctx context.Context, method, path string, body []byte) (*http.Response, []byte, error) {
	request, err := c.encode(method, path, body)
	if err != nil {
		return nil, nil, err
	}
	return c.exchange(ctx, request)
}

// request is an order that is ready to be sent.
type request struct {
	kind  Kind
	bytes []byte
}

// encodeOrders makes the requests for orders.
func (c *client) encodeOrders(orders []order) (requests []request, err error) {
	requests = make([]request, len(orders))
	for i, o := range orders {
		requests[i].kind = o.kind
		if requests[i].bytes, err = c.encode(http.MethodPost, "/v1/orders", o.body); err != nil {
			return nil, err
		}
	}
	return requests, nil
}

// place places an order. Its status is 0 where there was no answer; the error says what is wrong if it is not 201. A 503 may tell after
// which time to try again.
func (c *client) place(ctx context.Context, r request) (id uuid.UUID, status int, retry time.Duration, err error) {
	response, answer, err := c.exchange(ctx, r.bytes)
	if err != nil {
		return id, 0, 0, fmt.Errorf("POST /v1/orders: %w", err)
	}
	if response.StatusCode != http.StatusCreated {
		seconds, err := strconv.Atoi(response.Header.Get("Retry-After"))
		if err == nil && response.StatusCode == http.StatusServiceUnavailable {
			retry = time.Duration(seconds) * time.Second
		}
		return id, response.StatusCode, retry, fmt.Errorf("POST /v1/orders: %s: %.300s", response.Status, answer)
	}
	id, err = uuid.Parse(path.Base(response.Header.Get("Location")))
	if err != nil {
		return id, 0, 0, fmt.Errorf("POST /v1/orders: the Location %q names no order", response.Header.Get("Location"))
	}
	return id, response.StatusCode, 0, nil
}

// cancel calls an order off. That it has ended already is a right answer, too.
func (c *client) cancel(ctx context.Context, id uuid.UUID) (status int, err error) {
	response, answer, err := c.send(ctx, http.MethodPost, "/v1/orders/"+id.String()+"/cancel", nil)
	switch {
	case err != nil:
		return 0, fmt.Errorf("POST /v1/orders/%s/cancel: %w", id, err)
	case response.StatusCode != http.StatusAccepted && response.StatusCode != http.StatusConflict:
		err = fmt.Errorf("POST /v1/orders/%s/cancel: %s: %.300s", id, response.Status, answer)
	}
	return response.StatusCode, err
}

// atATime is how many products are put into stock at the same time.
const atATime = 8

// putStock sees to it that there is enough of every product that the orders name.
func (c *client) putStock(ctx context.Context) error {
	missing, err := c.missing(ctx)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atATime)
	for product := range missing {
		group.Go(func() error {
			response, answer, err := c.send(ctx, http.MethodPut, "/v1/stock/"+product, fmt.Appendf(nil, `{"on_hand": %d}`, inStock))
			switch {
			case err != nil:
				return fmt.Errorf("PUT /v1/stock/%s: %w", product, err)
			case response.StatusCode != http.StatusOK:
				return fmt.Errorf("PUT /v1/stock/%s: %s: %.300s", product, response.Status, answer)
			}
			return nil
		})
	}
	return group.Wait()
}

// missing lists the products of which there is not enough.
func (c *client) missing(ctx context.Context) (map[string]bool, error) {
	missing := map[string]bool{}
	for i := range products {
		missing[productID(i)] = true
	}
	for cursor := ""; ; {
		response, answer, err := c.send(ctx, http.MethodGet, "/v1/stock?limit=200&cursor="+url.QueryEscape(cursor), nil)
		if err != nil {
			return nil, fmt.Errorf("GET /v1/stock: %w", err)
		}
		var page struct {
			Stock []struct {
				ProductID string `json:"product_id"`
				Available int64
			}
			Next string `json:"next_cursor"`
		}
		if err := json.Unmarshal(answer, &page); err != nil || response.StatusCode != http.StatusOK {
			return nil, fmt.Errorf("GET /v1/stock: %s: %.300s", response.Status, answer)
		}
		for _, p := range page.Stock {
			if p.Available >= leastInStock {
				delete(missing, p.ProductID)
			}
		}
		if cursor = page.Next; cursor == "" {
			return missing, nil
		}
	}
}
