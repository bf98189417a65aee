package broker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// ConsumerConfig says what to consume and how.
type ConsumerConfig struct {
	Queue    string
	Prefetch int // how many messages may be unsettled at a time
	Batch    int // how many messages are handed out together, at most
	// Linger tells how long a batch that begins with first may wait to grow, where the one before it had previous messages. Where it is
	// nil, none waits.
	Linger func(first *Delivery, previous int) time.Duration
	// Drain is called when consuming stops, and returns when everything that was handed out is settled or given up; nil where
	// handle settles everything before it returns.
	Drain func()
}

// Consume hands out batches until ctx ends. handle is called with one batch after the other; it settles the messages with Ack,
// then or later, in any order. A message that is not settled when its session ends comes again: after a lost connection to the
// next session, after ctx to whoever consumes the queue then. The error is nil when ctx has ended.
func (b *Broker) Consume(ctx context.Context, cfg ConsumerConfig, handle func([]*Delivery)) error {
	if cfg.Drain == nil {
		cfg.Drain = func() {}
	}
	lost := false
	found := func() {
		if lost {
			lost = false
			b.lost.Add(-1)
		}
	}
	defer found()
	pause := firstPause
	for {
		began := time.Now()
		err := b.consumeOnce(ctx, cfg, found, handle)
		if ctx.Err() != nil {
			cfg.Drain()
			return nil
		}
		if !lost {
			lost = true
			b.lost.Add(1)
		}
		if time.Since(began) > longestWait {
			pause = firstPause
		}
		b.cfg.Log.Warn("consumer lost, subscribing again", "queue", cfg.Queue, "error", err)
		if !wait(ctx, jitter(pause)) {
			cfg.Drain()
			return nil
		}
		pause = min(2*pause, longestWait)
		if isCode(err, amqp.NotFound) {
			if err := b.Redeclare(ctx); err != nil {
				b.cfg.Log.Error("cannot declare the queues again", "error", err)
			}
		}
	}
}

// session is the life of one channel that consumes.
type session struct {
	ch      *amqp.Channel
	cfg     ConsumerConfig
	name    string // of its consumers
	waiting chan *Delivery
	pumps   sync.WaitGroup
	tags    []string      // of the consumers
	over    chan struct{} // closed when the first of the consumers has ended: the session is over for all of them
	end     sync.Once

	mu     sync.Mutex
	ledger *ledger
	acked  bool // anything, ever
}

// consumeOnce is one session; found is called when it has begun.
func (b *Broker) consumeOnce(ctx context.Context, cfg ConsumerConfig, found func(), handle func([]*Delivery)) error {
	ch, err := b.shared.channel(ctx)
	if err != nil {
		return err
	}
	defer ch.Close()
	closed := ch.NotifyClose(make(chan *amqp.Error, 1))
	s := &session{
		ch: ch, cfg: cfg, name: fmt.Sprintf("%s-%d", b.cfg.Name, time.Now().UnixNano()), ledger: newLedger(),
		waiting: make(chan *Delivery, cfg.Prefetch+1), over: make(chan struct{}),
	}
	if err := s.subscribe(1); err != nil {
		return err
	}
	found()
	err = s.handOut(ctx, handle)
	if ctx.Err() != nil {
		s.unsubscribe()
		cfg.Drain()
	}
	ch.Close() // gives back what was not handed out or not settled
	s.pumps.Wait()
	select {
	case reason := <-closed:
		if reason != nil {
			return reason
		}
	default:
	}
	return cmp.Or(err, errCancelled)
}

var errCancelled = errors.New("the broker ended the subscription (was the queue deleted?)")

// subscribe starts a consumer that holds up to prefetch messages.
func (s *session) subscribe(prefetch int) error {
	if err := s.ch.Qos(prefetch, 0, false); err != nil {
		return fmt.Errorf("set prefetch: %w", err)
	}
	consumer := fmt.Sprintf("%s-%d", s.name, prefetch)
	in, err := s.ch.Consume(s.cfg.Queue, consumer, false, false, false, false, nil)
	if isCode(err, amqp.AccessRefused) {
		return fmt.Errorf("consume: the user needs to read the queue: %w", err)
	}
	if err != nil {
		return fmt.Errorf("consume: %w", err)
	}
	s.tags = append(s.tags, consumer)
	// The library hands deliveries over one at a time. They are pumped into a channel that holds all of them, so that a batch
	// is there when the one before it is done. It cannot overflow: the broker sends no more than the prefetch unsettled.
	s.pumps.Go(func() {
		defer s.end.Do(func() { close(s.over) })
		for d := range in {
			s.waiting <- newDelivery(&d, s.cfg.Queue, s)
		}
	})
	return nil
}

