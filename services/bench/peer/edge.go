package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
)

const (
	maxBody      = "1M"
	maxItems     = 100
	maxQuantity  = 1_000_000
	maxPrice     = 1_000_000_00 // cents
	stopPatience = 10 * time.Second
)

// request is the body of POST /v1/orders, as orderflow has it.
type request struct {
	CustomerID      string        `json:"customer_id"`
	Currency        string        `json:"currency"`
	Items           []requestItem `json:"items"`
	PaymentMethod   string        `json:"payment_method"`
	ShippingAddress address       `json:"shipping_address"`
}

type requestItem struct {
	ProductID string `json:"product_id"`
	Quantity  int64  `json:"quantity"`
	UnitPrice string `json:"unit_price"`
}

// edge is the HTTP edge of the order service.
type edge struct {
	place  func(context.Context, order) (string, error)
	server *http.Server
	ended  chan error
}

// serve starts the edge on a free port of this machine, and returns its address.
func (e *edge) serve() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	router := echo.New()
	router.Use(middleware.Recover(), middleware.BodyLimit(maxBody))
	router.POST("/v1/orders", e.post)
	e.server = &http.Server{Handler: router, ReadHeaderTimeout: stopPatience}
	e.ended = make(chan error, 1)
	go func() { e.ended <- e.server.Serve(listener) }()
	return "http://" + listener.Addr().String(), nil
}

// stop lets the requests in hand end.
func (e *edge) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopPatience)
	defer cancel()
	if err := e.server.Shutdown(ctx); err != nil {
		return fmt.Errorf("stop the HTTP edge: %w", err)
	}
	<-e.ended
	return nil
}

func (e *edge) post(c echo.Context) error {
	var r request
	decoder := json.NewDecoder(c.Request().Body)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&r); err != nil {
		return echo.NewHTTPError(http.StatusBadRequest, err.Error())
	}
	o, err := r.check()
	if err != nil {
		return echo.NewHTTPError(http.StatusUnprocessableEntity, err.Error())
	}
	id, err := e.place(c.Request().Context(), o)
	if err != nil {
		return err
	}
	o.OrderID, o.TotalAmount = id, o.total()
	c.Response().Header().Set(echo.HeaderLocation, "/v1/orders/"+id)
	return c.JSON(http.StatusCreated, o)
}

// check makes an order of a request, or says what is wrong with it.
func (r request) check() (order, error) {
	a := r.ShippingAddress
	for _, text := range []struct{ field, value string }{
		{"/customer_id", r.CustomerID}, {"/payment_method", r.PaymentMethod}, {"/shipping_address/name", a.Name},
		{"/shipping_address/line1", a.Line1}, {"/shipping_address/city", a.City}, {"/shipping_address/postal_code", a.PostalCode},
	} {
		if text.value == "" || len(text.value) > 200 {
			return order{}, fmt.Errorf("%s must have from 1 to 200 bytes", text.field)
		}
	}
	if !isUpper(r.Currency, 3) {
		return order{}, fmt.Errorf("/currency must be an ISO 4217 code, is %.20q", r.Currency)
	}
	if !isUpper(a.Country, 2) {
		return order{}, fmt.Errorf("/shipping_address/country must be an ISO 3166 code, is %.20q", a.Country)
	}
	if len(r.Items) == 0 || len(r.Items) > maxItems {
		return order{}, fmt.Errorf("/items must be from 1 to %d", maxItems)
	}
	o := order{CustomerID: r.CustomerID, Currency: r.Currency, PaymentMethod: r.PaymentMethod, ShippingAddress: a, Items: make([]item, len(r.Items))}
	for n, i := range r.Items {
		price, err := cents(i.UnitPrice)
		switch {
		case i.ProductID == "" || len(i.ProductID) > 200:
			return order{}, fmt.Errorf("/items/%d/product_id must have from 1 to 200 bytes", n)
		case i.Quantity < 1 || i.Quantity > maxQuantity:
			return order{}, fmt.Errorf("/items/%d/quantity must be from 1 to %d", n, maxQuantity)
		case err != nil:
			return order{}, fmt.Errorf("/items/%d/unit_price %w", n, err)
		}
		o.Items[n] = item{i.ProductID, i.Quantity, price}
	}
	return o, nil
}

func isUpper(code string, length int) bool {
	return len(code) == length && strings.Trim(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
}

var decimal = regexp.MustCompile(`^[0-9]{1,7}\.[0-9]{2}$`)

// cents reads a price such as "19.99".
func cents(text string) (int64, error) {
	if !decimal.MatchString(text) {
		return 0, fmt.Errorf("must be a price such as \"19.99\", is %.20q", text)
	}
	price, err := strconv.ParseInt(strings.Replace(text, ".", "", 1), 10, 64)
	if err == nil && price > maxPrice {
		err = fmt.Errorf("must not be more than %d.00", maxPrice/100)
	}
	return price, err
}

// client places orders by HTTP.
type client struct {
	url  string
	http *http.Client
}

// newClient keeps as many connections as there are requests at a time.
func newClient(base string, connections int) *client {
	return &client{base + "/v1/orders", &http.Client{Transport: &http.Transport{MaxIdleConns: connections, MaxIdleConnsPerHost: connections}}}
}

func (c *client) place(ctx context.Context, o order) (id string, err error) {
	r := request{o.CustomerID, o.Currency, make([]requestItem, len(o.Items)), o.PaymentMethod, o.ShippingAddress}
	for n, i := range o.Items {
		r.Items[n] = requestItem{i.ProductID, i.Quantity, fmt.Sprintf("%d.%02d", i.UnitPrice/100, i.UnitPrice%100)}
	}
	body, err := json.Marshal(r)
	if err != nil {
		return id, err
	}
	post, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return id, err
	}
	post.Header.Set(echo.HeaderContentType, echo.MIMEApplicationJSON)
	response, err := c.http.Do(post)
	if err != nil {
		return id, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return id, err
	}
	if response.StatusCode != http.StatusCreated {
		return id, fmt.Errorf("POST %s: %s: %.300s", c.url, response.Status, answer)
	}
	return path.Base(response.Header.Get(echo.HeaderLocation)), nil
}
