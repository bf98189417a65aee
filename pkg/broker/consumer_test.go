package broker

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"orderflow/pkg/devstack/devtest"
)

// consumption is what a consumer that acknowledges everything at once has seen.
type consumption struct {
	mu    sync.Mutex
	seen  map[string]int // by id
	acked map[string]int
	news  chan struct{} // gets a token, if there is none, after each batch
	first chan struct{} // closed with the first message
}

// consumeAll consumes a queue until the test ends.
func consumeAll(t *testing.T, b *Broker, queue string) *consumption {
	c := &consumption{seen: map[string]int{}, acked: map[string]int{}, news: make(chan struct{}, 1), first: make(chan struct{})}
	consume(t, b, ConsumerConfig{Queue: queue, Prefetch: 500, Batch: 50}, c.take)
	return c
}

func (c *consumption) take(batch []*Delivery) {
	err := Ack(batch)
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.seen) == 0 && len(batch) > 0 {
		close(c.first)
	}
	for _, d := range batch {
		c.seen[d.ID]++
		if err == nil {
			c.acked[d.ID]++
		}
	}
	select {
	case c.news <- struct{}{}:
	default:
	}
}

// until waits until all these ids were seen.
func (c *consumption) until(t *testing.T, ids map[string]bool) {
	t.Helper()
	deadline := time.After(limit)
	for {
		c.mu.Lock()
		missing := 0
		for id := range ids {
			if c.seen[id] == 0 {
				missing++
			}
		}
		c.mu.Unlock()
		if missing == 0 {
			return
		}
		select {
		case <-c.news:
		case <-deadline:
			t.Fatalf("%d of %d messages never came", missing, len(ids))
		}
	}
}

