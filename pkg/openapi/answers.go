package openapi

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/google/jsonschema-go/jsonschema"

	"orderflow/pkg/document"
	"orderflow/pkg/httpapi"
)

// said is what statuses mean that are answered with problem details.
var said = map[int]struct{ name, description string }{
	http.StatusBadRequest:            {"BadRequest", "The request is not what this document says: a parameter that is unknown, missing or given twice, or a body of another form; `errors` says where. It is plain text if the header was malformed."},
	http.StatusUnauthorized:          {"Unauthorized", "Callers are told apart here, and the request has no API key or token, or one that is not good."},
	http.StatusForbidden:             {"Forbidden", "The caller is known, and not allowed to do this; or callers are not told apart, and the request comes from a page of another origin."},
	http.StatusNotFound:              {"NotFound", "There is no such thing, or none that the caller may know of. A service that runs by itself answers so on the routes of the others."},
	http.StatusConflict:              {"Conflict", "It cannot be done as things are now."},
	http.StatusRequestEntityTooLarge: {"TooLarge", "The body is larger than 1 MiB."},
	http.StatusUnsupportedMediaType:  {"UnsupportedMediaType", "The body has another type than `application/json`."},
	http.StatusUnprocessableEntity:   {"Unprocessable", "The request is well-formed, and says something that cannot be. `errors` says where."},
	http.StatusTooManyRequests:       {"TooManyRequests", "The caller sends more requests than it may; `Retry-After` says when to go on."},
	http.StatusInternalServerError:   {"ServerError", "An error of the server, which has logged it."},
	http.StatusServiceUnavailable:    {"Unavailable", "There is too much to do, or something is away that will be there again. The request may be repeated after `Retry-After`."},
}

// These are answered before anything knows what is asked for, and so without problem details. A malformed header is a bad request, too; where no
// other one is to be had, it is described alone.
const (
	tooMuchHeader   = "HeaderTooLarge"
	malformedHeader = "HeaderMalformed"
)

// problemsOf lists the problems of a route: its own, those of the query, and those that come before the handler where not everybody may call.
func problemsOf(r *httpapi.Route) []int {
	all := slices.Clone(r.Problems)
	if r.Scope != httpapi.Public {
		all = append(all, http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests,
			http.StatusInternalServerError, http.StatusServiceUnavailable)
	}
	if strings.HasPrefix(r.Path, "/v1/") {
		all = append(all, http.StatusNotFound)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// answers describes all that a route may answer, by status.
func (w *Writer) answers(r *httpapi.Route) (document.Fields, error) {
	described := document.Fields{}
	for _, a := range r.Answers {
		content, err := w.content(a.Content)
		if err != nil {
			return nil, err
		}
		sent := headers(a.Headers)
		if r.Scope != httpapi.Public {
			sent = append(sent, rateLimits()...)
		}
		described = described.With(strconv.Itoa(a.Status), document.Of("description", a.Description, "headers", sent, "content", content))
	}
	for _, status := range problemsOf(r) {
		problem, known := said[status]
		if !known {
			return nil, fmt.Errorf("nothing is said of problems of status %d", status)
		}
		described = described.With(strconv.Itoa(status), reference("#/components/responses/"+problem.name))
	}
	if !slices.Contains(problemsOf(r), http.StatusBadRequest) {
		described = described.With(strconv.Itoa(http.StatusBadRequest), reference("#/components/responses/"+malformedHeader))
	}
	described = described.With(strconv.Itoa(http.StatusRequestHeaderFieldsTooLarge), reference("#/components/responses/"+tooMuchHeader))
	slices.SortStableFunc(described, func(a, b document.Field) int { return slices.Compare([]byte(a.Name), []byte(b.Name)) })
	return described, nil
}

// problemResponses describes problems for all routes.
func problemResponses(problem *jsonschema.Schema) (all document.Fields) {
	for status := range 600 {
		if p, known := said[status]; known {
			content := document.Of(httpapi.ProblemType, document.Of("schema", problem))
			if status == http.StatusBadRequest {
				content = append(content, plain()...)
			}
			all = all.With(p.name, document.Of("description", p.description, "headers", problemHeaders(status), "content", content))
		}
	}
	return all.With(malformedHeader, document.Of("description", "The header is malformed.", "content", plain())).
		With(tooMuchHeader, document.Of("description", "The header, with the path and the query, is larger than 64 KiB.", "content", plain()))
}

// plain is text for people.
func plain() document.Fields {
	return document.Of("text/plain", document.Of("schema", &jsonschema.Schema{Type: "string"}))
}

func problemHeaders(status int) (all document.Fields) {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		all = all.With("WWW-Authenticate", reference("#/components/headers/WWW-Authenticate"))
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		all = all.With("Retry-After", reference("#/components/headers/Retry-After"))
	}
	return append(all, rateLimits()...)
}

// rateLimits refers to the headers that every answer has where there are limits.
func rateLimits() document.Fields {
	return document.Of("RateLimit", reference("#/components/headers/RateLimit"), "RateLimit-Policy", reference("#/components/headers/RateLimit-Policy"))
}

// sharedHeaders describes the headers that are referred to.
func sharedHeaders() document.Fields {
	text, number := &jsonschema.Schema{Type: "string"}, &jsonschema.Schema{Type: "integer", Minimum: new(1.0)}
	return headers([]httpapi.Param{
		{Name: "RateLimit", Schema: text, Description: "What is left to the caller, and for how long: `\"default\";r=49;t=1`. Only where requests are limited."},
		{Name: "RateLimit-Policy", Schema: text, Description: "The limit: `\"default\";q=100;w=1`. Only where requests are limited."},
		{Name: "Retry-After", Schema: number, Description: "In so many seconds the request may be repeated."},
		{Name: "WWW-Authenticate", Schema: text, Description: "What is asked for, and what is wrong with what was sent (RFC 6750)."},
	})
}
