package conformance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
	"github.com/go-json-experiment/json"
)

// Judge knows a document, and remembers what it has seen of it. It may be used by several goroutines.
type Judge struct {
	Document *openapi3.T

	opaques []string
	router  routers.Router
	mu      sync.Mutex
	seen    map[string]map[int]int // answers by operation and status
}

// Exchange is a request and its answer.
type Exchange struct {
	Request     *http.Request // its body has been read
	RequestBody []byte
	Status      int
	Header      http.Header
	Body        []byte
}

// New makes a judge by a document, which has to be valid itself. opaque are parameters whose form no schema says: what is wrong with them is found
// when they are read, and the details of problems begin with them.
func New(document []byte, opaque ...string) (*Judge, error) {
	doc, err := openapi3.NewLoader().LoadFromData(document)
	if err != nil {
		return nil, err
	}
	if err := doc.Validate(context.Background()); err != nil {
		return nil, fmt.Errorf("the document itself is not valid: %w", err)
	}
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		return nil, err
	}
	return &Judge{Document: doc, opaques: opaque, router: router, seen: map[string]map[int]int{}}, nil
}

// Breaks returns what in an exchange breaks the document. HEAD and OPTIONS are no operations of it.
func (j *Judge) Breaks(ctx context.Context, e Exchange) error {
	if e.Request.Method == http.MethodHead || e.Request.Method == http.MethodOptions {
		return nil
	}
	if e.Status == http.StatusInternalServerError {
		return errors.New("status 500: no request may end as an error of the server")
	}
	route, variables, err := j.router.FindRoute(e.Request)
	if err != nil {
		return unrouted(e, err)
	}
	j.note(route.Operation.OperationID, e.Status)
	in := &openapi3filter.RequestValidationInput{
		Request: withBody(e.Request, e.RequestBody), PathParams: unescaped(variables), Route: route,
		Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, IncludeResponseStatus: true, SkipSettingDefaults: true},
	}
	return errors.Join(j.refusal(e, route, openapi3filter.ValidateRequest(ctx, in)), j.answer(ctx, e, in))
}

// unescaped are the variables of a path as the client means them.
func unescaped(variables map[string]string) map[string]string {
	for name, escaped := range variables {
		if text, err := url.PathUnescape(escaped); err == nil {
			variables[name] = text
		}
	}
	return variables
}

// unrouted judges what came of a request that the document has no operation for.
func unrouted(e Exchange, why error) error {
	if e.Status/100 == 4 {
		return nil
	}
	return fmt.Errorf("answered with %d, but the document has no such operation: %w", e.Status, why)
}

// withBody is a copy of a request, to be read again.
func withBody(r *http.Request, body []byte) *http.Request {
	again := r.Clone(r.Context())
	again.Body = io.NopCloser(bytes.NewReader(body))
	again.ContentLength = int64(len(body))
	return again
}

// unsaid tells what may be wrong with a request that a document cannot say: a parameter that it does not have, or one given twice, and what is
// no text. It may be refused for that, or not.
func unsaid(route *routers.Route, r *http.Request) error {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return err
	}
	for name, values := range query {
		if route.Operation.Parameters.GetByInAndName("query", name) == nil {
			return fmt.Errorf("there is no parameter %q", name)
		}
		if len(values) > 1 || !utf8.ValidString(values[0]) {
			return fmt.Errorf("parameter %q is no text, or given twice", name)
		}
	}
	for name, values := range r.Header {
		if !utf8.ValidString(strings.Join(values, "")) {
			return fmt.Errorf("header %s is no text", name)
		}
	}
	return nil
}

// refusal judges whether a request was refused if it had to be, and only then. asked is what the document has against it.
func (j *Judge) refusal(e Exchange, route *routers.Route, asked error) error {
	switch {
	case asked != nil && e.Status < http.StatusBadRequest:
		return fmt.Errorf("answered with %d, but the document forbids the request: %w", e.Status, asked)
	case asked == nil && e.Status == http.StatusBadRequest && unsaid(route, e.Request) == nil && !j.opaque(e.Body):
		return fmt.Errorf("refused with %d, but the document allows the request: %.500s", e.Status, e.Body)
	}
	return nil
}

