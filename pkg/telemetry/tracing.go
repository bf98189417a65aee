package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// TraceConfig says where the spans of a process go, and of which requests there are any. Headers, certificates and time limits of the way there
// are OpenTelemetry's own variables, OTEL_EXPORTER_OTLP_*.
type TraceConfig struct {
	Endpoint   string // base URL of an OTLP receiver over HTTP, "http://127.0.0.1:4318"; empty: there are no spans
	Sampler    string // one of Samplers
	SamplerArg float64
	Version    string // of the program
	Log        *slog.Logger
}

// Samplers are the values of OTEL_TRACES_SAMPLER, by OpenTelemetry's specification. Those that are parent-based leave it to the client where
// its request belongs to a trace.
var Samplers = []string{
	"parentbased_always_on", "parentbased_traceidratio", "parentbased_always_off", "always_on", "traceidratio", "always_off",
}

// Tracing is where the spans of a process go. Close it at the end.
type Tracing struct {
	cfg       TraceConfig
	processor sdktrace.SpanProcessor // nil: there are no spans
}

// tellExportEvery is how often it is told that spans cannot be exported, at most.
const tellExportEvery = time.Minute

// OpenTracing begins to export spans. It does not connect: a receiver that is away costs spans, which is told, and nothing else. Where there are more
// than can be exported, those are left out that find no place in the queue (OTEL_BSP_MAX_QUEUE_SIZE).
func OpenTracing(ctx context.Context, cfg TraceConfig) (*Tracing, error) {
	t := &Tracing{cfg: cfg}
	if cfg.Endpoint == "" {
		return t, nil
	}
	otel.SetLogger(logr.FromSlogHandler(cfg.Log.With("part", "OpenTelemetry").Handler())) // which tells of its own variables
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(cfg.Endpoint+"/v1/traces"))
	if err != nil {
		return nil, fmt.Errorf("traces: %w", err)
	}
	t.processor = sdktrace.NewBatchSpanProcessor(exporter)
	var mu sync.Mutex
	var told time.Time
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		mu.Lock()
		defer mu.Unlock()
		if time.Since(told) > tellExportEvery {
			told = time.Now()
			cfg.Log.Warn("spans are lost", "error", err)
		}
	}))
	return t, nil
}

// Tracer makes the spans of a service of that name; nil where there are none.
func (t *Tracing) Tracer(service string) trace.Tracer {
	if t == nil || t.processor == nil {
		return nil
	}
	described, err := resource.New(context.Background(), resource.WithTelemetrySDK(), resource.WithHost(), resource.WithAttributes(
		attribute.String("service.namespace", "orderflow"), attribute.String("service.name", service),
		attribute.String("service.version", t.cfg.Version),
	), resource.WithFromEnv()) // OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME have the last word
	if err != nil {
		t.cfg.Log.Warn("traces tell less of where they come from", "error", err)
	}
	limits := sdktrace.NewSpanLimits()
	limits.AttributeValueLengthLimit = most
	return sdktrace.NewTracerProvider(sdktrace.WithRawSpanLimits(limits), sdktrace.WithSpanProcessor(t.processor), sdktrace.WithResource(described),
		sdktrace.WithSampler(newSampler(t.cfg))).Tracer(scope)
}

// scope names the part of the program that makes spans, by OpenTelemetry's word.
const scope = "orderflow"

// Close exports what there is, until ctx ends.
func (t *Tracing) Close(ctx context.Context) error {
	if t == nil || t.processor == nil {
		return nil
	}
	if err := t.processor.Shutdown(ctx); err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("spans are lost: %w", err)
	}
	return nil
}

// sampler decides once for an order, where its request comes in. All that follows is recorded if the request is, and what is done for many at a
// time is recorded if one of them is.
type sampler struct {
	root        sdktrace.Sampler
	parentBased bool
}

func newSampler(cfg TraceConfig) sdktrace.Sampler {
	s := sampler{root: sdktrace.AlwaysSample()}
	switch cfg.Sampler {
	case "always_off", "parentbased_always_off":
		s.root = sdktrace.NeverSample()
	case "traceidratio", "parentbased_traceidratio":
		s.root = sdktrace.TraceIDRatioBased(cfg.SamplerArg)
	}
	s.parentBased = cfg.Sampler == "" || cfg.Sampler[0] == 'p'
	return s
}

// ShouldSample implements sdktrace.Sampler.
func (s sampler) ShouldSample(p sdktrace.SamplingParameters) sdktrace.SamplingResult {
	parent := trace.SpanContextFromContext(p.ParentContext)
	if !parent.IsValid() && len(p.Links) > 0 || parent.IsValid() && (s.parentBased || p.Kind != trace.SpanKindServer) {
		decision := sdktrace.Drop
		if parent.IsSampled() || !parent.IsValid() && anySampled(p.Links) {
			decision = sdktrace.RecordAndSample
		}
		return sdktrace.SamplingResult{Decision: decision, Tracestate: parent.TraceState()}
	}
	return s.root.ShouldSample(p)
}

// Description implements sdktrace.Sampler.
func (s sampler) Description() string { return "orderflow, " + s.root.Description() }

func anySampled(links []trace.Link) bool {
	for _, link := range links {
		if link.SpanContext.IsSampled() {
			return true
		}
	}
	return false
}
