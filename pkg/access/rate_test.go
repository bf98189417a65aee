package access

import (
	"fmt"
	"net/http"
	"testing"
	"time"
)

func TestRate(t *testing.T) {
	t.Parallel()
	now := time.Now()
	l := newLimit(Rate{PerSecond: 2, Burst: 5})
	h := http.Header{}
	for i, want := range []string{`"default";r=4;t=1`, `"default";r=3;t=1`, `"default";r=2;t=2`, `"default";r=1;t=2`, `"default";r=0;t=3`} {
		if after := l.take(h, now); after != 0 || h.Get("RateLimit") != want || h.Get("RateLimit-Policy") != `"default";q=5;w=3` {
			t.Errorf("request %d: after %d s, %v, want %s", i, after, h, want)
		}
	}
	if after := l.take(h, now); after != 1 || h.Get("RateLimit") != `"default";r=0;t=3` {
		t.Errorf("one too many: after %d s, %v", after, h)
	}
	if after := l.take(h, now.Add(500*time.Millisecond)); after != 0 {
		t.Errorf("when one has come back: after %d s", after)
	}
	slow := newLimit(Rate{PerSecond: 0.1})
	if slow.take(h, now); h.Get("RateLimit-Policy") != `"default";q=1;w=10` {
		t.Errorf("one in ten seconds: %v", h)
	}
	if after := slow.take(h, now); after != 10 {
		t.Errorf("one in ten seconds: after %d s", after)
	}
}

// The memory of those whom nobody has listed has an end, and whoever is over the limit is not forgotten for newcomers.
func TestLimitsAreBounded(t *testing.T) {
	t.Parallel()
	now := time.Now()
	l := &limits{rate: Rate{PerSecond: 1, Burst: 1}, known: map[string]*limit{}}
	for i := range maxLimits {
		l.of(fmt.Sprint("idle-", i), now)
	}
	busy := l.of("busy", now)
	busy.take(http.Header{}, now)
	for i := range 10 * maxLimits {
		now = now.Add(time.Microsecond)
		l.of(fmt.Sprint("caller-", i), now)
		if n := len(l.known); n > maxLimits {
			t.Fatalf("%d callers are remembered", n)
		}
	}
	if l.of("idle-0", now); len(l.known) > maxLimits {
		t.Errorf("%d callers are remembered", len(l.known))
	}
	none := &limits{}
	if none.of("anybody", now) != nil {
		t.Error("there is a limit where none is configured")
	}
}
