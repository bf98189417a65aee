package flow

import (
	"testing"
	"time"

	"orderflow/pkg/broker"
	"orderflow/pkg/event"
)

// What is late, and does not come alone, waits for a part of its delay; what is in time, or late for another reason, does not.
func TestLinger(t *testing.T) {
	cfg := Config{}.withDefaults()
	now := time.Now().Truncate(time.Millisecond) // as precise as ids are
	made := func(ago time.Duration) *broker.Delivery {
		id := event.FirstID(now.Add(-ago))
		id[6], id[8] = 0x70, 0x80 // version 7
		return &broker.Delivery{Message: broker.Message{ID: id.String()}}
	}
	retried := made(time.Second)
	retried.Headers = map[string]any{HeaderAttempts: int64(1)}
	for _, c := range []struct {
		name     string
		first    *broker.Delivery
		previous int
		want     time.Duration
	}{
		{"the first", made(time.Hour), 0, 0},
		{"in time", made(inTime), 2, 0},
		{"in time, and busy", made(inTime), busy, cfg.Linger},
		{"late, and alone", made(time.Second), 1, 0},
		{"late", made(inTime + 400*time.Millisecond), 2, 100 * time.Millisecond},
		{"very late", made(time.Hour), busy, lingerMost},
		{"put off", retried, 2, 0},
		{"no id of ours", &broker.Delivery{Message: broker.Message{ID: "7"}}, busy, cfg.Linger},
	} {
		if d := cfg.lingerAt(now, c.first, c.previous); d != c.want {
			t.Errorf("%s: %s, want %s", c.name, d, c.want)
		}
	}
	if d := cfg.lingerAt(now, made(-time.Hour), 2); d > 0 {
		t.Errorf("made by a clock that is ahead: %s", d)
	}
}
