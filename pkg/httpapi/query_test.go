package httpapi

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/labstack/echo/v4"
)

// A query is checked against what the route says of itself, and HEAD answered as GET is.
func TestAdd(t *testing.T) {
	e := echo.New()
	e.HTTPErrorHandler = handleError(slog.New(slog.DiscardHandler))
	answer := func(c echo.Context) error {
		if c.Request().Header.Get("Accept") == "text/event-stream" {
			return errors.New("a stream without an end")
		}
		return c.String(http.StatusOK, "here")
	}
	Add(e, Open, []Route{
		{Method: http.MethodGet, Path: "/v1/things", Params: []Param{PageLimit, PageCursor, {In: InQuery, Name: "id", Required: true, Schema: UUID()}}, Handler: answer},
		{Method: http.MethodPost, Path: "/v1/things", Params: []Param{PreferWait}, Handler: answer},
		{Method: http.MethodGet, Path: "/healthz", Handler: answer},
	})
	for _, c := range []struct {
		method, path string
		status       int
	}{
		{"GET", "/v1/things?id=1", 200}, {"GET", "/v1/things?id=1&limit=2&cursor=", 200}, {"GET", "/v1/things", 400}, {"GET", "/v1/things?limit=2", 400},
		{"GET", "/v1/things?id=", 400}, {"GET", "/v1/things?id=1&id=1", 400}, {"GET", "/v1/things?id=1&ID=1", 400}, {"GET", "/v1/things?id=1&=", 400},
		{"GET", "/v1/things?id=1;limit=2", 400}, {"GET", "/v1/things?id=%", 400}, {"GET", "/v1/things?id=1&%ff", 400},
		{"POST", "/v1/things", 200}, {"POST", "/v1/things?Prefer=wait", 400}, {"GET", "/healthz?now=1", 200},
		{"HEAD", "/v1/things?id=1", 200}, {"HEAD", "/v1/things", 400}, {"HEAD", "/healthz", 200}, {"PUT", "/v1/things", 405}, {"OPTIONS", "/v1/things", 204},
	} {
		r, w := httptest.NewRequest(c.method, c.path, nil), httptest.NewRecorder()
		if c.method == http.MethodHead {
			r.Header.Set("Accept", "text/event-stream")
		}
		e.ServeHTTP(w, r)
		if body, _ := io.ReadAll(w.Body); w.Code != c.status {
			t.Errorf("%s %s: %d %s, want %d", c.method, c.path, w.Code, body, c.status)
		}
	}
}
