package httpapi

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"testing"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"
	"github.com/labstack/echo/v4"
)

// The parameters of a query are what they should be, or refused with an error that names the parameter and can be sent.
func FuzzQuery(f *testing.F) {
	for _, s := range []string{"limit=1", "limit=200", "limit=201", "limit=0", "limit=-1", "limit=+5", "limit=1e2", "limit=%31", "limit=", "status=placed",
		"status=gone", "customer_id=%00", "customer_id=%ff", "customer_id=a&customer_id=b", "order_id=01890000-0000-7000-8000-000000000001",
		"order_id={01890000-0000-7000-8000-000000000001}", "order_id=x", ";", "%", "limit=99999999999999999999"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, query string) {
		r := &http.Request{Method: http.MethodGet, URL: &url.URL{Path: "/", RawQuery: query}, Header: http.Header{}}
		c := echo.New().NewContext(r, httptest.NewRecorder())
		if n, err := QueryLimit(c); err != nil {
			wantParameter(t, err, "limit")
		} else if given := c.QueryParam("limit"); n < 1 || n > maxLimit || given == "" && n != defaultLimit || given != "" && n != number(given) {
			t.Errorf("%q is a limit of %d", given, n)
		}
		if s, err := QueryOneOf(c, "status", "placed", "paid"); err != nil {
			wantParameter(t, err, "status")
		} else if s != "" && s != "placed" && s != "paid" {
			t.Errorf("%q is a status", s)
		}
		if s, err := QueryText(c, "customer_id", 200); err != nil {
			wantParameter(t, err, "customer_id")
		} else if !utf8.ValidString(s) || s != c.QueryParam("customer_id") {
			t.Errorf("%q is read as %q", c.QueryParam("customer_id"), s)
		}
		if id, err := QueryID(c, "order_id"); err != nil {
			wantParameter(t, err, "order_id")
		} else if given, err := uuid.Parse(c.QueryParam("order_id")); err != nil || given != id {
			t.Errorf("%q is read as %s", c.QueryParam("order_id"), id)
		}
	})
}

func number(s string) int {
	n, _ := strconv.Atoi(s)
	return n
}

// wantParameter checks that an error names a parameter, and that it can be sent to the client, and is not as long as the request.
func wantParameter(t *testing.T, err error, name string) {
	t.Helper()
	var p *Problem
	if !errors.As(err, &p) || p.Status != http.StatusBadRequest || len(p.Errors) != 1 || p.Errors[0].Parameter != name {
		t.Fatalf("%s: refused with %v", name, err)
	}
	body, err := json.Marshal(p)
	if err != nil || len(body) > 4000 {
		t.Errorf("%s: a problem of %d bytes, %v: %.200s", name, len(body), err, body)
	}
}
