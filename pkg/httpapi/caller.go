package httpapi

import (
	"slices"

	"github.com/labstack/echo/v4"
)

// Caller is who sends a request: the owner of a key or of a token.
type Caller struct {
	Name      string   // unique among all callers; "" is nobody in particular, where no callers are told apart
	Scopes    []Scope  // what it may do
	Customers []string // whose orders it may see and place; nil means everybody's
}

// Anybody is the caller where none are told apart. It may do everything.
var Anybody = &Caller{Scopes: []Scope{OrdersRead, OrdersWrite, StockWrite, Ops}}

// May tells whether a caller is allowed to do something.
func (c *Caller) May(scope Scope) bool { return scope == Public || slices.Contains(c.Scopes, scope) }

// Serves tells whether a caller may see, and place, orders of a customer.
func (c *Caller) Serves(customer string) bool {
	return c.Customers == nil || slices.Contains(c.Customers, customer)
}

const (
	callerKey = "orderflow.caller"
	againKey  = "orderflow.caller.again"
)

// SetCaller notes who sent a request.
func SetCaller(c echo.Context, caller *Caller) { c.Set(callerKey, caller) }

// CallerOf tells who sent a request.
func CallerOf(c echo.Context) *Caller {
	if caller, known := c.Get(callerKey).(*Caller); known {
		return caller
	}
	return Anybody
}

// SetAgain notes how to find out later who it is that sent a request; nil is somebody who is not let in any more.
func SetAgain(c echo.Context, again func() *Caller) { c.Set(againKey, again) }

// Unchanged tells whether who sent a request may still do what it could then. A handler that lasts asks before it tells more: keys are revoked, tokens
// expire.
func Unchanged(c echo.Context) bool {
	again, known := c.Get(againKey).(func() *Caller)
	if !known {
		return true
	}
	was, is := CallerOf(c), again()
	return is != nil && was.Name == is.Name && slices.Equal(was.Scopes, is.Scopes) && slices.Equal(was.Customers, is.Customers)
}
