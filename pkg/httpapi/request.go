package httpapi

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"orderflow/pkg/event"
)

// maxBody is the largest request body, in bytes.
const maxBody = 1 << 20

// Body reads the request's body: at most 1 MiB, of type application/json.
func Body(c echo.Context) ([]byte, error) {
	r := c.Request()
	if kind, _, err := mime.ParseMediaType(r.Header.Get(echo.HeaderContentType)); err != nil || kind != "application/json" {
		return nil, NewProblem(http.StatusUnsupportedMediaType, "Content-Type must be application/json, is %.100q", r.Header.Get(echo.HeaderContentType))
	}
	body, err := io.ReadAll(http.MaxBytesReader(c.Response(), r.Body, maxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, NewProblem(http.StatusRequestEntityTooLarge, "the body is larger than %d bytes", maxBody)
	case err != nil:
		return nil, NewProblem(http.StatusBadRequest, "the body could not be read: %v", err)
	}
	return body, nil
}

// Decode reads a JSON body into a struct. Fields that the struct does not have, fields that appear twice and values of the wrong
// type are refused, with a pointer to the place. An amount is of the right type however large it is.
func Decode(body []byte, into any) error {
	err := json.Unmarshal(body, into, json.RejectUnknownMembers(true))
	status := http.StatusBadRequest
	if errors.Is(err, event.ErrOverflow) {
		status = http.StatusUnprocessableEntity
	}
	var field *event.FieldError
	if err != nil && errors.As(event.JSONError("", err), &field) {
		return invalidFields(status, field)
	}
	return err
}

// JSON answers with a JSON body.
func JSON(c echo.Context, status int, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return c.Blob(status, echo.MIMEApplicationJSON, append(body, '\n'))
}

// PathID reads an id from the path. What is no UUID cannot name anything, so it is not found.
func PathID(c echo.Context, name, what string) (uuid.UUID, error) {
	id, err := parseID(c.Param(name))
	if err != nil {
		return id, NewProblem(http.StatusNotFound, "there is no %s %.100q: an id is a UUID", what, c.Param(name))
	}
	return id, nil
}

// parseID reads an id in the one form that RFC 9562 has for text; the library knows others.
func parseID(s string) (uuid.UUID, error) {
	if len(s) != len(uuid.Nil.String()) {
		return uuid.Nil, errors.New("not of the length of a UUID")
	}
	return uuid.Parse(s)
}

// PathText reads a text from the path, as it was before it was escaped.
func PathText(c echo.Context, name string) (string, error) {
	given, err := c.Param(name), error(nil)
	if c.Request().URL.RawPath != "" { // only then echo looks at the escaped path
		given, err = url.PathUnescape(given)
	}
	if err != nil || !utf8.ValidString(given) {
		return "", invalidParameter(name, "is not text")
	}
	return given, nil
}

// QueryID reads a required id from the query.
func QueryID(c echo.Context, name string) (uuid.UUID, error) {
	if c.QueryParam(name) == "" {
		return uuid.Nil, invalidParameter(name, "is required")
	}
	id, err := parseID(c.QueryParam(name))
	if err != nil {
		return id, invalidParameter(name, "must be a UUID, is %.100q", c.QueryParam(name))
	}
	return id, nil
}

// The size of a page that is asked for without a limit, and the largest one.
const (
	defaultLimit = 50
	maxLimit     = 200
)

// QueryLimit reads the size of a page.
func QueryLimit(c echo.Context) (int, error) {
	raw := c.QueryParam("limit")
	if raw == "" {
		return defaultLimit, nil
	}
	n, err := strconv.Atoi(raw)
	if err != nil || n < 1 || n > maxLimit {
		return 0, invalidParameter("limit", "must be from 1 to %d, is %.100q", maxLimit, raw)
	}
	return n, nil
}

// QueryOneOf reads an optional parameter with a closed set of values.
func QueryOneOf(c echo.Context, name string, values ...string) (string, error) {
	given := c.QueryParam(name)
	for _, v := range append(values, "") {
		if given == v {
			return given, nil
		}
	}
	return "", invalidParameter(name, "must be one of %q, is %.100q", values, given)
}

// InvalidCursor is the error of a cursor that this API did not give out.
func InvalidCursor(given string) error {
	return invalidParameter("cursor", "%.100q is not a next_cursor of an earlier answer", given)
}

// QueryText reads an optional text from the query, as [Text] describes it.
func QueryText(c echo.Context, name string, most int) (string, error) {
	given := c.QueryParam(name)
	switch {
	case !utf8.ValidString(given) || strings.ContainsFunc(given, unicode.IsControl):
		return "", invalidParameter(name, "is not text, or has a control character")
	case utf8.RuneCountInString(given) > most:
		return "", invalidParameter(name, "is longer than %d characters", most)
	}
	return given, nil
}
