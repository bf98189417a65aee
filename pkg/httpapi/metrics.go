package httpapi

import (
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
)

// lingersKey is where a request says that it waits on purpose, so that how long it took tells nothing.
const lingersKey = "orderflow.lingers"

// Of what a client can make up, a path or a method, there is one series at most.
const (
	noRoute     = "none"
	otherMethod = "other"
)

var methods = []string{
	http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions,
}

// countRequests counts requests by their routes, and measures those that do not wait on purpose.
func countRequests(registry prometheus.Registerer) echo.MiddlewareFunc {
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "orderflow_http_requests_total", Help: "HTTP requests that were answered, by route and status code.",
	}, []string{"route", "method", "code"})
	seconds := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "orderflow_http_request_seconds", Help: "How long HTTP requests took, without those that wait for an order to end, or for events.",
		Buckets: prometheus.ExponentialBuckets(0.001, 2, 15),
	}, []string{"route"})
	registry.MustRegister(requests, seconds)
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			began := time.Now()
			if err := next(c); err != nil {
				c.Error(err) // here, so that the status is known
			}
			route, method := c.Path(), c.Request().Method
			if route == "" {
				route = noRoute
			}
			if !slices.Contains(methods, method) {
				method = otherMethod
			}
			requests.WithLabelValues(route, method, strconv.Itoa(c.Response().Status)).Inc()
			if c.Get(lingersKey) == nil {
				seconds.WithLabelValues(route).Observe(time.Since(began).Seconds())
			}
			return nil
		}
	}
}
