package httpapi

import (
	"net"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"
)

// ThisMachine is the guard where whoever is on this machine may do everything, and nobody else. That is not so of the pages of others that a
// browser on this machine shows: they may neither send what changes something, nor read by way of a name of their own for this address.
func ThisMachine(scope Scope, next echo.HandlerFunc) echo.HandlerFunc {
	if scope == Public {
		return next
	}
	protection := http.NewCrossOriginProtection()
	return func(c echo.Context) error {
		if host := c.Request().Host; !namesThisMachine(host) {
			return NewProblem(http.StatusForbidden, "callers are not told apart, so only this machine is answered, by 127.0.0.1 or localhost, and not by %.100q; "+
				"ACCESS_KEYS_FILE, OIDC_ISSUER or OPEN_TO_ANYBODY changes that", host)
		}
		if err := protection.Check(c.Request()); err != nil {
			return NewProblem(http.StatusForbidden, "callers are not told apart, so pages of other origins may change nothing")
		}
		return next(c)
	}
}

// namesThisMachine tells whether a Host header is an address or localhost: names that somebody else gives can lead here, too.
func namesThisMachine(host string) bool {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = host
	}
	name = strings.Trim(name, "[]")
	return strings.EqualFold(name, "localhost") || net.ParseIP(name) != nil
}
