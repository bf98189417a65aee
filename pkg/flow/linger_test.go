package flow

import (
	"testing"
	"time"

	"orderflow/pkg/broker"
	"orderflow/pkg/event"
)

// What is late waits for a part of its delay; what is in time, or late for another reason, does not.
func TestLinger(t *testing.T) {
	cfg := Config{}.withDefaults()
	made := func(ago time.Duration) *broker.Delivery {
		id := event.FirstID(time.Now().Add(-ago))
		id[6], id[8] = 0x70, 0x80 // version 7
		return &broker.Delivery{Message: broker.Message{ID: id.String()}}
	}
	retried := made(time.Second)
	retried.Headers = map[string]any{HeaderAttempts: int64(1)}
	for _, c := range []struct {
		name     string
		first    *broker.Delivery
		busy     bool
		from, to time.Duration
	}{
		{"in time", made(0), false, -time.Hour, 0},
		{"in time, and busy", made(0), true, cfg.Linger, cfg.Linger},
		{"made by a clock that is ahead", made(-time.Hour), false, -1 << 62, 0},
		{"late", made(420 * time.Millisecond), false, 100 * time.Millisecond, lingerMost},
		{"very late", made(time.Hour), true, lingerMost, lingerMost},
		{"put off", retried, false, 0, 0},
		{"no id of ours", &broker.Delivery{Message: broker.Message{ID: "7"}}, false, 0, 0},
	} {
		if d := cfg.linger(c.first, c.busy); d < c.from || d > c.to {
			t.Errorf("%s: %s, want %s to %s", c.name, d, c.from, c.to)
		}
	}
}
