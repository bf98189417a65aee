// Package telemetry is how a process tells what it does: structured logs, metrics and traces.
//
// # Traces
//
// An order has one trace, from the request that placed it to its last status, whatever happens on the way. Whether it is recorded is decided once,
// where the request comes in (see [TraceConfig]); everything else finds that decision in the W3C trace context that the events carry, and an order
// that is not recorded costs nothing further. What belongs to many orders, the transaction of a batch, is a span of its own that is linked with
// the spans of those orders that are recorded.
//
// Names and attributes are those of OpenTelemetry's conventions for messaging and HTTP, as far as they have any.
package telemetry
