package bench

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"orderflow/pkg/client"
)

// buyer places orders, by requests that are ready before; all else it does as any Go program would. It asks for nothing twice: what is
// refused is to be counted.
type buyer struct {
	*connections
	api *client.Client
}

func newBuyer(base, key string) (*buyer, error) {
	api, err := client.New(base, client.WithToken(key), client.WithUserAgent("orderflow-bench"), client.WithAttempts(1), client.WithTimeout(answerLimit))
	if err != nil {
		return nil, err
	}
	server, err := url.Parse(base)
	if err != nil {
		return nil, err
	}
	return &buyer{newConnections(server, key), api}, nil
}

func (b *buyer) close() {
	b.connections.close()
	b.api.Close()
}

// request is an order that is ready to be sent.
type request struct {
	kind  Kind
	bytes []byte
}

// encodeOrders makes the requests for orders.
func (b *buyer) encodeOrders(orders []order) (requests []request, err error) {
	requests = make([]request, len(orders))
	for i, o := range orders {
		requests[i].kind = o.kind
		if requests[i].bytes, err = b.encode(http.MethodPost, "/v1/orders", o.body); err != nil {
			return nil, err
		}
	}
	return requests, nil
}

// place places an order. Its status is 0 where there was no answer; the error says what is wrong if it is not 201. A 503 may tell after
// which time to try again.
func (b *buyer) place(ctx context.Context, r request) (id uuid.UUID, status int, retry time.Duration, err error) {
	response, answer, err := b.exchange(ctx, r.bytes)
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
func (b *buyer) cancel(ctx context.Context, id uuid.UUID) (status int, err error) {
	_, err = b.api.CancelOrder(ctx, id)
	switch status = client.StatusOf(err); {
	case err == nil:
		return http.StatusAccepted, nil
	case status == http.StatusConflict:
		return status, nil
	}
	return status, err
}

// atATime is how many products are put into stock at the same time.
const atATime = 8

// putStock sees to it that there is enough of every product that the orders name.
func (b *buyer) putStock(ctx context.Context) error {
	missing, err := b.missing(ctx)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atATime)
	for product := range missing {
		group.Go(func() error {
			_, err := b.api.PutStock(ctx, product, inStock)
			return err
		})
	}
	return group.Wait()
}

// missing lists the products of which there is not enough.
func (b *buyer) missing(ctx context.Context) (map[string]bool, error) {
	missing := map[string]bool{}
	for i := range products {
		missing[productID(i)] = true
	}
	for stock, err := range b.api.Stock(ctx) {
		if err != nil {
			return nil, err
		}
		if stock.Available >= leastInStock {
			delete(missing, stock.ProductID)
		}
	}
	return missing, nil
}
