package broker

import (
	"context"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"orderflow/pkg/devstack/devtest"
)

// A message that kills whoever takes it is isolated by the delivery limit, with the broker's own words about it.
func TestDeliveryLimitIsolates(t *testing.T) {
	env := devtest.New(t)
	b := connect(t, env.AMQPURL)
	declareQueue(t, b, "q")
	publishAll(t, publisher(t, b), numbered("q", 1))
	looks := 0
	for depth(t, b, DeadLetterQueue("q")) == 0 {
		g, err := b.NewGetter(t.Context(), "q")
		if err != nil {
			t.Fatal(err)
		}
		d, err := g.Next()
		if err != nil {
			t.Fatal(err)
		}
		if d != nil {
			looks++
		}
		g.Close()
		if looks > deliveryLimit+1 {
			t.Fatalf("delivered %d times, with a limit of %d", looks, deliveryLimit)
		}
	}
	g, err := b.NewGetter(t.Context(), DeadLetterQueue("q"))
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	d, err := g.Next()
	if err != nil || d == nil {
		t.Fatalf("the dead letter: %v, %v", d, err)
	}
	deaths := d.Deaths()
	if len(deaths) != 1 || deaths[0].Queue != "q" || deaths[0].Reason != "delivery_limit" || deaths[0].Count != 1 {
		t.Errorf("deaths %+v", deaths)
	}
	if d.Exchange != "t.events" && d.RoutingKey != "q" {
		t.Errorf("the dead letter came by %q %q", d.Exchange, d.RoutingKey)
	}
	for name := range d.Copy().Headers {
		t.Errorf("a copy has the broker's header %s", name)
	}
}

// Looking at a dead letter any number of times leaves it there.
func TestLooksDoNotWearOutADeadLetter(t *testing.T) {
	env := devtest.New(t)
	b := connect(t, env.AMQPURL)
	declareQueue(t, b, "q")
	dlq := DeadLetterQueue("q")
	publishAll(t, publisher(t, b), []Message{{RoutingKey: dlq, Mandatory: true, ID: "dead"}})
	for range 30 {
		g, err := b.NewGetter(t.Context(), dlq)
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, "the dead letter is there", func() bool {
			d, err := g.Next()
			if err != nil {
				t.Fatal(err)
			}
			return d != nil
		})
		if err := g.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if n := idsIn(t, b, dlq); n["dead"] != 1 {
		t.Errorf("after 30 looks the queue has %v", n)
	}
}

// A message that kills its consumer, again and again, goes to the dead-letter queue alone, although the consumer held many others
// each time it died.
func TestAKillerDiesAlone(t *testing.T) {
	const killer, messages = "100", 200
	env := devtest.New(t)
	observer := connect(t, env.AMQPURL)
	declareQueue(t, observer, "q")
	publishAll(t, publisher(t, observer), numbered("q", messages))

	proxy, through := newProxy(t, env.AMQPURL)
	b := connect(t, through)
	var mu sync.Mutex
	acked := map[string]int{}
	deaths := 0
	for depth(t, observer, DeadLetterQueue("q")) == 0 {
		ctx, die := context.WithTimeout(t.Context(), 2*time.Second) // a life without the killer ends, too
		b.Consume(ctx, ConsumerConfig{Queue: "q", Prefetch: messages, Batch: 50}, func(batch []*Delivery) {
			if slices.ContainsFunc(batch, func(d *Delivery) bool { return d.ID == killer }) {
				proxy.cut()
				die()
				return
			}
			if Ack(batch) != nil {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			for _, d := range batch {
				acked[d.ID]++
			}
		})
		die()
		if deaths++; deaths > deliveryLimit+5 {
			t.Fatalf("after %d deaths the killer still lives", deaths)
		}
	}
	if dead := idsIn(t, observer, DeadLetterQueue("q")); !maps.Equal(dead, map[string]int{killer: 1}) {
		t.Errorf("dead are %v, want only %s", dead, killer)
	}
	rest := consumeAll(t, observer, "q")
	want := ids(messages)
	delete(want, killer)
	for id := range acked {
		delete(want, id)
	}
	rest.until(t, want)
}
