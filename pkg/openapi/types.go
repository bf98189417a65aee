package openapi

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/google/jsonschema-go/jsonschema"
	"github.com/labstack/echo/v4"

	"orderflow/pkg/document"
	"orderflow/pkg/httpapi"
	"orderflow/pkg/schema"
)

const schemas = "#/components/schemas/"

// refer names types of answers by their names in Go, with a capital letter.
func (w *Writer) refer(t reflect.Type) (name, ref string) {
	if t.Name() == "" {
		return "", ""
	}
	name = w.nameOf(t)
	return name, schemas + name
}

func (w *Writer) nameOf(t reflect.Type) string {
	if name := w.Names[t.String()]; name != "" {
		return name
	}
	return strings.ToUpper(t.Name()[:1]) + t.Name()[1:]
}

// body describes what a route reads; nil where that is nothing.
func (w *Writer) body(r *httpapi.Route) (document.Fields, error) {
	if r.Body == nil {
		return nil, nil
	}
	t := reflect.TypeOf(r.Body)
	s, err := w.Requests.Of(t)
	if err != nil {
		return nil, err
	}
	name := w.nameOf(t)
	w.bodies = w.bodies.With(name, schema.Closed(s))
	return document.Of("required", true, "content", document.Of(echo.MIMEApplicationJSON, document.Of("schema", reference(schemas+name)))), nil
}

// content describes the forms of an answer; nil where it has no body.
func (w *Writer) content(all []httpapi.Content) (described document.Fields, err error) {
	for _, c := range all {
		s := &jsonschema.Schema{Type: "string"}
		if c.Of != nil {
			if s, err = w.Answers.Of(reflect.TypeOf(c.Of)); err != nil {
				return nil, err
			}
		}
		described = described.With(c.Type, document.Of("schema", s))
	}
	return described, nil
}

// components are what operations refer to. The types of answers come sorted, behind those of requests.
func (w *Writer) components() (document.Fields, error) {
	problem, err := w.Answers.Of(reflect.TypeFor[httpapi.Problem]())
	if err != nil {
		return nil, err
	}
	types := slices.Clone(w.bodies)
	for _, name := range slices.Sorted(maps.Keys(w.Answers.Defs)) {
		if slices.ContainsFunc(types, func(f document.Field) bool { return f.Name == name }) {
			return nil, fmt.Errorf("both a request and an answer are called %s", name)
		}
		types = types.With(name, w.Answers.Defs[name])
	}
	return document.Of(
		"securitySchemes", document.Of("bearer", bearer()), "schemas", types, "responses", problemResponses(problem), "headers", sharedHeaders(),
	), nil
}

func bearer() document.Fields {
	return document.Of("type", "http", "scheme", "bearer", "description",
		"An API key, or a JWT of the OpenID Connect issuer that the operator trusts. Where neither is configured, callers are not told apart.")
}

func reference(to string) document.Fields { return document.Of("$ref", to) }
