package httpapi

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/go-json-experiment/json"
	"github.com/labstack/echo/v4"

	"orderflow/pkg/event"
	"orderflow/pkg/postgres"
	"orderflow/pkg/telemetry"
)

// ProblemType is the media type of problem details.
const ProblemType = "application/problem+json"

// Problem is an RFC 9457 problem: what the client sees of an error.
type Problem struct {
	Type   string       `json:"type"` // about:blank, so the status says what kind it is
	Title  string       `json:"title"`
	Status int          `json:"status"`
	Detail string       `json:"detail,omitempty"`
	Errors []FieldError `json:"errors,omitempty"`

	RetryAfter int `json:"-"` // seconds, for the header of that name
}

// FieldError is a field of the request that is wrong: of its body by JSON pointer, or a parameter by its name.
type FieldError struct {
	Pointer   string `json:"pointer,omitzero"`
	Parameter string `json:"parameter,omitempty"`
	Detail    string `json:"detail"`
}

func (p *Problem) Error() string { return fmt.Sprintf("%d %s: %s", p.Status, p.Title, p.Detail) }

// NewProblem makes a problem with the status's own title.
func NewProblem(status int, format string, args ...any) *Problem {
	return &Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: fmt.Sprintf(format, args...)}
}

// invalidFields makes the problem of a body that is well-formed but says something that cannot be. The first field is its detail.
func invalidFields(status int, fields ...*event.FieldError) *Problem {
	p := NewProblem(status, "%s %s", cmp.Or(fields[0].Pointer, "the body"), fields[0].Detail)
	for _, f := range fields {
		p.Errors = append(p.Errors, FieldError{Pointer: f.Pointer, Detail: f.Detail})
	}
	return p
}

// invalidParameter makes the problem of a parameter in the path or the query.
func invalidParameter(name, format string, args ...any) *Problem {
	detail := fmt.Sprintf(format, args...)
	p := NewProblem(http.StatusBadRequest, "%s %s", name, detail)
	p.Errors = []FieldError{{Parameter: name, Detail: detail}}
	return p
}

// problemOf decides what the client sees of an error.
func problemOf(err error) *Problem {
	var problem *Problem
	var fields event.FieldErrors
	var field *event.FieldError
	var fromEcho *echo.HTTPError
	switch {
	case errors.As(err, &problem):
		return problem
	case errors.As(err, &fields):
		return invalidFields(http.StatusUnprocessableEntity, fields...)
	case errors.As(err, &field):
		return invalidFields(http.StatusUnprocessableEntity, field)
	case errors.Is(err, echo.ErrNotFound):
		return NewProblem(http.StatusNotFound, "there is no such path; /docs shows those that there are")
	case errors.As(err, &fromEcho):
		return NewProblem(fromEcho.Code, "%v", fromEcho.Message)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return Unavailable("the request could not be finished in time")
	case postgres.Away(err):
		return Unavailable("the database does not answer")
	}
	return NewProblem(http.StatusInternalServerError, "an error of the server; it has been logged")
}

// handleError is echo's error handler. It logs what went wrong in the server. A problem that a handler answers with is no such thing:
// the handler knew what it did.
func handleError(log *slog.Logger) echo.HTTPErrorHandler {
	return func(err error, c echo.Context) {
		p := problemOf(err)
		if !errors.Is(err, p) && p.Status >= http.StatusInternalServerError && !errors.Is(c.Request().Context().Err(), context.Canceled) { // by the client
			log.Error("request failed", "method", c.Request().Method, "path", c.Path(), "caller", CallerOf(c).Name, "status", p.Status,
				"trace_id", telemetry.TraceID(TraceParent(c)), "error", err)
		}
		if c.Response().Committed {
			return
		}
		if p.RetryAfter > 0 {
			c.Response().Header().Set(echo.HeaderRetryAfter, fmt.Sprint(p.RetryAfter))
		}
		body, encodeErr := json.Marshal(p)
		if encodeErr == nil {
			encodeErr = c.Blob(p.Status, ProblemType, body)
		}
		if encodeErr != nil {
			log.Debug("problem not delivered", "error", encodeErr)
		}
	}
}

// Unavailable is the problem of something that will be there again.
func Unavailable(detail string) *Problem {
	p := NewProblem(http.StatusServiceUnavailable, "%s; the request may be repeated", detail)
	p.RetryAfter = 1
	return p
}

// AnswerUnavailable answers so outside of echo's handlers.
func AnswerUnavailable(w http.ResponseWriter, detail string) {
	body, _ := json.Marshal(Unavailable(detail)) // strings and numbers can always be encoded
	w.Header().Set(echo.HeaderContentType, ProblemType)
	w.Header().Set(echo.HeaderRetryAfter, "1")
	w.WriteHeader(http.StatusServiceUnavailable)
	w.Write(body)
}
