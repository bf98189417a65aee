package main_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"orderflow/pkg/conformance"
)

// client speaks HTTP, mostly to the REST API.
type client struct {
	base  string
	http  *http.Client
	judge func(conformance.Exchange)
}

func newClient(t testing.TB, base string) *client {
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	t.Cleanup(transport.CloseIdleConnections)
	return &client{base: base, http: &http.Client{Transport: transport, Timeout: 30 * time.Second}, judge: func(conformance.Exchange) {}}
}

// newJudged is a client of the REST API: all that it sends and gets has to be as the document says.
func newJudged(t testing.TB, base string) *client {
	c := newClient(t, base)
	watch(t, c)
	return c
}

// answer is what the API said.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (a *answer) String() string { return fmt.Sprintf("%d %.600s", a.status, a.body) }

// send makes a request; headers are "Name: value". The body is sent as it is if it is a string, and as JSON otherwise.
func (c *client) send(ctx context.Context, method, path string, body any, headers ...string) (*answer, error) {
	var content []byte
	switch b := body.(type) {
	case nil:
	case string:
		content = []byte(b)
	default:
		text, err := json.Marshal(b)
		if err != nil {
			return nil, err
		}
		content = text
	}
	request, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(content))
	if err != nil {
		return nil, err
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		request.Header.Set(name, value)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	c.judge(conformance.Exchange{Request: request, RequestBody: content, Status: response.StatusCode, Header: response.Header, Body: text})
	return &answer{response.StatusCode, response.Header, text}, nil
}

// call is send for a test's own goroutine.
func (c *client) call(t testing.TB, method, path string, body any, headers ...string) *answer {
	t.Helper()
	a, err := c.send(t.Context(), method, path, body, headers...)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// read gets a resource as JSON.
func read[T any](ctx context.Context, c *client, path string) (v T, err error) {
	a, err := c.send(ctx, http.MethodGet, path, nil)
	if err != nil {
		return v, err
	}
	if a.status != http.StatusOK {
		return v, fmt.Errorf("GET %s: %s", path, a)
	}
	if err := json.Unmarshal(a.body, &v); err != nil {
		return v, fmt.Errorf("GET %s: %w: %s", path, err, a)
	}
	return v, nil
}

// get is read for a test's own goroutine.
func get[T any](t testing.TB, c *client, path string) T {
	t.Helper()
	v, err := read[T](t.Context(), c, path)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// unmarshal reads JSON that must be right.
func unmarshal[T any](t testing.TB, text []byte) (v T) {
	t.Helper()
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return v
}

// The shapes of the API, as far as the tests look at them.
type (
	order struct {
		OrderID      string `json:"order_id"`
		Status       string `json:"status"`
		CancelReason string `json:"cancel_reason"`
		CustomerID   string `json:"customer_id"`
		Currency     string `json:"currency"`
		TotalAmount  string `json:"total_amount"`
		Version      int64  `json:"version"`
	}
	payment struct {
		PaymentID        string `json:"payment_id"`
		Status           string `json:"status"`
		Amount           string `json:"amount"`
		RefundedAmount   string `json:"refunded_amount"`
		Currency         string `json:"currency"`
		GatewayReference string `json:"gateway_reference"`
	}
	shipment struct {
		ShipmentID     string `json:"shipment_id"`
		Status         string `json:"status"`
		Carrier        string `json:"carrier"`
		TrackingNumber string `json:"tracking_number"`
	}
	stock struct {
		ProductID string `json:"product_id"`
		OnHand    int64  `json:"on_hand"`
		Reserved  int64  `json:"reserved"`
		Shipped   int64  `json:"shipped"`
		Available int64  `json:"available"`
	}
	moment struct {
		ID     string    `json:"id"`
		Type   string    `json:"type"`
		Time   time.Time `json:"time"`
		SeenAt time.Time `json:"seen_at"`
	}
	item struct {
		ProductID string `json:"product_id"`
		Quantity  int64  `json:"quantity"`
		UnitPrice string `json:"unit_price"`
	}
	address struct {
		Name       string `json:"name"`
		Line1      string `json:"line1"`
		City       string `json:"city"`
		PostalCode string `json:"postal_code"`
		Country    string `json:"country"`
	}
	placement struct {
		CustomerID      string  `json:"customer_id"`
		Currency        string  `json:"currency"`
		Items           []item  `json:"items"`
		PaymentMethod   string  `json:"payment_method"`
		ShippingAddress address `json:"shipping_address"`
	}
	problem struct {
		Type   string `json:"type"`
		Title  string `json:"title"`
		Status int    `json:"status"`
		Detail string `json:"detail"`
		Errors []struct {
			Pointer   string `json:"pointer"`
			Parameter string `json:"parameter"`
			Detail    string `json:"detail"`
		} `json:"errors"`
	}
)

func (o order) ended() bool { return o.Status == "shipped" || o.Status == "cancelled" }
