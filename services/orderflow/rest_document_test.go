package main_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"orderflow/pkg/conformance"
	"orderflow/services/documents"
)

// restJudge judges all that the tests send and get, by the document that the program serves.
var restJudge = sync.OnceValues(func() (*conformance.Judge, error) {
	return conformance.New(documents.OpenAPI(), "cursor", "Last-Event-ID", "Idempotency-Key")
})

// watch makes a client show to a judge what it sends and gets. What breaks the document fails the test, whatever became of it there.
func watch(t testing.TB, c *client) *conformance.Judge {
	t.Helper()
	judge, err := restJudge()
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var broken []string
	t.Cleanup(func() {
		mu.Lock()
		defer mu.Unlock()
		for _, b := range broken[:min(len(broken), 5)] {
			t.Error(b)
		}
	})
	c.judge = func(e conformance.Exchange) {
		if err := judge.Breaks(e.Request.Context(), e); err != nil {
			mu.Lock()
			defer mu.Unlock()
			broken = append(broken, fmt.Sprintf("%s %.200s: %.2000s", e.Request.Method, e.Request.URL.RequestURI(), err))
		}
	}
	return judge
}

// testDocuments asks for all documents, and for what else the other tests have not, so that there is no operation that was not judged.
func testDocuments(t *testing.T, c *client) {
	for path, want := range map[string]struct{ kind, text string }{
		"/openapi.yaml": {"application/yaml; charset=utf-8", "openapi: 3.1"}, "/asyncapi.yaml": {"application/yaml; charset=utf-8", "asyncapi: 3.0"},
		"/docs": {"text/html; charset=utf-8", "/docs/swagger-ui-bundle.js"}, "/docs/events": {"text/html; charset=utf-8", "<title>"},
		"/docs/swagger-ui.css": {"text/css; charset=utf-8", ".swagger-ui"}, "/docs/swagger-ui-bundle.js": {"application/javascript", "SwaggerUIBundle"},
	} {
		a := c.call(t, http.MethodGet, path, nil)
		if a.status != http.StatusOK || a.header.Get("Content-Type") != want.kind || !strings.Contains(string(a.body), want.text) {
			t.Errorf("%s: %q %.200s", path, a.header.Get("Content-Type"), a)
		}
		tag := a.header.Get("ETag")
		if again := c.call(t, http.MethodGet, path, nil, "If-None-Match: "+tag); tag == "" || again.status != http.StatusNotModified || len(again.body) > 0 {
			t.Errorf("%s with the tag %s: %.200s", path, tag, again)
		}
		head := c.call(t, http.MethodHead, path, nil)
		if head.status != http.StatusOK || len(head.body) > 0 || head.header.Get("ETag") == "" {
			t.Errorf("HEAD %s: %v %s", path, head.header, head)
		}
	}
	for _, path := range []string{"/docs/none", "/docs/", "/docs/favicon.ico", "/docs/..%2fopenapi.yaml"} {
		expectProblem(t, c.call(t, http.MethodGet, path, nil), 404, "")
	}
	for _, page := range []string{"/docs", "/docs/events"} {
		a := c.call(t, http.MethodGet, page, nil)
		if policy := a.header.Get("Content-Security-Policy"); !strings.HasPrefix(policy, "default-src 'none'") {
			t.Errorf("%s may load anything: %q", page, policy)
		}
		if strings.Contains(string(a.body), `src="http`) || strings.Contains(string(a.body), `href="http`) {
			t.Errorf("%s loads something from elsewhere: %s", page, a)
		}
	}
	c.call(t, http.MethodGet, "/metrics", nil)
}

// testQueries sends queries that no operation has.
func testQueries(t *testing.T, c *client) {
	id := "01890000-0000-7000-8000-000000000001"
	for query, parameter := range map[string]string{
		"/v1/orders?custommer_id=a":                               "custommer_id",
		"/v1/orders?customer_id=a&customer_id=b":                  "customer_id",
		"/v1/orders?customer_id=":                                 "customer_id",
		"/v1/orders?limit=":                                       "limit",
		"/v1/orders?status=&limit=1":                              "status",
		"/v1/orders?limit=1&limit=1":                              "limit",
		"/v1/orders?%ff=1":                                        "\ufffd",
		"/v1/orders?" + strings.Repeat("x", 300) + "=1":           strings.Repeat("x", 100),
		"/v1/orders/" + id + "?wait=10":                           "wait",
		"/v1/stock?order_id=1":                                    "order_id",
		"/v1/stock/book?limit=1":                                  "limit",
		"/v1/payments":                                            "order_id",
		"/v1/shipments?order_id=" + id + "&order_id=" + id:        "order_id",
		"/v1/reservations?order_id=" + id + "&customer_id=nobody": "customer_id",
	} {
		expectProblem(t, c.call(t, http.MethodGet, query, nil), 400, parameter)
	}
	for _, malformed := range []string{"/v1/orders?limit=%zz", "/v1/orders?limit=1;status=placed"} {
		expectProblem(t, c.call(t, http.MethodGet, malformed, nil), 400, "")
	}
	expectProblem(t, c.call(t, http.MethodPost, "/v1/orders?dry_run=true", goodOrder("customer-who-tries")), 400, "dry_run")
	for _, ignored := range []string{"/healthz?time=1", "/readyz?time=1", "/metrics?time=1", "/docs?time=1"} {
		if a := c.call(t, http.MethodGet, ignored, nil); a.status != http.StatusOK {
			t.Errorf("%s: %s", ignored, a)
		}
	}
}

// testMethods asks for heads, and for what there is to ask.
func testMethods(t *testing.T, c *client) {
	id := place(t, c, goodOrder("customer-of-heads")).OrderID
	follow(t, c, id)
	for _, path := range []string{"/healthz", "/readyz", "/metrics", "/v1/orders?limit=1", "/v1/orders/" + id, "/v1/stock/book", "/v1/payments?order_id=" + id} {
		whole := c.call(t, http.MethodGet, path, nil)
		head := c.call(t, http.MethodHead, path, nil, "Prefer: wait=30")
		if head.status != whole.status || len(head.body) > 0 || head.header.Get("Content-Type") != whole.header.Get("Content-Type") || head.header.Get("ETag") != whole.header.Get("ETag") {
			t.Errorf("HEAD %s: %v %s, want what GET says: %v %s", path, head.header, head, whole.header, whole)
		}
	}
	// Nobody waits for the head of a stream.
	if a := c.call(t, http.MethodHead, "/v1/orders/"+id+"/events", nil, "Accept: text/event-stream"); a.status != http.StatusOK || len(a.body) > 0 {
		t.Errorf("HEAD of a stream: %s", a)
	}
	expectNone := c.call(t, http.MethodHead, "/v1/orders/1", nil)
	if expectNone.status != http.StatusNotFound || len(expectNone.body) > 0 {
		t.Errorf("HEAD of nothing: %s", expectNone)
	}
	options := c.call(t, http.MethodOptions, "/v1/orders", nil)
	allowed := strings.Split(options.header.Get("Allow"), ", ")
	slices.Sort(allowed)
	if options.status != http.StatusNoContent || !slices.Equal(allowed, []string{"GET", "HEAD", "OPTIONS", "POST"}) {
		t.Errorf("OPTIONS: %s, allowed are %q", options, allowed)
	}
}
