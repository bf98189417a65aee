package broker

import (
	"context"
	"errors"
	"slices"
	"testing"

	"orderflow/pkg/devstack/devtest"
)

// hearing runs Hear until the test ends or stop is called; heard gets the ids.
func hearing(t *testing.T, tap *Tap) (heard chan string, ended chan error, stop context.CancelFunc) {
	heard, ended = make(chan string, 100), make(chan error, 1)
	ctx, stop := context.WithCancel(t.Context())
	t.Cleanup(stop)
	go func() { ended <- tap.Hear(ctx, func(m *Message) { heard <- m.RoutingKey + " " + m.ID }) }()
	return heard, ended, stop
}

// TestTap hears what it asked for, beside the queues that get the same, and nothing else.
func TestTap(t *testing.T) {
	t.Parallel()
	b := connect(t, devtest.New(t).AMQPURL)
	declareQueue(t, b, "tapped", "other", "last")
	tap, err := b.Tap(t.Context(), "t.events", "tapped", "last")
	if err != nil {
		t.Fatal(err)
	}
	heard, ended, stop := hearing(t, tap)
	p := publisher(t, b)
	for _, queue := range []string{"tapped", "other", "last"} {
		publishAll(t, p, numbered(queue, 2))
	}
	var all []string
	for range 4 {
		all = append(all, receive(t, "a message", heard))
	}
	if want := []string{"tapped 0", "tapped 1", "last 0", "last 1"}; !slices.Equal(all, want) {
		t.Errorf("heard %q, want %q", all, want)
	}
	if n := len(idsIn(t, b, "tapped")); n != 2 {
		t.Errorf("the queue beside it got %d messages, want 2", n)
	}
	stop()
	if err := receive(t, "the end of Hear", ended); err != nil {
		t.Error(err)
	}
}

// TestTapLost is told of a lost connection: what was published meanwhile is not known.
func TestTapLost(t *testing.T) {
	t.Parallel()
	proxy, url := newProxy(t, devtest.New(t).AMQPURL)
	b := connect(t, url)
	declareQueue(t, b, "q")
	tap, err := b.Tap(t.Context(), "t.events", "q")
	if err != nil {
		t.Fatal(err)
	}
	_, ended, _ := hearing(t, tap)
	proxy.cut()
	if err := receive(t, "the end of Hear", ended); !errors.Is(err, ErrNotConnected) {
		t.Errorf("%v, want ErrNotConnected", err)
	}
}

func TestTapOfNothing(t *testing.T) {
	t.Parallel()
	b := connect(t, devtest.New(t).AMQPURL)
	if tap, err := b.Tap(t.Context(), "no.such.exchange", "q"); err == nil || tap != nil {
		t.Errorf("%v, %v", tap, err)
	}
}
