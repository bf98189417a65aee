package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"
)

// answerLimit is how long an answer may take.
const answerLimit = 30 * time.Second

// client speaks HTTP with orderflow.
type client struct {
	base   string
	header http.Header // of every request; shared, since nobody writes it
	http   *http.Client
}

// newClient keeps as many connections as there are requests at a time.
func newClient(base string, connections int) *client {
	return &client{
		base:   base,
		header: http.Header{"Content-Type": {"application/json"}},
		http: &http.Client{Transport: &http.Transport{
			MaxIdleConns: connections, MaxIdleConnsPerHost: connections, ResponseHeaderTimeout: answerLimit, DisableCompression: true,
		}},
	}
}

func (c *client) close() { c.http.CloseIdleConnections() }

// send makes a request. The answer's body is read to its end; what is kept of it is its beginning.
func (c *client) send(ctx context.Context, method, path string, body []byte) (response *http.Response, answer []byte, err error) {
	request, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	request.Header = c.header
	if response, err = c.http.Do(request); err != nil {
		return nil, nil, err
	}
	defer response.Body.Close()
	answer, err = io.ReadAll(response.Body)
	return response, answer, err
}

// place places an order. Its status is 0 where there was no answer; the error says what is wrong if it is not 201.
func (c *client) place(ctx context.Context, o order) (id uuid.UUID, status int, retry time.Duration, err error) {
	response, answer, err := c.send(ctx, http.MethodPost, "/v1/orders", o.body)
	if err != nil {
		return id, 0, 0, err
	}
	if response.StatusCode != http.StatusCreated {
		if seconds, err := strconv.Atoi(response.Header.Get("Retry-After")); err == nil {
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
		return 0, err
	case response.StatusCode != http.StatusAccepted && response.StatusCode != http.StatusConflict:
		err = fmt.Errorf("POST /v1/orders/%s/cancel: %s: %.300s", id, response.Status, answer)
	}
	return response.StatusCode, err
}

// stocked sees to it that there is enough of every product that the orders name.
func (c *client) stocked(ctx context.Context) error {
	missing := map[string]bool{}
	for i := range products {
		missing[productID(i)] = true
	}
	for cursor := ""; ; {
		response, answer, err := c.send(ctx, http.MethodGet, "/v1/stock?limit=100&cursor="+url.QueryEscape(cursor), nil)
		if err != nil {
			return fmt.Errorf("read the stock: %w", err)
		}
		var page struct {
			Stock []struct {
				ProductID string `json:"product_id"`
				Available int64
			}
			Next string `json:"next_cursor"`
		}
		if err := json.Unmarshal(answer, &page); err != nil || response.StatusCode != http.StatusOK {
			return fmt.Errorf("GET /v1/stock: %s: %.300s", response.Status, answer)
		}
		for _, p := range page.Stock {
			if p.Available >= leastInStock {
				delete(missing, p.ProductID)
			}
		}
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(8)
	for product := range missing {
		group.Go(func() error {
			response, answer, err := c.send(ctx, http.MethodPut, "/v1/stock/"+product, fmt.Appendf(nil, `{"on_hand": %d}`, inStock))
			if err == nil && response.StatusCode != http.StatusOK {
				err = fmt.Errorf("PUT /v1/stock/%s: %s: %.300s", product, response.Status, answer)
			}
			return err
		})
	}
	return group.Wait()
}
