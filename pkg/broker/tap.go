package broker

import (
	"context"
	"fmt"

	amqp "github.com/rabbitmq/amqp091-go"
)

// Tap hears what is published to a topic exchange, as one more subscriber, for as long as it is open. It costs the broker little: its
// queue is in memory, its own, gone with it, and asks for no acknowledgements. So what comes while it is not connected is lost on
// it, and a tap that has lost its connection is at its end.
type Tap struct {
	ch       *amqp.Channel
	messages <-chan amqp.Delivery
}

// Tap opens a tap on what is published to an exchange by one of the routing keys, from now on. Hear has to be called.
func (b *Broker) Tap(ctx context.Context, exchange string, routingKeys ...string) (*Tap, error) {
	if len(exchange) > maxName {
		return nil, fmt.Errorf("listen to exchange %.50q…: its name is longer than %d bytes", exchange, maxName)
	}
	ch, err := b.shared.channel(ctx)
	if err != nil {
		return nil, err
	}
	t := &Tap{ch: ch}
	if err := t.open(exchange, routingKeys); err != nil {
		ch.Close()
		return nil, fmt.Errorf("listen to exchange %q: %w", exchange, err)
	}
	return t, nil
}

func (t *Tap) open(exchange string, routingKeys []string) error {
	q, err := t.ch.QueueDeclare("", false, true, true, false, amqp.Table{amqp.QueueTypeArg: amqp.QueueTypeClassic})
	if err != nil {
		return err
	}
	for _, key := range routingKeys {
		if err := t.ch.QueueBind(q.Name, key, exchange, false, nil); err != nil {
			return err
		}
	}
	t.messages, err = t.ch.Consume(q.Name, "", true, true, false, false, nil)
	return err
}

// Hear calls hear with one message after the other until ctx ends, and closes the tap. An error says that it was lost before, and
// that messages may have been missed.
func (t *Tap) Hear(ctx context.Context, hear func(*Message)) error {
	defer t.ch.Close()
	for {
		select {
		case d, open := <-t.messages:
			if !open {
				return fmt.Errorf("%w: what was published since is not known", ErrNotConnected)
			}
			m := newMessage(&d)
			hear(&m)
		case <-ctx.Done():
			return nil
		}
	}
}
