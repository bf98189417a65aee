package broker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// maxName is the longest name that AMQP has room for, in bytes. The library takes a longer one for the end of the connection.
const maxName = 255

// Exists tells whether there is a queue. It takes the broker's word that there is one which this user, or this connection, may not ask about.
func (b *Broker) Exists(ctx context.Context, queue string) (bool, error) {
	_, err := b.Depth(ctx, queue)
	switch {
	case errors.Is(err, ErrNoQueue):
		return false, nil
	case isCode(err, amqp.ResourceLocked), isCode(err, amqp.AccessRefused):
		return true, nil
	}
	return err == nil, err
}

// ExchangeExists tells whether there is an exchange, as Exists does of a queue.
func (b *Broker) ExchangeExists(ctx context.Context, exchange string) (bool, error) {
	ch, err := b.shared.channel(ctx)
	if err != nil {
		return false, err
	}
	defer ch.Close()
	err = ch.ExchangeDeclarePassive(exchange, amqp.ExchangeTopic, true, false, false, false, nil) // the kind is not looked at
	switch {
	case isCode(err, amqp.NotFound):
		return false, nil
	case isCode(err, amqp.AccessRefused):
		return true, nil
	case err != nil:
		return false, fmt.Errorf("exchange %q: %w", exchange, err)
	}
	return true, nil
}

// Depth tells how many messages wait in a queue, or ErrNoQueue.
func (b *Broker) Depth(ctx context.Context, queue string) (int, error) {
	messages, _, err := b.Inspect(ctx, queue)
	return messages, err
}

// Inspect tells how many messages wait in a queue, and how many consumers it has, or ErrNoQueue.
func (b *Broker) Inspect(ctx context.Context, queue string) (messages, consumers int, err error) {
	if len(queue) > maxName {
		return 0, 0, fmt.Errorf("queue %.50q…: %w", queue, ErrNoQueue)
	}
	ch, err := b.shared.channel(ctx)
	if err != nil {
		return 0, 0, err
	}
	defer ch.Close()
	q, err := ch.QueueDeclarePassive(queue, true, false, false, false, nil)
	if isCode(err, amqp.NotFound) {
		return 0, 0, fmt.Errorf("queue %q: %w", queue, ErrNoQueue)
	}
	if err != nil {
		return 0, 0, fmt.Errorf("queue %q: %w", queue, err)
	}
	return q.Messages, q.Consumers, nil
}

// Getter takes messages from a queue one by one, in their order, and holds them until they are settled or given back. It is for one
// goroutine.
type Getter struct {
	queue   string
	session *session
	tags    int                  // of consumers, so far
	ahead   map[uint64]*Delivery // what has come before its turn, by delivery tag
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
	if len(queue) > maxName {
		return nil, fmt.Errorf("queue %.50q…: %w", queue, ErrNoQueue)
	}
	ch, err := b.shared.channel(ctx)
	if err != nil {
		return nil, err
	}
	return &Getter{queue: queue, session: &session{ch: ch, ledger: newLedger()}, ahead: map[uint64]*Delivery{}}, nil
}

// Ahead lets the broker send n messages, or those that there are, without being asked for each. They are the next ones, and given back by
// Close whether they were taken or not. All of them have come when Ahead returns: one that was acknowledged before would make room for one
// that nobody has asked for.
func (g *Getter) Ahead(n int) error {
	if err := g.session.ch.Qos(n, 0, false); err != nil {
		return fmt.Errorf("set prefetch: %w", err)
	}
	g.tags++
	tag := fmt.Sprintf("getter-%d-%06d", time.Now().UnixNano(), g.tags)
	in, err := g.session.ch.Consume(g.queue, tag, false, false, false, false, nil)
	if err != nil {
		return g.explain(err)
	}
	err = g.collect(in, n)
	if lost := g.session.ch.Cancel(tag, true); err == nil && lost != nil { // without an answer; see session.unsubscribe
		err = g.explain(lost)
	}
	return err
}

