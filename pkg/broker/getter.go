package broker

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// Depth tells how many messages wait in a queue, or ErrNoQueue.
func (b *Broker) Depth(ctx context.Context, queue string) (int, error) {
	ch, err := b.shared.channel(ctx)
	if err != nil {
		return 0, err
	}
	defer ch.Close()
	q, err := ch.QueueDeclarePassive(queue, true, false, false, false, nil)
	if isCode(err, amqp.NotFound) {
		return 0, fmt.Errorf("queue %q: %w", queue, ErrNoQueue)
	}
	if err != nil {
		return 0, fmt.Errorf("queue %q: %w", queue, err)
	}
	return q.Messages, nil
}

// Getter takes messages from a queue one by one, in their order, and holds them until they are settled or given back. It is for one
// goroutine.
type Getter struct {
	queue   string
	session *session
	tags    []string // of its consumers
	pumps   sync.WaitGroup
	waiting chan *Delivery
	closing chan struct{}
	early   map[uint64]*Delivery // what has come before its turn, by delivery tag
	last    uint64               // the tag of what was taken last
	runs    []run
}

// run is messages that came one after the other by way of one consumer, or by none.
type run struct {
	consumer string
	from, to uint64 // delivery tags
}

// lull is for how long nothing comes before a getter asks whether there is anything.
const lull = 50 * time.Millisecond

// NewGetter opens a getter on a queue.
func (b *Broker) NewGetter(ctx context.Context, queue string) (*Getter, error) {
	ch, err := b.shared.channel(ctx)
	if err != nil {
		return nil, err
	}
	return &Getter{
		queue: queue, session: &session{ch: ch, ledger: newLedger()},
		waiting: make(chan *Delivery, 64), closing: make(chan struct{}), early: map[uint64]*Delivery{},
	}, nil
}

// Ahead lets the broker send n more messages than so far before one of them is settled, without being asked for each. Those that come are
// given back by Close, whether they were taken or not. Their order is the queue's where Ahead is called when there is no room left.
func (g *Getter) Ahead(n int) error {
	if err := g.session.ch.Qos(n, 0, false); err != nil {
		return fmt.Errorf("set prefetch: %w", err)
	}
	tag := fmt.Sprintf("getter-%d-%06d", time.Now().UnixNano(), len(g.tags))
	in, err := g.session.ch.Consume(g.queue, tag, false, false, false, false, nil)
	if err != nil {
		return g.explain(err)
	}
	g.tags = append(g.tags, tag)
	g.pumps.Go(func() {
		for d := range in {
			select {
			case g.waiting <- newDelivery(&d, g.queue, g.session):
			case <-g.closing:
			}
		}
	})
	return nil
}

// Next takes the next message; it is nil where the queue is empty. The message is settled with Ack.
func (g *Getter) Next() (*Delivery, error) {
	for empty := 0; ; {
		if d := g.early[g.last+1]; d != nil {
			delete(g.early, d.tag)
			g.take(d)
			return d, nil
		}
		if len(g.tags) > 0 && g.receive() {
			continue
		}
		d, err := g.get()
		switch {
		case err != nil:
			return nil, err
		case d != nil:
			g.early[d.tag] = d
		case len(g.tags) == 0 || empty > 0:
			return nil, nil
		default:
			empty++ // what was sent before may still be on its way through the library
		}
	}
}

func (g *Getter) take(d *Delivery) {
	g.last = d.tag
	if n := len(g.runs); n > 0 && g.runs[n-1].consumer == d.consumer {
		g.runs[n-1].to = d.tag
		return
	}
	g.runs = append(g.runs, run{d.consumer, d.tag, d.tag})
}

// receive waits for what the broker sends, and tells whether anything came.
func (g *Getter) receive() bool {
	select {
	case d := <-g.waiting:
		g.early[d.tag] = d
		return true
	default:
	}
	timer := time.NewTimer(lull)
	defer timer.Stop()
	select {
	case d := <-g.waiting:
		g.early[d.tag] = d
		return true
	case <-timer.C:
		return false
	}
}

func (g *Getter) get() (*Delivery, error) {
	d, ok, err := g.session.ch.Get(g.queue, false)
	if err != nil {
		return nil, g.explain(err)
	}
	if !ok {
		return nil, nil
	}
	return newDelivery(&d, g.queue, g.session), nil
}

func (g *Getter) explain(err error) error {
	if isCode(err, amqp.NotFound) {
		return fmt.Errorf("queue %q: %w", g.queue, ErrNoQueue)
	}
	return fmt.Errorf("get from queue %q: %w", g.queue, err)
}

// Close gives back what was taken and not settled, in its old order. In a quorum queue with a delivery limit it comes before
// what was never taken, but behind what was given back earlier; without a limit it comes to the end. Another getter finds it
// there as soon as Close has returned, though the depth that RabbitMQ tells may lag behind; after a mere end of the channel the
// queue would find out later, and RabbitMQ 4.3 would count that against the message.
func (g *Getter) Close() error {
	for _, tag := range g.tags {
		if g.session.ch.Cancel(tag, true) != nil { // without an answer; see session.unsubscribe
			break
		}
	}
	g.flush()
	err := g.giveBack()
	err = cmp.Or(g.session.ch.Close(), err)
	close(g.closing)
	g.pumps.Wait()
	return err
}

// together is how many messages of one consumer a quorum queue takes back in their order. RabbitMQ 3.10 keeps them in a map, which Erlang
// orders up to this size.
const together = 32

// giveBack gives back what is not settled, few by few, and never of two consumers at once: RabbitMQ would take that in an order of its own.
func (g *Getter) giveBack() error {
	g.session.mu.Lock()
	defer g.session.mu.Unlock()
	for _, r := range g.runs {
		n, last := 0, uint64(0)
		for tag := range g.session.ledger.open(r.from, r.to) {
			if n, last = n+1, tag; n < together {
				continue
			}
			if err := g.session.ch.Nack(last, true, true); err != nil {
				return err
			}
			n = 0
		}
		if n > 0 {
			if err := g.session.ch.Nack(last, true, true); err != nil {
				return err
			}
		}
	}
	return g.session.ch.Nack(0, true, true) // and all that was not taken
}

// flush waits until the queue knows of what was acknowledged. RabbitMQ does not answer to that: a channel with more than 32 commands
// (quorum_commands_soft_limit) on their way to a quorum queue keeps further ones to itself, and forgets them when it is closed at that
// moment, so that messages come back which were acknowledged. Gets are answered after everything before them was done: the first one
// takes along what is on its way, the second what was kept back until then.
func (g *Getter) flush() {
	g.session.mu.Lock()
	acked := g.session.acked
	g.session.mu.Unlock()
	if !acked {
		return
	}
	for range 2 {
		if _, _, err := g.session.ch.Get(g.queue, false); err != nil {
			return // the channel is closed, which Close will say
		}
	}
}
