package telemetry

import (
	"context"
	"regexp"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// HeaderTraceParent is the header, of HTTP and of messages, that carries a W3C trace context.
const HeaderTraceParent = "traceparent"

// traceParent is a W3C trace context of version 00.
var traceParent = regexp.MustCompile(`^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$`)

// Valid tells whether a text is a W3C trace context.
func Valid(text string) bool { return traceParent.MatchString(text) }

// parse reads a W3C trace context.
func parse(text string) (sc trace.SpanContext, valid bool) {
	if !Valid(text) {
		return sc, false
	}
	traceID, err := trace.TraceIDFromHex(text[3:35])
	if err != nil { // nothing but zeros
		return sc, false
	}
	spanID, err := trace.SpanIDFromHex(text[36:52])
	if err != nil {
		return sc, false
	}
	flags, err := strconv.ParseUint(text[53:], 16, 8)
	return trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: traceID, SpanID: spanID, TraceFlags: trace.TraceFlags(flags) & trace.FlagsSampled, Remote: true,
	}), err == nil
}

// Sampled reads a W3C trace context; ok is false where the text is none, or where nobody records its trace.
func Sampled(text string) (sc trace.SpanContext, ok bool) {
	if text == "" || strings.HasSuffix(text, "-00") { // as nearly all are
		return sc, false
	}
	sc, valid := parse(text)
	return sc, valid && sc.IsSampled()
}

// TraceID is the name of the trace that a W3C trace context belongs to; "" where the text is none.
func TraceID(text string) string {
	if !Valid(text) {
		return ""
	}
	return text[3:35]
}

// Unsampled is a W3C trace context as it is where nobody records it.
func Unsampled(valid string) string { return valid[:53] + "00" }

// TraceParent is a span's context as W3C trace context; "" where the span is not recorded.
func TraceParent(span trace.Span) string {
	if !recorded(span) {
		return ""
	}
	sc := span.SpanContext()
	return "00-" + sc.TraceID().String() + "-" + sc.SpanID().String() + "-01"
}

// recorded tells whether there is a span that is recorded; nil is none.
func recorded(span trace.Span) bool { return span != nil && span.IsRecording() }

// Under begins a span below another one, whose W3C trace context is parent. It is nil where that is none, or nobody records its trace.
func Under(tracer trace.Tracer, parent, name string, options ...trace.SpanStartOption) trace.Span {
	sc, ok := Sampled(parent)
	if !ok {
		return nil
	}
	_, span := tracer.Start(trace.ContextWithRemoteSpanContext(context.Background(), sc), name, options...)
	if !span.IsRecording() {
		return nil
	}
	return span
}

// Together begins the span of what is done for several others at once, some of which may be nil. It is linked with those that are recorded, and
// they with it; where it is for one only, it is a part of that. It is nil where none is recorded.
func Together(ctx context.Context, tracer trace.Tracer, name string, of []trace.Span) (context.Context, trace.Span) {
	var links []trace.Link
	for _, span := range of {
		if recorded(span) {
			links = append(links, trace.Link{SpanContext: span.SpanContext()})
		}
	}
	switch {
	case len(links) == 0:
		return ctx, nil
	case len(of) == 1:
		return tracer.Start(trace.ContextWithSpan(ctx, of[0]), name)
	}
	ctx, together := tracer.Start(ctx, name, trace.WithNewRoot(), trace.WithLinks(links...),
		trace.WithAttributes(attribute.Int("messaging.batch.message_count", len(of))))
	for _, span := range of {
		if recorded(span) {
			span.AddLink(trace.Link{SpanContext: together.SpanContext()})
		}
	}
	return ctx, together
}

// Remote is ctx below a span of another process, whose W3C trace context is given; where that is none, it is ctx.
func Remote(ctx context.Context, given string) context.Context {
	sc, valid := parse(given)
	if !valid {
		return ctx
	}
	return trace.ContextWithRemoteSpanContext(ctx, sc)
}

// Join begins a span below another one, whose W3C trace context is parent, for what ctx's span does in the trace of that; both are linked. It is nil
// where nobody records that trace.
func Join(ctx context.Context, parent, name string) trace.Span {
	here := trace.SpanFromContext(ctx)
	joined := Under(here.TracerProvider().Tracer(scope), parent, name)
	if joined != nil && recorded(here) {
		joined.AddLink(trace.Link{SpanContext: here.SpanContext()})
		here.AddLink(trace.Link{SpanContext: joined.SpanContext()})
	}
	return joined
}

// Start begins a span below that of ctx, if that is recorded. Where it is not, the span does nothing.
func Start(ctx context.Context, name string, options ...trace.SpanStartOption) (context.Context, trace.Span) {
	above := trace.SpanFromContext(ctx)
	if !above.IsRecording() {
		return ctx, trace.SpanFromContext(context.Background())
	}
	return above.TracerProvider().Tracer(scope).Start(ctx, name, options...)
}

// Name names the span of ctx better than those could who began it, and says by which key it is idempotent.
func Name(ctx context.Context, name, key string) {
	if span := trace.SpanFromContext(ctx); span.IsRecording() {
		span.SetName(name)
		span.SetAttributes(Text("orderflow.idempotency_key", key))
	}
}

// Fail notes on a span, if there is one, that what it stands for has failed.
func Fail(span trace.Span, err error) {
	if recorded(span) && err != nil {
		span.SetStatus(codes.Error, clean(Redact(err)))
	}
}

// End ends a span, if there is one, and notes what it has failed by, if it has.
func End(span trace.Span, err error) {
	if span != nil {
		Fail(span, err)
		span.End()
	}
}

// most is how long a text of a span may be, in bytes.
const most = 1000

// clean makes a text fit for a span. One that is not UTF-8 would cost all spans that are exported together with it.
func clean(text string) string { return strings.ToValidUTF8(text[:min(len(text), most)], "\uFFFD") }

// Text is an attribute of a span whose value comes from others.
func Text(key, value string) attribute.KeyValue { return attribute.String(key, clean(value)) }

// Message describes a message that is sent or processed, by OpenTelemetry's conventions.
func Message(operation, name, destination, id string, more ...attribute.KeyValue) trace.SpanStartOption {
	return trace.WithAttributes(append(more,
		attribute.String("messaging.system", "rabbitmq"), attribute.String("messaging.operation.type", operation),
		attribute.String("messaging.operation.name", name), Text("messaging.destination.name", destination), Text("messaging.message.id", id))...)
}

// Event notes on a span, if there is one, that something has happened meanwhile.
func Event(span trace.Span, name string, attributes ...attribute.KeyValue) {
	if recorded(span) {
		span.AddEvent(name, trace.WithAttributes(attributes...))
	}
}

// Observe adds a value to a histogram, and the trace that it comes from as its exemplar, if that is recorded.
func Observe(h prometheus.Observer, value float64, traceParent string) {
	if sc, ok := Sampled(traceParent); ok {
		if with, able := h.(prometheus.ExemplarObserver); able {
			with.ObserveWithExemplar(value, prometheus.Labels{"trace_id": sc.TraceID().String()})
			return
		}
	}
	h.Observe(value)
}
