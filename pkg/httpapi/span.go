package httpapi

import (
	"context"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"orderflow/pkg/telemetry"
)

// tracedUnder is where those requests are that are about something; the others are about the process.
const tracedUnder = "/v1/"

// traced begins a span for each request, by OpenTelemetry's conventions for HTTP. Without a tracer there are none.
func traced(tracer trace.Tracer) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		if tracer == nil {
			return next
		}
		return func(c echo.Context) error {
			if !strings.HasPrefix(c.Path(), tracedUnder) {
				return next(c)
			}
			r := c.Request()
			ctx := telemetry.Remote(r.Context(), r.Header.Get(telemetry.HeaderTraceParent))
			ctx, span := tracer.Start(ctx, r.Method+" "+c.Path(), trace.WithSpanKind(trace.SpanKindServer))
			defer span.End()
			c.SetRequest(r.WithContext(ctx))
			err := next(c)
			if span.IsRecording() {
				describe(c, span, err)
			}
			return err
		}
	}
}

// describe says what a request was and what became of it.
func describe(c echo.Context, span trace.Span, err error) {
	r, status := c.Request(), c.Response().Status
	if err != nil && !c.Response().Committed {
		status = problemOf(err).Status
	}
	span.SetAttributes(
		attribute.String("http.request.method", r.Method), attribute.String("http.route", c.Path()), telemetry.Text("url.path", r.URL.EscapedPath()),
		attribute.Int("http.response.status_code", status),
	)
	if caller := CallerOf(c).Name; caller != "" {
		span.SetAttributes(telemetry.Text("enduser.id", caller))
	}
	if status >= http.StatusInternalServerError {
		span.SetStatus(codes.Error, http.StatusText(status))
	}
}

// TraceParent returns the trace that the request belongs to, as W3C trace context, or "". Where this process makes no spans, that is what the client
// says; where it does, and has decided not to record the request, it is told on as one that nobody records.
func TraceParent(c echo.Context) string {
	span := trace.SpanFromContext(c.Request().Context())
	if own := telemetry.TraceParent(span); own != "" {
		return own
	}
	given := c.Request().Header.Get(telemetry.HeaderTraceParent)
	switch {
	case !telemetry.Valid(given):
		return ""
	case span.SpanContext().IsValid():
		return telemetry.Unsampled(given)
	}
	return given
}

// traceCall lets another system go on with the trace of ctx, and returns what describes its answer.
func traceCall(ctx context.Context, request *http.Request) (describe func(*http.Response)) {
	span := trace.SpanFromContext(ctx)
	if !span.IsRecording() {
		return func(*http.Response) {}
	}
	request.Header.Set(telemetry.HeaderTraceParent, telemetry.TraceParent(span))
	span.SetAttributes(attribute.String("http.request.method", request.Method), attribute.String("url.full", request.URL.Redacted()),
		attribute.String("server.address", request.URL.Hostname()))
	return func(response *http.Response) {
		span.SetAttributes(attribute.Int("http.response.status_code", response.StatusCode))
	}
}
