package telemetry

import (
	"context"
	"strings"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

const (
	someTrace = "0af7651916cd43dd8448eb211c80319c"
	sampled   = "00-" + someTrace + "-b7ad6b7169203331-01"
	unsampled = "00-" + someTrace + "-b7ad6b7169203331-00"
)

func TestSampled(t *testing.T) {
	for text, want := range map[string]bool{
		sampled: true, unsampled: false, "": false, "-01": false, sampled + " ": false, strings.ToUpper(sampled): false,
		"00-" + someTrace + "-b7ad6b7169203331-0b":               true, // further flags mean nothing here
		"00-" + someTrace + "-b7ad6b7169203331-02":               false,
		"01-" + someTrace + "-b7ad6b7169203331-01":               false,
		"00-" + strings.Repeat("0", 32) + "-b7ad6b7169203331-01": false,
		"00-" + someTrace + "-0000000000000000-01":               false,
	} {
		if sc, ok := Sampled(text); ok != want || ok && (sc.TraceID().String() != someTrace || !sc.IsRemote()) {
			t.Errorf("%q is sampled: %t, %v", text, ok, sc)
		}
	}
	if TraceID(unsampled) != someTrace || TraceID("00-") != "" {
		t.Errorf("the trace of %s is %q, of nonsense %q", unsampled, TraceID(unsampled), TraceID("00-"))
	}
}

// recorder makes spans by a setting, and keeps them.
func recorder(t *testing.T, sampler string, arg float64) (trace.Tracer, *tracetest.SpanRecorder) {
	t.Helper()
	kept := tracetest.NewSpanRecorder()
	tracing := &Tracing{cfg: TraceConfig{Sampler: sampler, SamplerArg: arg}, processor: kept}
	return tracing.Tracer("test"), kept
}

// A request is sampled by the setting, and by its client's word where that counts; what follows is sampled if the request is.
func TestSampling(t *testing.T) {
	for _, c := range []struct {
		sampler string
		arg     float64
		want    [3]bool // a request without a trace, of one that is sampled, of one that is not
	}{
		{"", 1, [3]bool{true, true, false}},
		{"parentbased_always_on", 1, [3]bool{true, true, false}},
		{"parentbased_always_off", 1, [3]bool{false, true, false}},
		{"parentbased_traceidratio", 0, [3]bool{false, true, false}},
		{"always_on", 0, [3]bool{true, true, true}},
		{"always_off", 1, [3]bool{false, false, false}},
		{"traceidratio", 1, [3]bool{true, true, true}},
		{"traceidratio", 0, [3]bool{false, false, false}},
	} {
		tracer, _ := recorder(t, c.sampler, c.arg)
		for i, given := range []string{"", sampled, unsampled} {
			_, request := tracer.Start(Remote(context.Background(), given), "request", trace.WithSpanKind(trace.SpanKindServer))
			if request.IsRecording() != c.want[i] {
				t.Errorf("%s %g: a request with %q is sampled: %t", c.sampler, c.arg, given, request.IsRecording())
			}
			follows := Under(tracer, TraceParent(request), "follows", trace.WithSpanKind(trace.SpanKindConsumer))
			if (follows != nil) != c.want[i] {
				t.Errorf("%s %g: what follows a request with %q is sampled: %t", c.sampler, c.arg, given, follows != nil)
			}
		}
		if Under(tracer, sampled, "consumed") == nil || Under(tracer, unsampled, "consumed") != nil || Under(tracer, "", "consumed") != nil {
			t.Errorf("%s %g: an event is not sampled as its order is", c.sampler, c.arg)
		}
	}
}

// What is done for many is a span of its own, linked with those that are recorded; for one, it is a part of that.
func TestTogether(t *testing.T) {
	tracer, kept := recorder(t, "always_off", 0)
	one, two := Under(tracer, sampled, "one"), Under(tracer, sampled, "two")
	ctx, both := Together(t.Context(), tracer, "together", []trace.Span{one, nil, two})
	if both == nil || trace.SpanFromContext(ctx) != both {
		t.Fatalf("what is done for two is %v", both)
	}
	if _, none := Together(t.Context(), tracer, "together", []trace.Span{nil, trace.SpanFromContext(context.Background())}); none != nil {
		t.Errorf("what is done for nobody is %v", none)
	}
	_, part := Together(t.Context(), tracer, "part", []trace.Span{one})
	for _, span := range []trace.Span{part, both, two, one} {
		span.End()
	}
	spans := map[string]sdktrace.ReadOnlySpan{}
	for _, s := range kept.Ended() {
		spans[s.Name()] = s
	}
	if got := spans["together"]; len(got.Links()) != 2 || got.Parent().IsValid() || got.SpanContext().TraceID() == one.SpanContext().TraceID() {
		t.Errorf("together: links %v, parent %v", got.Links(), got.Parent())
	}
	if got := spans["part"]; len(got.Links()) != 0 || got.Parent().SpanID() != one.SpanContext().SpanID() {
		t.Errorf("part: links %v, parent %v", got.Links(), got.Parent())
	}
	for _, name := range []string{"one", "two"} {
		if got := spans[name].Links(); len(got) != 1 || got[0].SpanContext.SpanID() != both.SpanContext().SpanID() {
			t.Errorf("%s is linked with %v", name, got)
		}
	}
}