// consume consumes until the test ends or stop is called, which waits for the end.
func consume(t *testing.T, b *Broker, cfg ConsumerConfig, handle func([]*Delivery)) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.Consume(ctx, cfg, handle) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := receive(t, "the end of Consume", ended); err != nil {
			t.Errorf("Consume: %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

func ids(n int) map[string]bool {
	all := map[string]bool{}
	for i := range n {
		all[fmt.Sprint(i)] = true
	}
	return all
}

func TestConsumeInBatches(t *testing.T) {
	env := devtest.New(t)
	b := connect(t, env.AMQPURL)
	declareQueue(t, b, "q")
	publishAll(t, publisher(t, b), numbered("q", 3000))

	var sizes []int
	linger := func(_ *Delivery, previous int) time.Duration {
		if previous >= 8 {
			return 5 * time.Millisecond
		}
		return 0
	}
	c := &consumption{seen: map[string]int{}, acked: map[string]int{}, news: make(chan struct{}, 1), first: make(chan struct{})}
	stop := consume(t, b, ConsumerConfig{Queue: "q", Prefetch: 500, Batch: 100, Linger: linger}, func(batch []*Delivery) {
		sizes = append(sizes, len(batch))
		c.take(batch)
	})
	c.until(t, ids(3000))
	stop()
	if largest := slices.Max(sizes); largest > 100 {
		t.Errorf("a batch had %d messages, more than 100", largest)
	}
	if len(sizes) > 300 {
		t.Errorf("3000 waiting messages came in %d batches", len(sizes))
	}
	if n := depth(t, b, "q"); n != 0 {
		t.Errorf("all are acknowledged, %d are in the queue", n)
	}
	for id, n := range c.seen {
		if n != 1 {
			t.Errorf("message %s came %d times", id, n)
		}
	}
}

// Messages are settled in a random order by several goroutines, some of them long after their batch.
func TestAckInAnyOrder(t *testing.T) {
	env := devtest.New(t)
	b := connect(t, env.AMQPURL)
	declareQueue(t, b, "q")
	const n = 4000
	publishAll(t, publisher(t, b), numbered("q", n))

	work := make(chan *Delivery, n)
	var settlers sync.WaitGroup
	var mu sync.Mutex
	seen := map[string]int{}
	all := make(chan struct{})
	for range 4 {
		settlers.Go(func() {
			var kept []*Delivery
			flush := func() {
				rand.Shuffle(len(kept), func(i, j int) { kept[i], kept[j] = kept[j], kept[i] })
				if err := Ack(kept); err != nil {
					t.Errorf("ack: %v", err)
				}
				mu.Lock()
				defer mu.Unlock()
				for _, d := range kept {
					seen[d.ID]++
				}
				if len(kept) > 0 && len(seen) == n {
					close(all)
				}
				kept = nil
			}
			for {
				select {
				case d, ok := <-work:
					if !ok {
						return
					}
					if kept = append(kept, d); rand.IntN(10) > 0 {
						continue
					}
				case <-time.After(20 * time.Millisecond): // nothing comes: let go of what is kept
				}
				flush()
			}
		})
	}
	stop := consume(t, b, ConsumerConfig{Queue: "q", Prefetch: 700, Batch: 64, Drain: func() {}}, func(batch []*Delivery) {
		for _, d := range batch {
			work <- d
		}
	})
	receive(t, "all messages", all)
	stop()
	close(work)
	settlers.Wait()
	for id, times := range seen {
		if times != 1 {
			t.Errorf("message %s came %d times", id, times)
		}
	}
	if n := depth(t, b, "q"); n != 0 {
		t.Errorf("%d messages are in the queue after all were acknowledged", n)
	}
}

// While the first message is not settled, all others go through and the stragglers stay the consumer's own.
func TestAckAroundAStraggler(t *testing.T) {
	env := devtest.New(t)
	b := connect(t, env.AMQPURL)
	declareQueue(t, b, "q")
	publishAll(t, publisher(t, b), numbered("q", 1000))

	var straggler *Delivery
	c := &consumption{seen: map[string]int{}, acked: map[string]int{}, news: make(chan struct{}, 1), first: make(chan struct{})}
	stop := consume(t, b, ConsumerConfig{Queue: "q", Prefetch: 50, Batch: 10}, func(batch []*Delivery) {
		if straggler == nil {
			straggler, batch = batch[0], batch[1:]
		}
		c.take(batch)
	})
	rest := ids(1000)
	delete(rest, "0")
	c.until(t, rest)
	if err := Ack([]*Delivery{straggler}); err != nil {
		t.Errorf("ack of the straggler: %v", err)
	}
	stop()
	if n := depth(t, b, "q"); n != 0 {
		t.Errorf("%d messages are in the queue after all were acknowledged", n)
	}
}

// What was handed out before the connection was lost cannot be settled after it, and comes again.
func TestAckAfterALostConnection(t *testing.T) {
	env := devtest.New(t)
	cutter, through := newProxy(t, env.AMQPURL)
	b := connect(t, through)
	declareQueue(t, b, "q")
	publishAll(t, publisher(t, connect(t, env.AMQPURL)), numbered("q", 10))

	batches := make(chan []*Delivery, 100)
	stop := consume(t, b, ConsumerConfig{Queue: "q", Prefetch: 10, Batch: 10}, func(batch []*Delivery) { batches <- batch })
	gather := func() map[string]*Delivery {
		got := map[string]*Delivery{}
		for len(got) < 10 {
			for _, d := range receive(t, "a batch", batches) {
				got[d.ID] = d
			}
		}
		return got
	}
	before := gather()
	cutter.cut()
	after := gather()
	if err := Ack(slices.Collect(maps.Values(before))); err == nil {
		t.Error("deliveries of a lost connection can be acknowledged")
	}
	for id, d := range after {
		if !d.Redelivered {
			t.Errorf("message %s does not say that it was delivered before", id)
		}
	}
	stop()
	eventually(t, "all ten are in the queue again", func() bool { return depth(t, b, "q") == 10 })
}

func TestConsumerSurvivesLostConnections(t *testing.T) {
	env := devtest.New(t)
	cutter, through := newProxy(t, env.AMQPURL)
	b := connect(t, through)
	declareQueue(t, b, "q")
	const n = 6000
	p := publisher(t, connect(t, env.AMQPURL))
	c := consumeAll(t, b, "q")
	for part := range 3 {
		publishAll(t, p, numbered("q", n)[part*2000:(part+1)*2000])
		cutter.cut()
	}
	c.until(t, ids(n))
	eventually(t, "the queue is empty", func() bool { return depth(t, b, "q") == 0 })
}

func TestConsumerWhoseQueueIsDeleted(t *testing.T) {
	env := devtest.New(t)
	b := connect(t, env.AMQPURL)
	declareQueue(t, b, "q")
	c := consumeAll(t, b, "q")
	p := publisher(t, b)
	publishAll(t, p, numbered("q", 1))
	receive(t, "the first message", c.first)
	manage(t, env, "DELETE", "/api/queues/"+vhost(t, env.AMQPURL)+"/q", nil, nil)
	eventually(t, "the queue is there again and takes messages", func() bool {
		return p.PublishAll(t.Context(), []Message{{Exchange: "t.events", RoutingKey: "q", Mandatory: true, ID: "again"}})[0] == nil
	})
	c.until(t, map[string]bool{"again": true})
}

// At the end everything that was handed out is waited for, and everything else is given back.
func TestConsumeGivesBackWhatIsNotSettled(t *testing.T) {
	env := devtest.New(t)
	b := connect(t, env.AMQPURL)
	declareQueue(t, b, "q")
	publishAll(t, publisher(t, b), numbered("q", 100))

	var mine []*Delivery
	got := make(chan struct{})
	drained := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- b.Consume(ctx, ConsumerConfig{Queue: "q", Prefetch: 60, Batch: 10, Drain: sync.OnceFunc(func() {
			if err := Ack(mine[:5]); err != nil {
				t.Errorf("ack while draining: %v", err)
			}
			close(drained)
		})}, func(batch []*Delivery) {
			if mine = append(mine, batch...); len(mine) > 5 {
				got <- struct{}{}
				<-ctx.Done()
			}
		})
	}()
	receive(t, "more than five messages", got)
	cancel()
	receive(t, "Drain", drained)
	if err := receive(t, "the end of Consume", ended); err != nil {
		t.Errorf("Consume: %v", err)
	}
	eventually(t, "all but the five that were settled are in the queue", func() bool { return depth(t, b, "q") == 95 })
	if err := Ack(mine[5:]); err == nil {
		t.Error("deliveries can be acknowledged after the consumer has ended")
	}
}

func TestConsumeEndsWhileTheBrokerIsAway(t *testing.T) {
	env := devtest.New(t)
	cutter, through := newProxy(t, env.AMQPURL)
	b := connect(t, through)
	declareQueue(t, b, "q")
	stop := consume(t, b, ConsumerConfig{Queue: "q", Prefetch: 10, Batch: 10}, func([]*Delivery) {})
	eventually(t, "there is a consumer", func() bool { return consumers(t, env, "q") == 1 })
	cutter.listener.Close()
	cutter.cut()
	eventually(t, "the connection is lost", func() bool { return !b.Connected() })
	stop()
}

// consumers tells how many consumers a queue has.
func consumers(t *testing.T, env *devtest.Env, queue string) int {
	b := connect(t, env.AMQPURL)
	ch, err := b.shared.channel(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	q, err := ch.QueueDeclarePassive(queue, true, false, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	return q.Consumers
}

// The queue is deleted while the first message of the session is in hand, and is there again before that is done.
func TestQueueThatVanishesUnderTheFirstMessage(t *testing.T) {
	env := devtest.New(t)
	b := connect(t, env.AMQPURL)
	declareQueue(t, b, "q")
	p := publisher(t, b)
	publishAll(t, p, numbered("q", 1))

	inHand, over, goOn := make(chan struct{}), make(chan struct{}), make(chan struct{})
	var first sync.Once
	c := &consumption{seen: map[string]int{}, acked: map[string]int{}, news: make(chan struct{}, 1), first: make(chan struct{})}
	consume(t, b, ConsumerConfig{Queue: "q", Prefetch: 100, Batch: 10}, func(batch []*Delivery) {
		first.Do(func() {
			close(inHand)
			<-batch[0].session.over
			close(over)
			<-goOn
		})
		c.take(batch)
	})
	receive(t, "the first message", inHand)
	manage(t, env, "DELETE", "/api/queues/"+vhost(t, env.AMQPURL)+"/q", nil, nil)
	receive(t, "the end of the subscription", over)
	if err := b.Redeclare(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the queue takes messages", func() bool {
		return p.PublishAll(t.Context(), []Message{{Exchange: "t.events", RoutingKey: "q", Mandatory: true, ID: "again"}})[0] == nil
	})
	close(goOn)
	c.until(t, map[string]bool{"again": true})
}
