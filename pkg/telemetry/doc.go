// Package telemetry is how a process tells what it does: structured logs and metrics.
package telemetry
