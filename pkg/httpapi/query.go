package httpapi

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"
)

// versioned is what the paths begin with whose queries are checked. Others are asked by programs that nobody can teach: a probe that adds the
// time, so that no cache answers.
const versioned = "/v1/"

// checked is the route's handler behind a check of the query, against the parameters that the route says it has. A misspelt filter would
// otherwise be no filter, and the answer everything.
func (r *Route) checked() echo.HandlerFunc {
	next := r.Handler
	if !strings.HasPrefix(r.Path, versioned) {
		return next
	}
	known, required := r.query()
	return func(c echo.Context) error {
		if query := c.Request().URL.RawQuery; query != "" || required {
			if err := checkQuery(query, known); err != nil {
				return err
			}
		}
		return next(c)
	}
}

// query returns the parameters of the query by their names, and whether there is one that must be given.
func (r *Route) query() (known map[string]Param, required bool) {
	known = map[string]Param{}
	for _, p := range r.Params {
		if p.In == InQuery {
			known[p.Name] = p
			required = required || p.Required
		}
	}
	return known, required
}

// checkQuery refuses a query with a parameter that is not known, or given twice, or without a value, and one that lacks what is required.
func checkQuery(query string, known map[string]Param) error {
	given, err := url.ParseQuery(query)
	if err != nil {
		return NewProblem(http.StatusBadRequest, "the query is malformed: %.200s", strings.ToValidUTF8(err.Error(), "�"))
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		p, ok := known[name]
		switch values := given[name]; {
		case !ok:
			return invalidParameter(clipped(name), "is not a parameter of this operation, which has %s", listed(known))
		case len(values) > 1:
			return invalidParameter(name, "is given %d times", len(values))
		case values[0] == "" && !p.mayBeEmpty():
			return invalidParameter(name, "has no value; leave it out, if none is meant")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(known)) {
		if known[name].Required && !given.Has(name) {
			return invalidParameter(name, "is required")
		}
	}
	return nil
}

// mayBeEmpty tells whether no text at all is a value of a parameter.
func (p *Param) mayBeEmpty() bool {
	s := p.Schema
	return s.Type == "string" && s.Enum == nil && s.Format == "" && s.MinLength == nil
}

// clipped is the name of a parameter that somebody made up, as it can be sent back.
func clipped(name string) string {
	runes := []rune(strings.ToValidUTF8(name, "�"))
	return string(runes[:min(len(runes), 100)])
}

func listed(known map[string]Param) string {
	if len(known) == 0 {
		return "none"
	}
	return strings.Join(slices.Sorted(maps.Keys(known)), ", ")
}
