package documents

import (
	"crypto/sha256"
	_ "embed"
	"fmt"
	"net/http"

	"github.com/google/jsonschema-go/jsonschema"
	"github.com/labstack/echo/v4"
	"github.com/swaggest/swgui/v5emb"

	"orderflow/pkg/httpapi"
)

//go:embed openapi.yaml
var openAPI []byte

//go:embed asyncapi.yaml
var asyncAPI []byte

//go:embed docs.html
var docs []byte

//go:embed events.html
var events []byte

// yamlType is the media type of YAML (RFC 9512).
const yamlType = "application/yaml"

// assets are the parts of the viewer that its page loads.
var assets = []any{"swagger-ui.css", "swagger-ui-bundle.js", "favicon-32x32.png"}

// policy lets a page load what is on this server, and nothing else.
const policy = "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'"

// OpenAPI is the document of the REST API.
func OpenAPI() []byte { return openAPI }

// Routes are those of the documents.
func Routes() []httpapi.Route {
	return []httpapi.Route{
		route("/openapi.yaml", "getOpenAPI", "The REST API, as an OpenAPI document", yamlType, openAPI),
		route("/asyncapi.yaml", "getAsyncAPI", "The events, as an AsyncAPI document", yamlType, asyncAPI),
		route("/docs", "getDocs", "The REST API, for people", "text/html", docs),
		route("/docs/events", "getEventDocs", "The events, for people", "text/html", events),
		{
			Method: http.MethodGet, Path: "/docs/:asset", Name: "getDocsAsset", Summary: "A part of the pages for people",
			Params: []httpapi.Param{{
				In: httpapi.InPath, Name: "asset", Description: "Its name.", Required: true, Schema: &jsonschema.Schema{Type: "string", Enum: assets},
			}, httpapi.IfNoneMatch},
			Answers: []httpapi.Answer{
				{
					Status: http.StatusOK, Description: "The part.", Headers: []httpapi.Param{httpapi.ETag, cacheControl},
					Content: []httpapi.Content{{Type: "text/css"}, {Type: "application/javascript"}, {Type: "image/png"}},
				},
				{Status: http.StatusNotModified, Description: "It is as the client knows it.", Headers: []httpapi.Param{httpapi.ETag, cacheControl}},
			},
			Problems: []int{http.StatusNotFound},
			Handler:  asset,
		},
	}
}

var cacheControl = httpapi.Param{
	Name: "Cache-Control", Description: "How long it can be kept.", Required: true, Schema: &jsonschema.Schema{Type: "string"},
}

// route is that of one document. Clients may keep it, and ask each time whether it is still the same.
func route(path, name, summary, mediaType string, text []byte) httpapi.Route {
	tag := fmt.Sprintf(`"%.16x"`, sha256.Sum256(text))
	headers := []httpapi.Param{httpapi.ETag, cacheControl}
	if mediaType == "text/html" {
		headers = append(headers, httpapi.Param{
			Name: "Content-Security-Policy", Description: "The page loads what is on this server, and nothing else.", Schema: &jsonschema.Schema{Type: "string"},
		})
	}
	return httpapi.Route{
		Method: http.MethodGet, Path: path, Name: name, Summary: summary, Params: []httpapi.Param{httpapi.IfNoneMatch},
		Answers: []httpapi.Answer{
			{Status: http.StatusOK, Description: "The document.", Headers: headers, Content: []httpapi.Content{{Type: mediaType}}},
			{Status: http.StatusNotModified, Description: "It is as the client knows it.", Headers: headers},
		},
		Handler: func(c echo.Context) error {
			header := c.Response().Header()
			header.Set("ETag", tag)
			header.Set(echo.HeaderCacheControl, "no-cache")
			if mediaType == "text/html" {
				header.Set(echo.HeaderContentSecurityPolicy, policy)
			}
			if httpapi.NotModified(c.Request().Header, tag) {
				return c.NoContent(http.StatusNotModified)
			}
			return c.Blob(http.StatusOK, mediaType+"; charset=utf-8", text)
		},
	}
}

// viewer has the assets.
var viewer = v5emb.New("", "", "/docs/")

func asset(c echo.Context) error {
	name := c.Param("asset")
	for _, known := range assets {
		if name == known {
			c.Response().Header().Set(echo.HeaderCacheControl, "max-age=3600")
			viewer.ServeHTTP(c.Response(), c.Request())
			return nil
		}
	}
	return httpapi.NewProblem(http.StatusNotFound, "there is no document %.100q", "/docs/"+name)
}
