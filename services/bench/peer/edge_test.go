package main

import (
	"context"
	"errors"
	"net/http"
	"reflect"
	"strings"
	"testing"
)

// serve starts an edge that keeps what was placed.
func serve(t *testing.T, place func(context.Context, order) (string, error)) string {
	t.Helper()
	e := &edge{place: place}
	address, err := e.serve()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.stop(); err != nil {
			t.Error(err)
		}
	})
	return address
}

func TestEdgeTakesWhatTheClientSends(t *testing.T) {
	id := newID()
	var got order
	c := newClient(serve(t, func(_ context.Context, o order) (string, error) { got = o; return id, nil }), 1)
	defer c.http.CloseIdleConnections()
	want := newOrder()
	placed, err := c.place(t.Context(), want)
	if err != nil || placed != id || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v became %+v, %v", want, got, err)
	}
}

func TestEdgeRefuses(t *testing.T) {
	address := serve(t, func(context.Context, order) (string, error) { return "", errors.New("not to be placed") })
	const good = `{"customer_id":"c","currency":"EUR","payment_method":"pm_ok","items":[{"product_id":"p","quantity":1,"unit_price":"1.00"}],
		"shipping_address":{"name":"n","line1":"l","city":"c","postal_code":"p","country":"GB"}}`
	for _, c := range []struct {
		old, new string
		status   int
	}{
		{`"c","cur`, `"","cur`, 422}, {`EUR`, `EURO`, 422}, {`EUR`, `eur`, 422}, {`"quantity":1`, `"quantity":0`, 422}, {`1.00`, `1`, 422}, {`1.00`, `-1.00`, 422},
		{`1.00`, `9999999.99`, 422}, {`"GB"`, `"G"`, 422}, {`"p","quan`, `"","quan`, 422}, {`"quantity"`, `"amount"`, 400}, {`{`, `[`, 400}, {`x`, `x`, 500},
	} {
		response, err := http.Post(address+"/v1/orders", "application/json", strings.NewReader(strings.Replace(good, c.old, c.new, 1)))
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != c.status {
			t.Errorf("%s instead of %s: status %d, want %d", c.new, c.old, response.StatusCode, c.status)
		}
	}
}