// opaque tells whether what was refused is a text whose form is nobody's business but the server's.
func (j *Judge) opaque(body []byte) bool {
	var problem struct {
		Detail string `json:"detail"`
	}
	named := func(name string) bool { return strings.HasPrefix(problem.Detail, name+" ") }
	return json.Unmarshal(body, &problem) == nil && slices.ContainsFunc(j.opaques, named)
}

// answer judges the answer by itself.
func (j *Judge) answer(ctx context.Context, e Exchange, in *openapi3filter.RequestValidationInput) error {
	out := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: in, Status: e.Status, Header: e.Header, Body: io.NopCloser(bytes.NewReader(e.Body)), Options: in.Options,
	}
	described := in.Route.Operation.Responses.Status(e.Status)
	if described == nil {
		return fmt.Errorf("status %d is not described: %.300s", e.Status, e.Body)
	}
	if len(described.Value.Content) == 0 && len(e.Body) > 0 {
		return fmt.Errorf("status %d is described without a body: %.300s", e.Status, e.Body)
	}
	if err := openapi3filter.ValidateResponse(ctx, out); err != nil {
		return fmt.Errorf("the answer is not what the document says: %w", err)
	}
	return undescribed(e.Header, described.Value.Headers)
}

// everywhere are the headers that HTTP itself has on any answer.
var everywhere = []string{
	"Accept-Ranges", "Allow", "Connection", "Content-Encoding", "Content-Length", "Content-Type", "Date", "Transfer-Encoding", "Vary",
}

func undescribed(sent http.Header, described openapi3.Headers) error {
	for _, name := range slices.Sorted(maps.Keys(sent)) {
		same := func(known string) bool { return strings.EqualFold(known, name) }
		if !slices.Contains(everywhere, name) && !slices.ContainsFunc(slices.Collect(maps.Keys(described)), same) {
			return fmt.Errorf("header %s: %s is not described", name, sent.Get(name))
		}
	}
	return nil
}

func (j *Judge) note(operation string, status int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.seen[operation] == nil {
		j.seen[operation] = map[int]int{}
	}
	j.seen[operation][status]++
}

// Seen tells how often each operation was answered with which status.
func (j *Judge) Seen() map[string]map[int]int {
	j.mu.Lock()
	defer j.mu.Unlock()
	all := make(map[string]map[int]int, len(j.seen))
	for operation, counts := range j.seen {
		all[operation] = maps.Clone(counts)
	}
	return all
}

// Unseen lists the operations that were never answered as they are if all is well.
func (j *Judge) Unseen() (missing []string) {
	seen := j.Seen()
	for _, item := range j.Document.Paths.Map() {
		for _, o := range item.Operations() {
			if !slices.ContainsFunc(slices.Collect(maps.Keys(seen[o.OperationID])), func(status int) bool { return status < http.StatusBadRequest }) {
				missing = append(missing, o.OperationID)
			}
		}
	}
	slices.Sort(missing)
	return missing
}

func init() {
	// JSON as it is read here: no field twice, nothing but UTF-8 (RFC 7493).
	openapi3filter.RegisterBodyDecoder("application/json", decodeJSON)
	openapi3filter.RegisterBodyDecoder("application/problem+json", decodeJSON)
	for _, text := range []string{"text/html", "text/css", "application/javascript", "text/event-stream", "image/png", "application/yaml", "application/openmetrics-text"} {
		openapi3filter.RegisterBodyDecoder(text, decodeText)
	}
}

func decodeJSON(body io.Reader, _ http.Header, _ *openapi3.SchemaRef, _ openapi3filter.EncodingFn) (v any, err error) {
	err = json.UnmarshalRead(body, &v)
	return v, err
}

func decodeText(body io.Reader, _ http.Header, _ *openapi3.SchemaRef, _ openapi3filter.EncodingFn) (any, error) {
	text, err := io.ReadAll(body)
	return string(text), err
}
