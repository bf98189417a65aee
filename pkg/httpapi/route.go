package httpapi

import (
	"net/http"

	"github.com/google/jsonschema-go/jsonschema"
	"github.com/labstack/echo/v4"
)

// Route is one operation of the REST API: what it does, and what the document says of it. There is no other way to add one, so that none can
// be without its description.
type Route struct {
	Method, Path string // the path as echo has it: /v1/orders/:order_id
	Name         string // what client developers call it: placeOrder
	Summary      string
	Description  string // for those who need more than the summary; CommonMark
	Scope        Scope  // what the caller must be allowed to
	Params       []Param
	Body         any // a value of the type that the JSON body is read into; nil where there is none
	Answers      []Answer
	Problems     []int // statuses that the operation itself answers with as problem details; those of every route are added
	Handler      echo.HandlerFunc
}

// Param is a parameter of a request, or a header of an answer.
type Param struct {
	In          In
	Name        string
	Description string
	Required    bool
	Schema      *jsonschema.Schema
}

// In is where a parameter stands.
type In string

// A header of an answer needs no word on where it stands.
const (
	InPath   In = "path"
	InQuery  In = "query"
	InHeader In = "header"
)

// Answer is what an operation answers with if all is well.
type Answer struct {
	Status      int
	Description string
	Headers     []Param
	Content     []Content
}

// Content is a form of an answer's body.
type Content struct {
	Type string // media type
	Of   any    // a value of the type that is written as JSON; nil where the body is no JSON
}

// Scope names what a caller may be allowed to do.
type Scope string

// The scopes there are. Public is for everybody.
const (
	Public      Scope = ""
	OrdersRead  Scope = "orders:read"
	OrdersWrite Scope = "orders:write"
	StockWrite  Scope = "stock:write"
	Ops         Scope = "ops"
)

// Add adds routes to a server, each behind the guard. Who asks for the head of something gets what GET would say of it.
func Add(e *echo.Echo, guard Guard, routes []Route) {
	for _, r := range routes {
		handler := r.checked()
		e.Add(r.Method, r.Path, guard(r.Scope, handler))
		if r.Method == http.MethodGet {
			e.Add(http.MethodHead, r.Path, guard(r.Scope, atOnce(handler)))
		}
	}
}

// atOnce answers without what would take time: nobody waits for the head of a stream.
func atOnce(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		c.Request().Header.Del(echo.HeaderAccept)
		c.Request().Header.Del("Prefer")
		return next(c)
	}
}

// JSONOf is the content of an answer in JSON.
func JSONOf(v any) []Content { return []Content{{Type: echo.MIMEApplicationJSON, Of: v}} }
