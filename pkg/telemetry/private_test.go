package telemetry

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestRedact(t *testing.T) {
	secret := Private(errors.New("status 500: 0"), "status 500: (not shown)")
	other := Private(errors.New("status 502: card 1"), "status 502: (not shown)")
	for want, err := range map[string]error{
		"plain":                            errors.New("plain"),
		"status 500: (not shown)":          secret,
		"gateway: status 500: (not shown)": fmt.Errorf("gateway: %w", secret),
		"a: status 500: (not shown)\nb: status 502: (not shown)": errors.Join(fmt.Errorf("a: %w", secret), fmt.Errorf("b: %w", other)),
		"status 502: (not shown)":                                clipped{other},
	} {
		if got := Redact(err); got != want {
			t.Errorf("%q is redacted to %q, want %q", err, got, want)
		}
	}
	var log bytes.Buffer
	NewLogger(&log, slog.LevelInfo, "json").Info("failed", "error", fmt.Errorf("gateway: %w", other), "trace_id", "", "order_id", "1")
	if text := log.String(); strings.Contains(text, "card") || !strings.Contains(text, "(not shown)") || strings.Contains(text, "trace_id") || !strings.Contains(text, `"order_id":"1"`) {
		t.Error(text)
	}
}

// clipped is an error that shows a part of another.
type clipped struct{ error }

func (c clipped) Error() string { return c.error.Error()[:12] }
func (c clipped) Unwrap() error { return c.error }
