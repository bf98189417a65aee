package httpapi

import (
	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
)

// Guard stands before a handler: by the scope that its route asks for, it decides which requests get through, and notes who sent them.
type Guard func(Scope, echo.HandlerFunc) echo.HandlerFunc

// Open is the guard where no callers are told apart: everybody gets through.
func Open(_ Scope, next echo.HandlerFunc) echo.HandlerFunc { return next }

// The reasons why requests are refused before a handler sees them.
const (
	RefusedNoCredentials = "no_credentials"
	RefusedInvalidToken  = "invalid_token"
	RefusedScope         = "insufficient_scope"
	RefusedRate          = "rate_limited"
	RefusedIssuerAway    = "issuer_away"
	RefusedBusy          = "busy"
)

// NewRefusals registers the counter of requests that were refused before a handler saw them. Callers are not told apart in it: there may be
// any number of them.
func NewRefusals(registry *prometheus.Registry) *prometheus.CounterVec {
	refusals := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "orderflow_requests_refused_total", Help: "Requests that were refused before they were looked at, by reason.",
	}, []string{"reason"})
	for _, reason := range []string{
		RefusedNoCredentials, RefusedInvalidToken, RefusedScope, RefusedRate, RefusedIssuerAway, RefusedBusy,
	} {
		refusals.WithLabelValues(reason) // so that it is there before the first one
	}
	registry.MustRegister(refusals)
	return refusals
}
