package openapi

import (
	"net/http"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/jsonschema-go/jsonschema"

	"orderflow/pkg/document"
	"orderflow/pkg/httpapi"
	"orderflow/pkg/schema"
)

type (
	thing struct {
		Name  string `json:"name"`
		Parts []part `json:"parts,omitempty"`
	}
	part struct {
		N int `json:"n"`
	}
	putThing struct {
		Parts []part `json:"parts"`
	}
)

func writer() *Writer {
	return &Writer{
		About: About{
			Info: document.Of("title", "test", "version", "1"), Tags: []Tag{{Name: "things", Description: "All of them.", Paths: []string{"/things"}}},
		},
		Answers: schema.New("orderflow", "../.."), Requests: schema.New("orderflow", "../.."), Names: map[string]string{"openapi.part": "Piece"},
	}
}

func TestDocument(t *testing.T) {
	id := httpapi.Param{In: httpapi.InPath, Name: "id", Required: true, Schema: &jsonschema.Schema{Type: "string"}}
	described, err := writer().Document([]httpapi.Route{
		{
			Method: http.MethodPut, Path: "/things/:id", Name: "putThing", Summary: "Put it", Scope: httpapi.StockWrite, Params: []httpapi.Param{id}, Body: putThing{},
			Answers: []httpapi.Answer{{Status: 200, Description: "Done.", Headers: []httpapi.Param{httpapi.ETag}, Content: httpapi.JSONOf(thing{})}}, Problems: []int{409},
		},
		{
			Method: http.MethodGet, Path: "/things", Name: "getThings", Summary: "Get them",
			Answers: []httpapi.Answer{{Status: 200, Description: "All.", Content: []httpapi.Content{{Type: "text/plain"}}}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	text, err := document.YAML(described)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := openapi3.NewLoader().LoadFromData(text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	put, get := doc.Paths.Value("/things/{id}").Put, doc.Paths.Value("/things").Get
	for _, status := range []int{200, 400, 401, 403, 409, 429, 431, 500, 503} {
		if put.Responses.Status(status) == nil {
			t.Errorf("putThing has no %d", status)
		}
	}
	if put.Responses.Len() != 9 || get.Responses.Len() != 3 {
		t.Errorf("%d and %d answers, want 9 and 3", put.Responses.Len(), get.Responses.Len())
	}
	if headers := put.Responses.Status(200).Value.Headers; headers["ETag"] == nil || headers["RateLimit"] == nil {
		t.Errorf("headers %v", headers)
	}
	if put.Responses.Status(429).Value.Headers["Retry-After"] == nil || put.Responses.Status(401).Value.Headers["WWW-Authenticate"] == nil {
		t.Error("problems lack their headers")
	}
	if security := *put.Security; len(security) != 2 || security[0]["bearer"][0] != "stock:write" || len(*get.Security) != 0 {
		t.Errorf("security %v, %v", security, *get.Security)
	}
	if !strings.Contains(put.Description, "`stock:write`") || strings.Contains(get.Description, "scope") {
		t.Errorf("described as %q, %q", put.Description, get.Description)
	}
	if n := strings.Count(string(text), "additionalProperties: false"); n != 2 { // in a request and in what is within it, and nowhere else
		t.Errorf("a request with more in it is allowed:\n%s", text)
	}
	if answer := doc.Components.Schemas["Thing"]; answer == nil || answer.Value.Properties["parts"].Value.Items.Ref != schemas+"Piece" {
		t.Errorf("the answer is described otherwise:\n%s", text)
	}
}

func TestDocumentOfWhatCannotBe(t *testing.T) {
	for name, r := range map[string]httpapi.Route{
		"no tag has this path":                {Method: "GET", Path: "/other", Name: "other"},
		"nothing is said of problems":         {Method: "GET", Path: "/things", Name: "a", Problems: []int{418}},
		"there is no schema":                  {Method: "GET", Path: "/things", Name: "a", Answers: []httpapi.Answer{{Status: 200, Content: httpapi.JSONOf(make(chan int))}}},
		"request and an answer are called Th": {Method: "PUT", Path: "/things", Name: "a", Body: thing{}, Answers: []httpapi.Answer{{Status: 200, Content: httpapi.JSONOf(thing{})}}},
	} {
		if _, err := writer().Document([]httpapi.Route{r}); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%v, want %q", err, name)
		}
	}
}
