package access

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"orderflow/pkg/httpapi"
)

// refusal is why a token is not good. It is shown to the client: it has no quotation marks, which have no place in the header.
type refusal struct{ why string }

func (r *refusal) Error() string { return r.why }

func refuse(why string) error { return &refusal{why} }

// errIssuerAway is why a token cannot be judged.
var errIssuerAway = errors.New("the keys of the issuer cannot be fetched")

// Guard lets through who may do what a route asks for. It is a [httpapi.Guard].
func (a *Access) Guard(scope httpapi.Scope, next echo.HandlerFunc) echo.HandlerFunc {
	if scope == httpapi.Public {
		return next
	}
	return func(c echo.Context) error {
		if err := a.admit(c, scope, time.Now()); err != nil {
			return err
		}
		return next(c)
	}
}

// admit finds out who calls, and refuses who may not.
func (a *Access) admit(c echo.Context, scope httpapi.Scope, now time.Time) error {
	token, err := bearer(c.Request().Header)
	if err == nil && token == "" {
		return a.noCredentials(c)
	}
	var who *caller
	if err == nil {
		who, err = a.identify(c.Request().Context(), token, now)
	}
	if errors.Is(err, errIssuerAway) {
		a.count(httpapi.RefusedIssuerAway)
		return httpapi.Unavailable(err.Error())
	}
	if err != nil {
		return a.invalidToken(c, err)
	}
	httpapi.SetCaller(c, &who.Caller)
	httpapi.SetAgain(c, func() *httpapi.Caller { return a.again(c.Request().Context(), token) })
	if who.limit != nil {
		if after := who.limit.take(c.Response().Header(), now); after > 0 {
			return a.tooMany(who, after)
		}
	}
	if !who.May(scope) {
		return a.noScope(c, who, scope)
	}
	return nil
}

// again finds out whose a token is that was good before; nil is nobody.
func (a *Access) again(ctx context.Context, token string) *httpapi.Caller {
	who, err := a.identify(ctx, token, time.Now())
	if err != nil {
		return nil
	}
	return &who.Caller
}

func (a *Access) count(reason string) { a.cfg.Refusals.WithLabelValues(reason).Inc() }

// The challenges are those of RFC 6750, section 3. Who brings nothing is told no error.

func (a *Access) noCredentials(c echo.Context) error {
	a.count(httpapi.RefusedNoCredentials)
	challenge(c, "")
	return httpapi.NewProblem(http.StatusUnauthorized, "who calls is not known: send the header Authorization: Bearer, with an API key or a token; the operator of orderflow makes keys by orderflow key new")
}

func (a *Access) invalidToken(c echo.Context, err error) error {
	a.count(httpapi.RefusedInvalidToken)
	challenge(c, fmt.Sprintf(`, error="invalid_token", error_description="%s"`, err))
	return httpapi.NewProblem(http.StatusUnauthorized, "what was sent as Authorization is not good: %s; send another API key or token", err)
}

func (a *Access) noScope(c echo.Context, who *caller, scope httpapi.Scope) error {
	a.count(httpapi.RefusedScope)
	challenge(c, fmt.Sprintf(`, error="insufficient_scope", error_description="the scope %s is needed", scope="%[1]s"`, scope))
	return httpapi.NewProblem(http.StatusForbidden, "this needs the scope %s, and %s has %v; the operator of orderflow gives scopes to keys, the issuer to tokens", scope, who.Name, who.Scopes)
}

func challenge(c echo.Context, more string) {
	c.Response().Header().Set(echo.HeaderWWWAuthenticate, `Bearer realm="orderflow"`+more)
}

func (a *Access) tooMany(who *caller, after int) error {
	a.count(httpapi.RefusedRate)
	p := httpapi.NewProblem(http.StatusTooManyRequests, "%s may send %g requests a second; the request may be repeated in %d s", who.Name, who.limit.rate.PerSecond, after)
	p.RetryAfter = after
	return p
}
