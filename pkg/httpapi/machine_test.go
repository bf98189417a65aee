package httpapi

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/labstack/echo/v4"
)

func TestThisMachine(t *testing.T) {
	e := echo.New()
	e.HTTPErrorHandler = handleError(nil)
	done := func(c echo.Context) error { return c.NoContent(http.StatusNoContent) }
	Add(e, ThisMachine, []Route{
		{Method: http.MethodGet, Path: "/v1/things", Scope: OrdersRead, Handler: done},
		{Method: http.MethodPost, Path: "/v1/things", Scope: OrdersWrite, Handler: done},
		{Method: http.MethodGet, Path: "/healthz", Handler: done},
	})
	for _, c := range []struct {
		method, path, host, origin, site string
		status                           int
	}{
		{"GET", "/v1/things", "127.0.0.1:8080", "", "", 204},
		{"GET", "/v1/things", "[::1]:8080", "", "", 204},
		{"GET", "/v1/things", "LocalHost", "", "", 204},
		{"GET", "/v1/things", "10.0.0.7:8080", "", "", 204}, // an address is nobody's name
		{"GET", "/v1/things", "rebound.example:8080", "", "", 403},
		{"GET", "/v1/things", "localhost.example", "", "", 403},
		{"GET", "/v1/things", "", "", "", 403},
		{"GET", "/healthz", "anything", "", "", 204},
		{"POST", "/v1/things", "127.0.0.1:8080", "", "", 204},
		{"POST", "/v1/things", "127.0.0.1:8080", "http://127.0.0.1:8080", "same-origin", 204},
		{"POST", "/v1/things", "127.0.0.1:8080", "https://page.example", "cross-site", 403},
		{"POST", "/v1/things", "127.0.0.1:8080", "https://page.example", "", 403},
	} {
		request := httptest.NewRequestWithContext(t.Context(), c.method, c.path, nil)
		request.Host = c.host
		for name, value := range map[string]string{"Origin": c.origin, "Sec-Fetch-Site": c.site} {
			if value != "" {
				request.Header.Set(name, value)
			}
		}
		answer := httptest.NewRecorder()
		e.ServeHTTP(answer, request)
		if answer.Code != c.status {
			t.Errorf("%+v: %d %s", c, answer.Code, answer.Body)
		}
	}
}
