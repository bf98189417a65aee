package inventory

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"orderflow/pkg/event"
	"orderflow/pkg/httpapi"
)

var onHand = regexp.MustCompile(`^\s*\{\s*"on_hand"\s*:\s*(0|[1-9][0-9]*)\s*\}\s*$`)

// A body says a quantity that is not negative and adds up, or is refused with an error that names the field.
func FuzzOnHand(f *testing.F) {
	for _, body := range []string{`{"on_hand":0}`, `{"on_hand": 1000000000000}`, `{"on_hand":1000000000001}`, `{"on_hand":-1}`, `{"on_hand":-0}`,
		`{"on_hand":1e3}`, `{"on_hand":1.0}`, `{"on_hand":null}`, `{"on_hand":"1"}`, `{"on_hand":1,"on_hand":2}`, `{"on_hand":1,"put_in":2}`,
		`{"ON_HAND":1}`, `{}`, `[]`, `7`, ``, `{"on_hand":99999999999999999999}`} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		r := httptest.NewRequest(http.MethodPut, "/v1/stock/demo-1", bytes.NewReader(body))
		r.Header.Set(echo.HeaderContentType, echo.MIMEApplicationJSON)
		n, err := readOnHand(echo.New().NewContext(r, httptest.NewRecorder()))
		if err != nil {
			wantRefusal(t, err)
		} else if n < 0 || n > MaxOnHand {
			t.Errorf("%s is taken as %d", body, n)
		}
		if said := onHand.FindSubmatch(body); said != nil {
			want, tooLarge := strconv.ParseInt(string(said[1]), 10, 64)
			if fine := tooLarge == nil && want <= MaxOnHand; fine != (err == nil) || fine && n != want {
				t.Errorf("%s is read as %d, %v", body, n, err)
			}
		}
	})
}

// wantRefusal checks that an error says to the client which field or parameter is wrong, and how.
func wantRefusal(t *testing.T, err error) {
	t.Helper()
	var field *event.FieldError
	var problem *httpapi.Problem
	switch {
	case errors.As(err, &field) && strings.HasPrefix(field.Pointer, "/") && field.Detail != "":
	case errors.As(err, &problem) && problem.Status/100 == 4 && len(problem.Errors) == 1 && problem.Errors[0].Detail != "":
	default:
		t.Errorf("names no field: %v", err)
	}
	if len(err.Error()) > 2000 {
		t.Errorf("%d bytes of error: %.200v", len(err.Error()), err)
	}
}

// A cursor leads to where it came from, and everything else is refused.
func FuzzCursor(f *testing.F) {
	for _, s := range []string{"", cursorAfter("demo-1"), cursorAfter("\x00"), cursorAfter("\xff"), "=", "\n", "ZGVtbw", "ZGVtbx", strings.Repeat("?", 5000)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, cursor string) {
		after, err := readCursor(cursor)
		switch {
		case err != nil:
			wantRefusal(t, err)
		case cursorAfter(after) != cursor || !utf8.ValidString(after) || strings.ContainsRune(after, 0):
			t.Errorf("%q is read as %q, whose cursor is %q", cursor, after, cursorAfter(after))
		}
	})
}

// Every product that an order can name has its place among the routes, and what no order can name has none.
func FuzzProductID(f *testing.F) {
	for _, id := range []string{"demo-1", "a/b", "a%2Fb", "%", "é", " ", "\x00", "\xff", "..", "?", "a+b", strings.Repeat("x", maxProductID+1)} {
		f.Add(id)
	}
	f.Fuzz(func(t *testing.T, id string) {
		router, got, refused := echo.New(), "", error(nil)
		router.GET("/v1/stock/:product_id", func(c echo.Context) error {
			got, refused = productID(c)
			return nil
		})
		address := "/v1/stock/" + url.PathEscape(id)
		parsed, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.URL, r.RequestURI = parsed, address
		w := httptest.NewRecorder()
		router.ServeHTTP(w, r)
		o := event.Order{CustomerID: "c", Currency: "EUR", PaymentMethod: "p", Items: []event.Item{{ProductID: id, Quantity: 1,
			UnitPrice: event.MinorAmount(1, "EUR")}}, ShippingAddress: event.Address{Name: "n", Line1: "l", City: "c", PostalCode: "p", Country: "c"}}
		orderable := o.ValidateTerms() == nil && utf8.ValidString(id)
		switch found := w.Code == http.StatusOK && refused == nil; {
		case found != orderable:
			t.Errorf("%q: an order can name it: %v; its stock has an address: %v, %v", id, orderable, w.Code, refused)
		case found && got != id:
			t.Errorf("%q is read as %q", id, got)
		}
	})
}
