package broker

import (
	"cmp"
	"context"
	"fmt"

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

// Getter takes messages from a queue one by one and holds them until they are settled or given back. It is for one goroutine.
type Getter struct {
	queue   string
	session *session
}

// NewGetter opens a getter on a queue.
func (b *Broker) NewGetter(ctx context.Context, queue string) (*Getter, error) {
	ch, err := b.shared.channel(ctx)
	if err != nil {
		return nil, err
	}
	return &Getter{queue: queue, session: &session{ch: ch, ledger: newLedger()}}, nil
}

// Next takes the next message; it is nil where the queue is empty. The message is settled with Ack.
func (g *Getter) Next() (*Delivery, error) {
	d, ok, err := g.session.ch.Get(g.queue, false)
	switch {
	case isCode(err, amqp.NotFound):
		return nil, fmt.Errorf("queue %q: %w", g.queue, ErrNoQueue)
	case err != nil:
		return nil, fmt.Errorf("get from queue %q: %w", g.queue, err)
	case !ok:
		return nil, nil
	}
	return newDelivery(&d, g.queue, g.session), nil
}

// Close gives back what was taken and not settled, in its old order. In a quorum queue with a delivery limit it comes before
// what was never taken, but behind what was given back earlier; without a limit it comes to the end. Another getter finds it
// there as soon as Close has returned, though the depth that RabbitMQ tells may lag behind; after a mere end of the channel the
// queue would find out later, and RabbitMQ 4.3 would count that against the message.
func (g *Getter) Close() error {
	g.flush()
	err := g.session.ch.Nack(0, true, true) // 0: all that is not settled
	return cmp.Or(g.session.ch.Close(), err)
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
