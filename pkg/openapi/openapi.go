package openapi

import (
	"fmt"
	"regexp"
	"strings"

	"orderflow/pkg/document"
	"orderflow/pkg/httpapi"
	"orderflow/pkg/schema"
)

// About is what a document says of the API as a whole.
type About struct {
	Info document.Fields
	Tags []Tag // the groups of operations, as they are shown
}

// Tag is a group of operations: those whose paths begin with one of Paths.
type Tag struct {
	Name, Description string
	Paths             []string
}

// Writer makes documents. Two describers know the types: that of answers leaves objects open, since there may be more in them one day, that of
// requests closes them, since what is not known there is refused.
type Writer struct {
	About    About
	Answers  *schema.Describer
	Requests *schema.Describer
	// Names are those of the types that are not named in the document as they are in Go: "order.view".
	Names map[string]string

	bodies document.Fields // of requests, by name
}

// Document describes routes.
func (w *Writer) Document(routes []httpapi.Route) (document.Fields, error) {
	w.Answers.Refer = w.refer
	w.bodies = nil
	paths := document.Fields{}
	for _, path := range pathsOf(routes) {
		item := document.Fields{}
		for _, r := range routes {
			if r.Path != path {
				continue
			}
			operation, err := w.operation(&r)
			if err != nil {
				return nil, fmt.Errorf("%s %s: %w", r.Method, r.Path, err)
			}
			item = item.With(strings.ToLower(r.Method), operation)
		}
		paths = append(paths, document.Field{Name: template(path), Value: item})
	}
	components, err := w.components()
	if err != nil {
		return nil, err
	}
	return document.Of(
		"openapi", "3.1.1", "info", w.About.Info, "servers", []document.Fields{document.Of("url", "/", "description", "Where this document was found.")},
		"tags", w.tags(), "paths", paths, "components", components,
	), nil
}

// pathsOf lists the paths of routes, each once, as they come.
func pathsOf(routes []httpapi.Route) (paths []string) {
	seen := map[string]bool{}
	for _, r := range routes {
		if !seen[r.Path] {
			paths = append(paths, r.Path)
		}
		seen[r.Path] = true
	}
	return paths
}

var variable = regexp.MustCompile(`:(\w+)`)

// template writes a path of echo as OpenAPI does.
func template(path string) string { return variable.ReplaceAllString(path, "{$1}") }

func (w *Writer) tags() (tags []document.Fields) {
	for _, t := range w.About.Tags {
		tags = append(tags, document.Of("name", t.Name, "description", t.Description))
	}
	return tags
}

func (w *Writer) tagOf(path string) (string, error) {
	for _, t := range w.About.Tags {
		for _, prefix := range t.Paths {
			if strings.HasPrefix(path, prefix) {
				return t.Name, nil
			}
		}
	}
	return "", fmt.Errorf("no tag has this path")
}

func (w *Writer) operation(r *httpapi.Route) (document.Fields, error) {
	tag, err := w.tagOf(r.Path)
	if err != nil {
		return nil, err
	}
	body, err := w.body(r)
	if err != nil {
		return nil, err
	}
	answers, err := w.answers(r)
	if err != nil {
		return nil, err
	}
	o := document.Of("operationId", r.Name, "tags", []string{tag}, "summary", r.Summary, "description", description(r))
	return append(append(o, document.Field{Name: "security", Value: security(r)}), document.Of(
		"parameters", params(r.Params), "requestBody", body, "responses", answers)...), nil
}

// description is the route's own, with what its callers must be allowed to.
func description(r *httpapi.Route) string {
	if r.Scope == httpapi.Public {
		return r.Description
	}
	return strings.TrimLeft(r.Description+"\n\nNeeds the scope `"+string(r.Scope)+"`, where callers are told apart.", "\n")
}

// security asks for a token where a scope is needed. Where callers are not told apart, nobody needs one; hence the empty alternative.
func security(r *httpapi.Route) []any {
	if r.Scope == httpapi.Public {
		return []any{}
	}
	return []any{map[string][]string{"bearer": {string(r.Scope)}}, map[string]any{}}
}

// params describes parameters; nil where there are none.
func params(all []httpapi.Param) any {
	if len(all) == 0 {
		return nil
	}
	described := make([]document.Fields, len(all))
	for i, p := range all {
		described[i] = document.Of("name", p.Name, "in", string(p.In), "description", p.Description, "required", p.Required, "schema", p.Schema)
	}
	return described
}

func headers(all []httpapi.Param) (described document.Fields) {
	for _, h := range all {
		described = described.With(h.Name, document.Of("description", h.Description, "required", h.Required, "schema", h.Schema))
	}
	return described
}
