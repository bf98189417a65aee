package main

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

const small = `
openapi: 3.1.1
info: {title: test, version: "1"}
servers: [{url: /}]
paths:
  /openapi.yaml:
    get: {operationId: getDocument, responses: {"200": {description: This., content: {application/yaml: {schema: {type: string}}}}}}
  /things/{id}:
    put:
      operationId: putThing
      parameters: [{name: id, in: path, required: true, schema: {type: string, minLength: 1, maxLength: 20}}]
      requestBody: {required: true, content: {application/json: {schema: {type: object, properties: {n: {type: integer, minimum: 0, maximum: 9}}, required: [n], additionalProperties: false}}}}
      responses:
        "200": {description: Done.}
        "422": {description: No.}
`

// A server that does as its document says has no findings; one with a mistake has, and tells how to see it.
func TestFindings(t *testing.T) {
	for name, put := range map[string]http.HandlerFunc{
		"":          func(w http.ResponseWriter, r *http.Request) {},
		"500":       func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(500) },
		"described": func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(202) },
		"no answer": func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) },
	} {
		// Not by a ServeMux, which cleans paths, and finds no thing whose id is ".".
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			id, isThing := strings.CutPrefix(r.URL.Path, "/things/")
			if !isThing {
				w.Header().Set("Content-Type", "application/yaml")
				io.WriteString(w, small)
				return
			}
			body, _ := io.ReadAll(r.Body)
			if good := len(body) == len(`{"n":1}`) && bytes.HasPrefix(body, []byte(`{"n":`)) && body[5] >= '0' && body[5] <= '9'; !good || r.Header.Get("Content-Type") != "application/json" || id == "" || utf8.RuneCountInString(id) > 20 {
				w.WriteHeader(http.StatusUnprocessableEntity)
				return
			}
			put(w, r)
		}))
		err := run(t.Context(), server.URL, "", 400*time.Millisecond, 1, 2)
		server.Close()
		if (err == nil) != (name == "") {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestOnlyHere(t *testing.T) {
	for address, fine := range map[string]bool{
		"http://127.0.0.1:8080": true, "http://[::1]:80": true, "http://localhost": true, "http://10.0.0.1": false, "http://example.com": false, "127.0.0.1": false,
	} {
		if err := onlyHere(address); (err == nil) != fine {
			t.Errorf("%s: %v", address, err)
		}
	}
}

// What a shell makes of a quoted text is the text.
func TestQuoted(t *testing.T) {
	if _, err := exec.LookPath("bash"); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"plain", "it's", `"quoted"`, "a\nb'c\x01", "é$HOME`id`", `back\slash`, "back\\slash\n"} {
		got, err := exec.CommandContext(t.Context(), "bash", "-c", "printf %s "+quoted(text)).Output()
		if err != nil || string(got) != text {
			t.Errorf("%q became %q, %v", text, got, err)
		}
	}
}

// Values are not shared between requests: what one bends would be odd in the next.
func TestBend(t *testing.T) {
	d := dice{rand.New(rand.NewPCG(1, 1))}
	for range 2000 {
		v := any(map[string]any{"a": []any{1.0, "x"}, "b": map[string]any{"c": nil}})
		for range 5 {
			v = bend(d, v)
		}
		if text := string(written(v)); strings.Count(text, "{") > 20 {
			t.Fatalf("grown to %s", text)
		}
	}
}
