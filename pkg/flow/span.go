package flow

import (
	"bytes"
	"context"
	"errors"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"orderflow/pkg/broker"
	"orderflow/pkg/event"
	"orderflow/pkg/telemetry"
)

// The spans of an event, by OpenTelemetry's conventions for messaging. What follows from it hangs below:
//
//	send orders.events:order.placed                      from the commit to the broker's confirm
//	└─ process payment.order-placed                      from the delivery to the ack
//	   ├─ call gateway                                   linked with "commit payment.order-placed", which is for the whole batch
//	   ├─ send orders.events:payment.processed …
//	   └─ send orders.retry.1s                           where it has failed
//	      └─ process payment.order-placed …

// beginSpan begins the span of a job whose message belongs to a trace that is recorded. A message that comes again carries in its header where it
// comes from; its body says only where the event was born.
func (w *worker) beginSpan(j *job) {
	parent := j.traceParent()
	if parent == "" {
		return
	}
	d := j.delivery
	j.span = telemetry.Under(w.service.cfg.Tracer, parent, "process "+w.Queue, trace.WithSpanKind(trace.SpanKindConsumer),
		telemetry.Message("process", "process", d.Exchange+":"+d.RoutingKey+":"+w.Queue, d.ID,
			telemetry.Text("messaging.message.conversation_id", d.CorrelationID), attribute.Int("messaging.message.body.size", len(d.Body)),
			telemetry.Text("orderflow.event", d.Type), attribute.Int64("orderflow.attempt", Attempts(d.Headers)+1),
			attribute.Bool("orderflow.redelivered", d.Redelivered)))
	if j.span != nil && j.event != nil {
		j.event.TraceParent = telemetry.TraceParent(j.span)
	}
}

// traceParent is the trace context that a job hangs below.
func (j *job) traceParent() string {
	if header, _ := j.delivery.Headers[telemetry.HeaderTraceParent].(string); telemetry.Valid(header) {
		return header
	}
	if j.event != nil {
		return j.event.TraceParent
	}
	return ""
}

// within is ctx for what is done for this job alone.
func (j *job) within(ctx context.Context) context.Context {
	if j.span == nil {
		return ctx
	}
	return trace.ContextWithSpan(ctx, j.span)
}

// together begins the span of a transaction for all jobs; nil where nobody records one of them.
func (w *worker) together(ctx context.Context, does string, jobs []*job) (context.Context, trace.Span) {
	var spans []trace.Span
	for i, j := range jobs {
		if j.span == nil {
			continue
		}
		if spans == nil {
			spans = make([]trace.Span, len(jobs))
		}
		spans[i] = j.span
	}
	return telemetry.Together(ctx, w.service.cfg.Tracer, does+w.Queue, spans)
}

// tell notes on the jobs' spans that something has happened.
func tell(jobs []*job, what string, err error) {
	for _, j := range jobs {
		if j.span == nil {
			continue
		}
		var why []attribute.KeyValue
		if err != nil {
			why = append(why, telemetry.Text("error", telemetry.Redact(err)))
		}
		telemetry.Event(j.span, what, why...)
	}
}

// endSpans ends the spans of jobs that are at their end.
func endSpans(jobs []*job) {
	for _, j := range jobs {
		if j.span == nil {
			continue
		}
		if j.state == dropped {
			telemetry.Event(j.span, "the worker stops, the message comes again")
		}
		telemetry.End(j.span, j.err)
	}
}

// beginPassing begins the span of sending a failed message to where it waits, and lets the copy say where it comes from.
func (w *worker) beginPassing(j *job, copied *broker.Message) {
	if j.span == nil {
		return
	}
	why := []attribute.KeyValue{telemetry.Text("orderflow.error", telemetry.Redact(j.err))}
	if reason, dead := copied.Headers[HeaderReason].(string); dead {
		why = append(why, attribute.String("orderflow.reason", reason))
	}
	_, j.passing = telemetry.Start(j.within(context.Background()), "send "+copied.Exchange, trace.WithSpanKind(trace.SpanKindProducer),
		telemetry.Message("send", "send", copied.Exchange, copied.ID, why...))
	copied.Headers[telemetry.HeaderTraceParent] = telemetry.TraceParent(j.passing)
}

// endPassing ends the spans of copies that were not sent in the end.
func endPassing(jobs []*job, err error) {
	for _, j := range jobs {
		telemetry.End(j.passing, err)
	}
}

// errLeft says that an event will be published later, by the sweep.
var errLeft = errors.New("not published at once, it waits in the outbox")

// beginSpan begins the span of sending an event, below parent; nil where nobody records that.
func (o *outbox) beginSpan(id uuid.UUID, t event.Type, parent string) trace.Span {
	kind := o.catalog.Kind(t)
	if parent == "" || kind == nil {
		return nil
	}
	destination := o.catalog.Exchange + ":" + kind.RoutingKey
	return telemetry.Under(o.tracer, parent, "send "+destination, trace.WithSpanKind(trace.SpanKindProducer),
		telemetry.Message("send", "send", destination, id.String(),
			attribute.String("messaging.rabbitmq.destination.routing_key", kind.RoutingKey), attribute.String("orderflow.event", string(t))))
}

// endSpan ends the span of sending an event, if it has one.
func (o *outbox) endSpan(message string, err error) {
	if span, traced := o.sending.LoadAndDelete(message); traced {
		telemetry.End(span.(trace.Span), err)
	}
}

// traceHeader is the headers of a message that is sent in a span; nil where that is none.
func traceHeader(span trace.Span) map[string]any {
	if span == nil {
		return nil
	}
	return map[string]any{telemetry.HeaderTraceParent: telemetry.TraceParent(span)}
}

// traceParentIn reads the trace context of an encoded event without decoding it. Within a text the quotation marks would be escaped, and no data has
// a field of that name.
func traceParentIn(body []byte) string {
	_, after, found := bytes.Cut(body, []byte(`"traceparent":"`))
	end := bytes.IndexByte(after, '"')
	if !found || end < 0 {
		return ""
	}
	return string(after[:end])
}