// unsubscribe asks the broker for no more messages. It does not wait for an answer: to a consumer whose queue is being deleted
// RabbitMQ 3.10 gives two, and the second would block the library's reader for ever.
func (s *session) unsubscribe() {
	for _, tag := range s.tags {
		if s.ch.Cancel(tag, true) != nil {
			return // the channel is closed, and the consumers with it
		}
	}
}

// suspicious is how often a message was delivered in vain before it counts as one that may kill its consumer.
const suspicious = 3

// handOut calls handle until the session or ctx ends.
//
// A consumer that dies is charged for everything it holds: with a large prefetch, a message that kills its consumer would take
// its neighbours with it to the delivery limit. So a session begins carefully, with one message at a time, and goes on so as long
// as the messages were delivered in vain before; the broker delivers those first. The consumer that it begins with stays beside
// the one that is added then.
func (s *session) handOut(ctx context.Context, handle func([]*Delivery)) error {
	careful, previous, limits := true, 0, s.cfg
	limits.Batch = 1
	for {
		batch := s.collect(ctx, limits, previous)
		if batch == nil {
			return nil
		}
		previous = len(batch)
		handle(batch)
		if careful && batch[0].deliveredBefore() < suspicious {
			if err := s.subscribe(s.cfg.Prefetch); err != nil {
				return err
			}
			careful, limits = false, s.cfg
		}
	}
}

// deliveredBefore tells how often the message was delivered and not settled.
func (d *Delivery) deliveredBefore() int64 {
	n, _ := d.Headers["x-delivery-count"].(int64)
	return n
}

// collect waits for a message and takes what else is there, up to a batch. It returns nil when there will be no more: what is
// left of a session that is over comes again, in the next one.
func (s *session) collect(ctx context.Context, cfg ConsumerConfig, previous int) []*Delivery {
	select {
	case <-s.over:
		return nil
	case <-ctx.Done():
		return nil
	default:
	}
	var batch []*Delivery
	select {
	case d := <-s.waiting:
		batch = append(make([]*Delivery, 0, min(cfg.Batch, len(s.waiting)+previous+1)), d)
	case <-s.over:
		return nil
	case <-ctx.Done():
		return nil
	}
	var timeout <-chan time.Time
	if cfg.Linger != nil {
		if linger := cfg.Linger(batch[0], previous); linger > 0 {
			timer := time.NewTimer(linger)
			defer timer.Stop()
			timeout = timer.C
		}
	}
	for len(batch) < cfg.Batch {
		select {
		case d := <-s.waiting:
			batch = append(batch, d)
			continue
		default:
		}
		if timeout == nil {
			return batch
		}
		select {
		case d := <-s.waiting:
			batch = append(batch, d)
		case <-timeout:
			return batch
		case <-s.over:
			return batch
		case <-ctx.Done():
			return batch
		}
	}
	return batch
}

// Ack settles deliveries: the broker forgets them. An error means that their session is over and that they come again.
func Ack(ds []*Delivery) error {
	for s, mine := range bySession(ds) {
		if err := s.ack(mine); err != nil {
			return fmt.Errorf("ack: %w", err)
		}
	}
	return nil
}

// bySession groups deliveries; mostly there is one group.
func bySession(ds []*Delivery) map[*session][]uint64 {
	groups := make(map[*session][]uint64, 1)
	for _, d := range ds {
		groups[d.session] = append(groups[d.session], d.tag)
	}
	return groups
}

func (s *session) ack(tags []uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.acked = true
	slices.Sort(tags)
	upTo, singles := s.ledger.settle(tags)
	if upTo > 0 {
		if err := s.ch.Ack(upTo, true); err != nil {
			return err
		}
	}
	for _, tag := range singles {
		if err := s.ch.Ack(tag, false); err != nil {
			return err
		}
	}
	return nil
}
