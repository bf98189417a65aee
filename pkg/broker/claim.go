package broker

import (
	"context"
	"errors"
	"fmt"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// Claim is the sole use of a queue among the programs that ask for it. What one of them holds the others do not see, so each would take the
// queue for shorter than it is.
//
// It is an exclusive queue beside the one that is claimed: RabbitMQ lets one connection have it, and takes it away with that connection, when
// it also gives back what the connection held.
type Claim struct {
	ch   *amqp.Channel
	name string
}

// ErrClaimed says that another program uses a queue.
var ErrClaimed = errors.New("another command is at work on it, and holds messages of it; try again when it has ended")

const (
	claimEvery  = 50 * time.Millisecond
	claimSettle = 200 * time.Millisecond // what a lost connection held may come back a moment after its claim is gone
)

// ClaimQueue is the name of the queue that stands for a claim.
func ClaimQueue(queue string) string { return queue + ".in-use" }

// Claim waits until nobody else uses a queue, and ends with ErrClaimed when ctx does before. A user who may not configure the queue that
// stands for the claim heeds the claims of others, and has none.
func (b *Broker) Claim(ctx context.Context, queue string) (*Claim, error) {
	c := &Claim{name: ClaimQueue(queue)}
	if len(c.name) > maxName {
		return c, nil
	}
	for waited := false; ; waited = true {
		free, err := b.tryClaim(ctx, c)
		switch {
		case err != nil && !(waited && ctx.Err() != nil):
			return nil, fmt.Errorf("queue %q: %w", queue, err)
		case free && waited:
			wait(ctx, claimSettle)
			return c, nil
		case free:
			return c, nil
		case !wait(ctx, claimEvery):
			return nil, fmt.Errorf("queue %q: %w", queue, ErrClaimed)
		}
	}
}

// tryClaim tells whether the queue is free; c is the claim then, if this user may have one.
func (b *Broker) tryClaim(ctx context.Context, c *Claim) (bool, error) {
	ch, err := b.shared.channel(ctx)
	if err != nil {
		return false, err
	}
	_, err = ch.QueueDeclare(c.name, false, false, true, false, amqp.Table{amqp.QueueTypeArg: amqp.QueueTypeClassic})
	if err == nil {
		c.ch = ch
		return true, nil
	}
	if !isCode(err, amqp.AccessRefused) {
		return false, unlessLocked(err)
	}
	if ch, err = b.shared.channel(ctx); err != nil {
		return false, err
	}
	defer ch.Close()
	_, err = ch.QueueDeclarePassive(c.name, false, false, true, false, nil)
	if err == nil || isCode(err, amqp.NotFound) || isCode(err, amqp.AccessRefused) {
		return true, nil
	}
	return false, unlessLocked(err)
}

// unlessLocked is nil for what says that another connection has the queue.
func unlessLocked(err error) error {
	if isCode(err, amqp.ResourceLocked) {
		return nil
	}
	return err
}

// Release ends the claim.
func (c *Claim) Release() error {
	if c.ch == nil {
		return nil
	}
	_, err := c.ch.QueueDelete(c.name, false, false, false)
	return errors.Join(err, c.ch.Close())
}
