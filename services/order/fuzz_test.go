package order

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/dunglas/httpsfv"
	"github.com/go-json-experiment/json"
	"github.com/labstack/echo/v4"

	"orderflow/pkg/event"
	"orderflow/pkg/httpapi"
)

const goodOrder = `{"customer_id":"customer-1","currency":"EUR","payment_method":"pm_ok",
	"items":[{"product_id":"demo-1","quantity":2,"unit_price":"19.99"}],
	"shipping_address":{"name":"Ada","line1":"12 St James Square","line2":"","city":"London","region":"","postal_code":"SW1Y","country":"GB"}}`

// request is one with a JSON body.
func request(body []byte) echo.Context {
	r := httptest.NewRequest(http.MethodPost, "/v1/orders", bytes.NewReader(body))
	r.Header.Set(echo.HeaderContentType, echo.MIMEApplicationJSON)
	return echo.New().NewContext(r, httptest.NewRecorder())
}

// A body is refused, with an error that names the field, or it is an order whose event every consumer will take, and that is the
// same order however it was written.
func FuzzPlace(f *testing.F) {
	f.Add([]byte(goodOrder))
	for _, change := range [][2]string{
		{`"EUR"`, `"JPY"`}, {`"19.99"`, `"92233720368547758.07"`}, {`"19.99"`, "19.99"}, {`"quantity":2`, `"quantity":1e0`}, {`"Ada"`, `"\u0000"`},
		{`"Ada"`, "null"}, {`"items":[`, `"items":[null,`}, {`"region"`, `"Region"`}, {`"region":""`, `"line2":""`}, {`"GB"}}`, `"GB"}`},
		{`"customer_id"`, `"order_id"`}, {`"19.99"`, `"0.00"`}, {`,"unit_price":"19.99"`, ""},
	} {
		f.Add([]byte(strings.Replace(goodOrder, change[0], change[1], 1)))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		terms, said, err := readTerms(request(body))
		if err != nil {
			wantRefusal(t, err)
			return
		}
		o, placed := Place(terms, now)
		encoded, err := event.Orders.Encode(event.New(Name, now, o.OrderID.String(), placed))
		if err != nil {
			t.Fatalf("accepted, and not to be sent: %v", err)
		}
		if _, err := event.Orders.Decode(encoded); err != nil {
			t.Fatalf("accepted, and refused by its consumers: %v", err)
		}
		if _, err := json.Marshal(viewOf(o)); err != nil {
			t.Errorf("accepted, and not to be shown: %v", err)
		}
		first := canonical(t, said)
		if _, again, err := readTerms(request(first)); err != nil || !bytes.Equal(canonical(t, again), first) {
			t.Errorf("%s is written as %s, and read from that as %+v, %v", body, first, again, err)
		}
	})
}

func canonical(t *testing.T, r *placeRequest) []byte {
	t.Helper()
	text, err := r.canonical()
	if err != nil {
		t.Fatalf("%+v: %v", r, err)
	}
	return text
}

// wantRefusal checks that an error says to the client which field is wrong, and how.
func wantRefusal(t *testing.T, err error) {
	t.Helper()
	var field *event.FieldError
	var problem *httpapi.Problem
	switch {
	case errors.As(err, &field) && strings.HasPrefix(field.Pointer, "/") && field.Detail != "":
	case errors.As(err, &problem) && problem.Status/100 == 4 && len(problem.Errors) > 0 && problem.Errors[0].Detail != "":
	default:
		t.Errorf("names no field: %v", err)
	}
	if len(err.Error()) > 2000 {
		t.Errorf("%d bytes of error: %.200v", len(err.Error()), err)
	}
}

// A cursor leads to where it came from, and everything else is refused.
func FuzzCursor(f *testing.F) {
	f.Add(cursorAfter(terms.OrderID))
	for _, s := range []string{"", "AAAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAAAB", "AA", "=", "\n", "%00", strings.Repeat("?", 5000)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, cursor string) {
		id, err := readCursor(cursor)
		switch {
		case err != nil:
			wantRefusal(t, err)
		case cursor != "" && cursorAfter(id) != cursor:
			t.Errorf("%q is read as %s, whose cursor is %q", cursor, id, cursorAfter(id))
		}
	})
}

// An Idempotency-Key is something that Postgres can store, and the same in quotation marks, or refused.
func FuzzIdempotencyKey(f *testing.F) {
	for _, key := range []string{
		"", "key-1", "\x00", "\xff", strings.Repeat("é", maxKey), strings.Repeat("é", maxKey+1), `"`, `""`, `"key-1"`, `"key`, `"a\"b\\c"`, `"é"`, `"a" ;b=1`,
		`"a", "b"`, "a, b", `a"b`, "1.5", "?1", ":YQ==:",
	} {
		f.Add(key)
	}
	f.Fuzz(func(t *testing.T, line string) {
		key, err := parseKey([]string{line})
		fine := utf8.ValidString(line) && !strings.ContainsRune(line, 0) && utf8.RuneCountInString(line) <= maxKey && line != ""
		if quoted := strings.Contains(line, `"`); !quoted && (err == nil) != fine || !quoted && err == nil && key != line {
			t.Errorf("%q is read as %q, %v", line, key, err)
		}
		var problem *httpapi.Problem
		if err != nil && (!errors.As(err, &problem) || problem.Status != http.StatusBadRequest || len(problem.Detail) > 200) {
			t.Errorf("refused with %v", err)
		}
		if err != nil {
			return
		}
		if key == "" || !utf8.ValidString(key) || strings.ContainsRune(key, 0) || utf8.RuneCountInString(key) > maxKey {
			t.Errorf("%q is read as %q, which cannot be stored", line, key)
		}
		quoted, err := httpsfv.Marshal(httpsfv.NewItem(key))
		if err != nil {
			return // not ASCII, so it cannot be quoted
		}
		if again, err := parseKey([]string{quoted}); err != nil || again != key {
			t.Errorf("%q is read as %q, and %q as %q, %v", line, key, quoted, again, err)
		}
	})
}
