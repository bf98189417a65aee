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

const callerKey = "orderflow.caller"

// SetCaller notes who sent a request.
func SetCaller(c echo.Context, caller *Caller) { c.Set(callerKey, caller) }

// CallerOf tells who sent a request.
func CallerOf(c echo.Context) *Caller {
	if caller, known := c.Get(callerKey).(*Caller); known {
		return caller
	}
	return Anybody
}
