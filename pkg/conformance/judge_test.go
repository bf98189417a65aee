package conformance

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

const document = `
openapi: 3.1.1
info: {title: test, version: "1"}
servers: [{url: /}]
paths:
  /things/{id}:
    get:
      operationId: getThing
      parameters:
        - {name: id, in: path, required: true, schema: {type: string, maxLength: 3}}
        - {name: limit, in: query, schema: {type: integer, minimum: 1}}
        - {name: cursor, in: query, schema: {type: string}}
      responses:
        "200":
          description: The thing.
          headers: {ETag: {required: true, schema: {type: string}}}
          content: {application/json: {schema: {$ref: "#/components/schemas/Thing"}}}
        "304": {description: As before.}
        "400": {description: Bad., content: {application/problem+json: {schema: {type: object}}}}
        "500": {description: Worse., content: {application/problem+json: {schema: {type: object}}}}
    put:
      operationId: putThing
      parameters:
        - {name: id, in: path, required: true, schema: {type: string}}
      requestBody: {required: true, content: {application/json: {schema: {$ref: "#/components/schemas/Thing"}}}}
      responses:
        "200": {description: Done.}
        "400": {description: Bad., content: {application/problem+json: {schema: {type: object}}}}
        "422": {description: Bad., content: {application/problem+json: {schema: {type: object}}}}
components:
  schemas:
    Thing:
      type: object
      properties: {name: {type: string, maxLength: 3}}
      required: [name]
      additionalProperties: false
`

func TestBreaks(t *testing.T) {
	const problem = `{"detail":"limit is wrong"}`
	for _, c := range []struct {
		name, method, path, body string
		status                   int
		answer                   string
		more                     string // a header of the answer
		want                     string // a part of the error; "" for none
	}{
		{"as described", "GET", "/things/a?limit=1", "", 200, `{"name":"a"}`, "Etag", ""},
		{"escaped", "GET", "/things/%C3%A9%C3%A9%C3%A9", "", 200, `{"name":"a"}`, "Etag", ""},
		{"a header is missing", "GET", "/things/a", "", 200, `{"name":"a"}`, "", "ETag"},
		{"a header too many", "GET", "/things/a", "", 200, `{"name":"a"}`, "Etag X-Other", "X-Other"},
		{"another field", "GET", "/things/a", "", 200, `{"name":"a","age":1}`, "Etag", "age"},
		{"a field twice", "GET", "/things/a", "", 200, `{"name":"a","name":"b"}`, "Etag", "duplicate"},
		{"a status too many", "GET", "/things/a", "", 404, problem, "", "404"},
		{"a described error of the server", "GET", "/things/a", "", 500, problem, "", "500"},
		{"a body that should not be", "GET", "/things/a", "", 304, "x", "", "without a body"},
		{"what is forbidden is refused", "GET", "/things/a?limit=0", "", 400, problem, "", ""},
		{"what is forbidden is answered", "GET", "/things/a?limit=0", "", 200, `{"name":"a"}`, "Etag", "forbids"},
		{"a path that is too long", "GET", "/things/abcd", "", 200, `{"name":"a"}`, "Etag", "forbids"},
		{"what is allowed is refused", "GET", "/things/a?limit=1", "", 400, problem, "", "allows"},
		{"an unknown parameter is refused", "GET", "/things/a?x=1", "", 400, problem, "", ""},
		{"an unknown parameter is ignored", "GET", "/things/a?x=1", "", 200, `{"name":"a"}`, "Etag", ""},
		{"an opaque parameter is refused", "GET", "/things/a?cursor=1", "", 400, `{"detail":"cursor is wrong"}`, "", ""},
		{"a malformed query", "GET", "/things/a?limit=%zz", "", 400, problem, "", ""},
		{"no operation, refused", "POST", "/things/a", "", 405, problem, "", ""},
		{"no operation, answered", "GET", "/other", "", 200, "{}", "", "no such operation"},
		{"a good body", "PUT", "/things/a", `{"name":"a"}`, 200, "", "", ""},
		{"a good body that means nothing", "PUT", "/things/a", `{"name":"a"}`, 422, problem, "", ""},
		{"a good body is called malformed", "PUT", "/things/a", `{"name":"a"}`, 400, problem, "", "allows"},
		{"a bad body", "PUT", "/things/a", `{"name":"abcd"}`, 422, problem, "", ""},
		{"a bad body is taken", "PUT", "/things/a", `{"name":"abcd"}`, 200, "", "", "forbids"},
		{"a field twice is taken", "PUT", "/things/a", `{"name":"a","name":"b"}`, 200, "", "", "forbids"},
		{"a head", "HEAD", "/things/a", "", 200, "", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			judge, err := New([]byte(document), "cursor")
			if err != nil {
				t.Fatal(err)
			}
			request := httptest.NewRequest(c.method, c.path, nil)
			request.Header.Set("Content-Type", "application/json")
			header := http.Header{"Date": {"today"}}
			if c.answer != "" {
				header.Set("Content-Type", map[bool]string{true: "application/json", false: "application/problem+json"}[c.status < 400])
			}
			for name := range strings.FieldsSeq(c.more) {
				header.Set(name, `"1"`)
			}
			err = judge.Breaks(t.Context(), Exchange{Request: request, RequestBody: []byte(c.body), Status: c.status, Header: header, Body: []byte(c.answer)})
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want something about %q", err, c.want)
			}
		})
	}
}

func TestUnseen(t *testing.T) {
	judge, err := New([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	see := func(method string, status int) {
		request := httptest.NewRequest(method, "/things/a", nil)
		judge.Breaks(t.Context(), Exchange{Request: request, Status: status, Header: http.Header{}})
	}
	see("PUT", 422)
	see("GET", 304)
	if got := judge.Unseen(); !slices.Equal(got, []string{"putThing"}) {
		t.Errorf("unseen are %v of %v", got, judge.Seen())
	}
}

func TestDocumentThatIsNone(t *testing.T) {
	for _, text := range []string{"", "{", "openapi: 3.1.1", strings.Replace(document, `info: {title: test, version: "1"}`, "", 1)} {
		if _, err := New([]byte(text)); err == nil {
			t.Errorf("taken for a document: %.60q", text)
		}
	}
}
