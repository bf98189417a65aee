package main

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"io"
	"log/slog"
	"sync"
	"time"

	mq "orderflow/pkg/broker"
)

// tap is one more subscriber of orders.events, such as anybody may add. It sees every event, and publishes some of them again: the
// same message, a moment or a while later, among others.
type tap struct {
	broker    *mq.Broker
	publisher *mq.Publisher
	seed      uint64
	listener  sync.WaitGroup
	late      sync.WaitGroup // copies that are still to come

	mu      sync.Mutex
	said    map[string]map[string]bool // ids of events, by order and type
	waiting map[string]chan struct{}   // closed when the first of that order and type is heard
	copies  int                        // published again
	lost    int                        // copies that could not be published; nobody needs them
	stormy  bool
}

const (
	exchange = "orders.events"
	tapQueue = "chaos.tap"
	mark     = "chaos-copy" // a header of copies, so that they are not copied

	copyLate = 20 * time.Second
	// The events of one order in three are doubled, and of the others none: a copy also heals the loss of its original, which is to be
	// noticed. In a storm each comes so many times. The exception is the one event that nothing but the inbox keeps from being answered
	// twice, and whose loss breaks no promise: it is doubled always.
	oneIn  = 3
	storm  = 5
	always = "CancellationRequested"
)

func openTap(ctx context.Context, seed uint64, url string) (*tap, error) {
	b, err := mq.Open(ctx, mq.Config{URLs: []string{url}, Name: "chaos", Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		return nil, err
	}
	t := &tap{broker: b, publisher: b.NewPublisher(), seed: seed, said: map[string]map[string]bool{}, waiting: map[string]chan struct{}{}}
	if err := b.Declare(ctx, mq.Topology{Exchange: exchange, Queues: []mq.Queue{{Name: tapQueue, RoutingKeys: []string{"#"}}}}); err != nil {
		return nil, err
	}
	return t, nil
}

// run listens until ctx ends.
func (t *tap) run(ctx context.Context) {
	t.listener.Go(func() {
		t.broker.Consume(ctx, mq.ConsumerConfig{Queue: tapQueue, Prefetch: 500, Batch: 100}, func(batch []*mq.Delivery) {
			for _, d := range batch {
				t.hear(ctx, d)
			}
			mq.Ack(batch)
		})
	})
}

// close leaves nothing of the tap on the broker but its queue. The context of run must have ended.
func (t *tap) close() {
	t.listener.Wait()
	t.late.Wait()
	t.broker.Close()
}

func (t *tap) hear(ctx context.Context, d *mq.Delivery) {
	if d.Headers[mark] != nil {
		return
	}
	var e struct{ ID, Type, Subject string }
	if json.Unmarshal(d.Body, &e) != nil {
		return
	}
	what := e.Type + " of " + e.Subject
	t.mu.Lock()
	if t.said[what] == nil {
		t.said[what] = map[string]bool{}
		if heard := t.waiting[what]; heard != nil {
			close(heard)
			delete(t.waiting, what)
		}
	}
	again := t.said[what][e.ID] // by a service: it was not sure that the broker has it
	t.said[what][e.ID] = true
	stormy := t.stormy
	t.mu.Unlock()
	if again {
		return
	}
	if e.Type != always && t.dice(e.Subject)%oneIn != 0 {
		return
	}
	times := uint64(1)
	if stormy {
		times = storm
	}
	for i := range times {
		t.repeat(ctx, d, time.Duration(t.dice(fmt.Sprint(e.ID, i))%uint64(copyLate)))
	}
}

// dice throws a die that has always the same number for the same thing.
func (t *tap) dice(what string) uint64 {
	h := fnv.New64a()
	fmt.Fprint(h, t.seed, what)
	return h.Sum64()
}

// repeat publishes a copy after a while.
func (t *tap) repeat(ctx context.Context, d *mq.Delivery, after time.Duration) {
	c := d.Copy()
	c.Headers[mark] = "1"
	t.late.Go(func() {
		if sleep(ctx, after); ctx.Err() != nil {
			return
		}
		errs := t.publisher.PublishAll(ctx, []mq.Message{c})
		t.mu.Lock()
		defer t.mu.Unlock()
		if errs[0] == nil {
			t.copies++
		} else {
			t.lost++
		}
	})
}

// heard is closed when an event of that type has been heard of that order.
func (t *tap) heard(eventType, order string) <-chan struct{} {
	what := eventType + " of " + order
	t.mu.Lock()
	defer t.mu.Unlock()
	heard := t.waiting[what]
	if heard == nil {
		heard = make(chan struct{})
		if t.said[what] != nil {
			close(heard)
		} else {
			t.waiting[what] = heard
		}
	}
	return heard
}

// count tells how many copies were published.
func (t *tap) count() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.copies
}

// multiply makes the tap repeat events many times, for a while.
func (t *tap) multiply(ctx context.Context, d time.Duration) error {
	set := func(on bool) {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.stormy = on
	}
	set(true)
	defer set(false)
	sleep(ctx, d)
	return nil
}

// holdBack takes messages out of a queue and gives them back after a while, so that those behind them come first.
func (t *tap) holdBack(ctx context.Context, queue string, d time.Duration) error {
	ctx, stop := context.WithTimeout(ctx, d)
	defer stop()
	held := 0
	take := func(batch []*mq.Delivery) { held += len(batch) }
	if err := t.broker.Consume(ctx, mq.ConsumerConfig{Queue: queue, Prefetch: 50, Batch: 50}, take); err != nil || held > 0 {
		return err
	}
	return errNoEffect
}

// repeated lists what was said in more than one event.
func (t *tap) repeated() (found []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for what, ids := range t.said {
		if len(ids) > 1 {
			found = append(found, fmt.Sprintf("%s was said in %d events", what, len(ids)))
		}
	}
	return found
}