// collect waits for n messages, or for all that there are. Where nothing comes, it asks for one: the queue answers to that after everything that
// it was asked before, so when it has none and nothing comes after that either, there is nothing.
func (g *Getter) collect(in <-chan amqp.Delivery, n int) error {
	quiet := time.NewTimer(lull)
	defer quiet.Stop()
	for empty := false; n > 0; {
		select {
		case d, open := <-in:
			if !open {
				_, err := g.ready() // it says why
				return cmp.Or(err, fmt.Errorf("get from queue %q: %w", g.queue, ErrNotConnected))
			}
			g.ahead[d.DeliveryTag] = newDelivery(&d, g.queue, g.session)
			n, empty = n-1, false
		case <-quiet.C:
			if empty {
				return nil
			}
			d, err := g.get()
			if err != nil {
				return err
			}
			if empty = d == nil; !empty {
				g.ahead[d.tag] = d // beside those that the consumer still has to send
			}
		}
		quiet.Reset(lull)
	}
	return nil
}

// ready is how many messages wait in the queue.
func (g *Getter) ready() (int, error) {
	q, err := g.session.ch.QueueDeclarePassive(g.queue, true, false, false, false, nil)
	if err != nil {
		return 0, g.explain(err)
	}
	return q.Messages, nil
}

// Next takes the next message; it is nil where the queue is empty. The message is settled with Ack.
func (g *Getter) Next() (*Delivery, error) {
	d := g.ahead[g.last+1]
	if d == nil {
		var err error
		if d, err = g.get(); d == nil || err != nil {
			return nil, err
		}
	}
	g.take(d)
	return d, nil
}

func (g *Getter) take(d *Delivery) {
	delete(g.ahead, d.tag)
	g.last = d.tag
	if n := len(g.runs); n > 0 && g.runs[n-1].consumer == d.consumer {
		g.runs[n-1].to = d.tag
		return
	}
	g.runs = append(g.runs, run{d.consumer, d.tag, d.tag})
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
	g.flush()
	return cmp.Or(g.giveBack(), g.session.ch.Close())
}

const (
	// together is how many messages of one consumer a quorum queue takes back in their order. RabbitMQ 3.10 keeps them in a map, which
	// Erlang orders up to this size.
	together = 32
	// underWay is how many commands to a quorum queue may be on their way before the queue is asked. From 32 on
	// (quorum_commands_soft_limit) RabbitMQ keeps them back, makes one of many, and the order is lost.
	underWay = 8
	// patience is how long the queue may take to tell of what it was given back. Who else takes messages may keep it from telling; then it
	// is not asked again, since their order is lost in any case.
	patience = time.Second
)

// giveBack gives back what is not settled, few by few, and never of two consumers at once: RabbitMQ would take that in an order of its own.
func (g *Getter) giveBack() error {
	g.session.mu.Lock()
	defer g.session.mu.Unlock()
	for _, tag := range slices.Sorted(maps.Keys(g.ahead)) { // nobody wants them any more
		g.take(g.ahead[tag])
	}
	before, err := g.ready()
	if err != nil {
		return err
	}
	given, commands, disturbed := 0, 0, false
	for _, r := range g.runs {
		n, last := 0, uint64(0)
		nack := func() error {
			given, commands, n = given+n, commands+1, 0
			if err := g.session.ch.Nack(last, true, true); err != nil || disturbed || commands%underWay != 0 {
				return err
			}
			arrived, err := g.await(before + given)
			disturbed = !arrived
			return err
		}
		for tag := range g.session.ledger.open(r.from, r.to) {
			if n, last = n+1, tag; n == together {
				if err := nack(); err != nil {
					return err
				}
			}
		}
		if n > 0 {
			if err := nack(); err != nil {
				return err
			}
		}
	}
	if commands >= underWay && !disturbed {
		if _, err := g.await(before + given); err != nil {
			return err
		}
	}
	return g.session.ch.Nack(0, true, true) // and what flush has taken
}

// await waits until so many messages are in the queue, and tells whether they are.
func (g *Getter) await(depth int) (bool, error) {
	for until := time.Now().Add(patience); ; {
		now, err := g.ready()
		if arrived := now >= depth; err != nil || arrived || time.Now().After(until) {
			return arrived, err
		}
		time.Sleep(time.Millisecond)
	}
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
