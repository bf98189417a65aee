package main

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// operation is one that the document has.
type operation struct {
	method, path string
	*openapi3.Operation
}

func operationsOf(doc *openapi3.T) (all []operation) {
	for _, path := range slices.Sorted(maps.Keys(doc.Paths.Map())) {
		of := doc.Paths.Value(path).Operations()
		for _, method := range slices.Sorted(maps.Keys(of)) {
			o := operation{method, path, of[method]}
			all = append(all, o)
			for range len(o.Parameters) + len(o.Responses.Map())/4 { // what takes more can go wrong in more ways
				all = append(all, o)
			}
		}
	}
	return all
}

// request makes a request of an operation, and its body.
func (f *fuzzer) request(ctx context.Context, d dice, o operation) (*http.Request, []byte, error) {
	wrong := d.of(40)
	path, query, header := o.path, url.Values{}, http.Header{}
	for _, p := range o.Parameters {
		v := spelled(f.value(d, p.Value.Name, p.Value.Schema.Value))
		if wrong && d.of(25) {
			v = spelled(odd(d))
		}
		switch {
		case p.Value.In == "path":
			path = strings.Replace(path, "{"+p.Value.Name+"}", escaped(v), 1)
		case !p.Value.Required && d.of(60), wrong && d.of(10):
		case p.Value.In == "query":
			query.Add(p.Value.Name, v)
		case p.Value.In == "header":
			header.Set(p.Value.Name, printable(v))
		}
	}
	if wrong && d.of(10) {
		query.Add(pick(d, []string{"limit", "order_id", "x", "", "é"}), spelled(odd(d)))
	}
	body := f.body(d, o, header, wrong)
	f.credentials(d, header)
	header.Set("Accept", pick(d, []string{"*/*", "*/*", "application/json", "text/event-stream", "text/html", "a", "application/openmetrics-text", "text/event-stream;q=0.5, application/json"}))
	target := f.base + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	if wrong && d.of(3) {
		target += pick(d, []string{"?%", "?;", "?limit=%zz", "?%ff=%fe"})
	}
	request, err := http.NewRequestWithContext(ctx, o.method, target, bytes.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	request.Header = header
	return request, body, nil
}

// body makes the body of an operation that has one; one in a while of one that has none.
func (f *fuzzer) body(d dice, o operation, header http.Header, wrong bool) []byte {
	if o.RequestBody == nil {
		if o.method == http.MethodPost && d.of(30) {
			return written(odd(d))
		}
		return nil
	}
	header.Set("Content-Type", "application/json")
	v := f.value(d, "", o.RequestBody.Value.Content.Get("application/json").Schema.Value)
	for wrong && d.of(60) {
		v = bend(d, v)
	}
	body := written(v)
	if wrong && d.of(15) {
		body = spoil(d, body)
	}
	if wrong && d.of(5) {
		header.Set("Content-Type", pick(d, []string{"text/plain", "application/xml", "application/json;", "multipart/form-data", ""}))
	}
	if wrong && d.of(1) {
		body = append(body, bytes.Repeat([]byte(" "), 1<<20)...)
	}
	return body
}

// credentials are those that were given, or worse ones.
func (f *fuzzer) credentials(d dice, header http.Header) {
	switch {
	case d.of(5):
		header.Set("Authorization", pick(d, []string{"Bearer", "Bearer x", "Basic eDp5", "bearer  ", "Bearer a.b.c", "Bearer " + strings.Repeat("k", 9000)}))
	case f.key != "":
		header.Set("Authorization", "Bearer "+f.key)
	}
}

// spelled is a value as it stands in a path, a query or a header.
func spelled(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return fmt.Sprint(v)
}

// escaped is a text as one segment of a path; "." and ".." are no segments.
func escaped(v string) string {
	if strings.Trim(v, ".") == "" {
		return strings.ReplaceAll(v, ".", "%2E")
	}
	return url.PathEscape(v)
}

// printable is a text as a header can have it.
func printable(v string) string {
	return strings.TrimSpace(strings.Map(visible, v))
}
