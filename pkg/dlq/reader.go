package dlq

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"orderflow/pkg/broker"
)

// reader takes the messages that were in a queue when it began, and none that came later.
type reader struct {
	claim   *broker.Claim
	getter  *broker.Getter
	limit   int  // of what is taken; 0: none
	depth   int  // of the queue when the reader began; known after the first call of next
	taken   int  // what next returned
	ahead   int  // what the broker has sent, and next has not returned
	settled int  // how many of those taken will not be given back
	again   bool // the last one had been taken and given back before
	foreign bool // see Source
	worn    bool // a message has been delivered so often that no more are taken
	lives   int  // see Source
	step    int  // how many are sent ahead at most
	largest int  // body so far, in bytes
	reached bool // the queue has answered
	began   time.Time
}

const (
	// step is how many messages are sent ahead at most.
	step = 500
	// room is how many bytes they may have, as far as can be told from those before, and how many those that are touched together.
	room = 16 << 20
)

// leastLooks is how often a message has to bear being looked at.
const leastLooks = 3

// longestHold is how long messages are held. RabbitMQ closes the channel of who holds one for half an hour (consumer_timeout).
const longestHold = 25 * time.Minute

// claimPatience is how long another command may be at work on a queue before this one gives up.
const claimPatience = 10 * time.Second

// DefaultLives is the delivery limit that RabbitMQ 4 gives a queue of which nobody has said anything else.
const DefaultLives = 20

// lives is the delivery limit that has to be minded; 0: none.
func (s Source) lives(b *broker.Broker) int {
	switch {
	case s.Force:
		return 0
	case s.Lives == 0 && s.Foreign && b.Version() != 3:
		return DefaultLives
	}
	return max(s.Lives, 0)
}

// worn is after how many deliveries a message is left alone that may have so many: the next few could cost it its life.
func worn(lives int) int { return lives * 3 / 5 }

// ErrWorn tells of a message that may not survive being looked at much more often.
var ErrWorn = errors.New("each look counts as a delivery, and RabbitMQ drops a message that reaches the delivery limit of its queue, which is 20 " +
	"on RabbitMQ 4 unless the queue or a policy says otherwise; set RABBITMQ_MANAGEMENT_URL, so that the limit is known, or a policy with a higher " +
	"delivery-limit on the queue, and use --force-queue")

// liveFor is for how long a queue has consumers before it is taken for one whose messages are under way.
const liveFor = 2 * time.Second

// ErrLive tells of a queue whose messages are under way.
var ErrLive = errors.New("it has consumers, so its messages are under way, not dead; to take them away nevertheless, use --force-queue")

// newReader claims the queue, unless the caller has done so.
func newReader(ctx context.Context, b *broker.Broker, from Source, step int, claimed bool) (*reader, error) {
	lives := from.lives(b)
	if 0 < lives && worn(lives) < leastLooks {
		return nil, fmt.Errorf("its delivery limit is %d: %w", lives, ErrWorn)
	}
	r := &reader{claim: &broker.Claim{}, limit: from.Take, foreign: from.Foreign, lives: lives, step: step}
	if !claimed {
		claim, err := claimOf(ctx, b, from)
		if err != nil {
			return nil, err
		}
		r.claim = claim
	}
	if err := r.open(ctx, b, from); err != nil {
		return nil, errors.Join(err, r.claim.Release())
	}
	return r, nil
}

// claimOf waits for other commands that are at work on a queue.
func claimOf(ctx context.Context, b *broker.Broker, from Source) (*broker.Claim, error) {
	patient, stop := context.WithTimeout(ctx, cmp.Or(from.Wait, claimPatience))
	defer stop()
	claim, err := b.Claim(patient, from.Queue)
	if err != nil && ctx.Err() != nil {
		err = ctx.Err()
	}
	return claim, err
}

func (r *reader) open(ctx context.Context, b *broker.Broker, from Source) (err error) {
	if from.Foreign && !from.Force { // nobody else may consume from one of package flow's
		if err := isDead(ctx, b, from.Queue); err != nil {
			return err
		}
	}
	r.began = time.Now()
	r.getter, err = b.NewGetter(ctx, from.Queue)
	return err
}

// isDead is ErrLive where a queue has consumers for a while. Right after another command RabbitMQ may still count what that has used.
func isDead(ctx context.Context, b *broker.Broker, queue string) error {
	for until := time.Now().Add(liveFor); ; {
		_, consumers, err := b.Inspect(ctx, queue)
		switch {
		case errors.Is(err, broker.ErrNoQueue):
			return nil
		case err != nil:
			return err
		case consumers == 0:
			return nil
		case time.Now().After(until):
			return ErrLive
		}
		select {
		case <-time.After(liveFor / 20):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// next takes a message; it is nil at the end.
func (r *reader) next() (*broker.Delivery, error) {
	if r.taken > 0 && r.taken >= r.depth {
		return nil, nil
	}
	if r.taken == r.settled && r.ahead == 0 {
		r.began = time.Now()
	}
	if held := r.taken - r.settled + r.ahead; held > 0 && time.Since(r.began) > longestHold {
		return nil, fmt.Errorf("%d messages have been held for %s, and RabbitMQ takes back what is held for longer", held, longestHold)
	}
	if r.taken > 0 && r.ahead == 0 {
		if err := r.sendAhead(); err != nil {
			return nil, err
		}
	}
	d, err := r.getter.Next()
	r.reached = r.reached || err == nil
	if err != nil || d == nil {
		return nil, err
	}
	if r.taken == 0 {
		r.depth = int(d.Remaining) + 1
	}
	r.ahead = max(r.ahead-1, 0)
	r.taken++
	r.again = d.Redelivered
	r.largest = max(r.largest, len(d.Body))
	if times, _ := d.Headers["x-delivery-count"].(int64); r.lives > 0 && times >= int64(worn(r.lives)) {
		r.worn = true
		return nil, fmt.Errorf("message %q was delivered %d times: %w", d.ID, times, ErrWorn)
	}
	return d, nil
}

// sendAhead lets the broker send more, but no more than will be taken.
func (r *reader) sendAhead() error {
	wanted := r.depth
	if r.limit > 0 {
		wanted = min(wanted, r.limit)
	}
	// No more than were taken before, since the next ones may be larger.
	if r.ahead = min(wanted-r.taken, r.step, 2*r.taken, max(room/max(r.largest, 1), 1)); r.ahead <= 0 {
		r.ahead = 0
		return nil
	}
	return r.getter.Ahead(r.ahead)
}

// close gives back what was taken and not settled, so that the queue has its old order. A quorum queue keeps what was given back
// in a queue of its own, which it hands out first: to give back a part of that would turn it around, and the getter takes and gives back
// two where something was settled. So the rest of that is taken, too, before all is given back, and where nobody knows whether a queue
// does as said, everything is.
func (r *reader) close() error {
	r.limit, r.step = 0, step
	for !r.worn && (r.again || r.foreign) {
		if d, err := r.next(); d == nil || err != nil {
			break // a lost connection gives everything back
		}
	}
	return errors.Join(r.getter.Close(), r.claim.Release())
}
