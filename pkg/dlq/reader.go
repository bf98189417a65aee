package dlq

import (
	"context"
	"errors"
	"fmt"
	"time"

	"orderflow/pkg/broker"
)

// reader takes the messages that were in a queue when it began, and none that came later.
type reader struct {
	getter  *broker.Getter
	limit   int  // of what is taken; 0: none
	depth   int  // of the queue when the reader began; known after the first call of next
	taken   int  // what next returned
	ahead   int  // what the broker has sent, and next has not returned
	settled int  // how many of those taken will not be given back
	again   bool // the last one had been taken and given back before
	foreign bool // see Source
	worn    bool // a message has been delivered so often that no more are taken
	force   bool // do not mind that
	largest int  // body so far, in bytes
	began   time.Time
}

const (
	// step is how many messages are sent ahead at most.
	step = 500
	// room is how many bytes they may have, as far as can be told from those before.
	room = 16 << 20
)

// longestHold is how long messages are held. RabbitMQ closes the channel of who holds one for half an hour (consumer_timeout).
const longestHold = 25 * time.Minute

// wornAt is how often a message may have been delivered and not lose its life by the next few deliveries, where the queue has RabbitMQ 4's
// limit of 20.
const wornAt = 12

// ErrWorn tells of a message that may not survive being looked at much more often.
var ErrWorn = errors.New("each look counts as a delivery, and at its delivery limit, 20 unless the queue or a policy says otherwise, " +
	"RabbitMQ 4 drops a message; set a policy with a higher delivery-limit on the queue, and use --force")

func newReader(ctx context.Context, b *broker.Broker, from Source) (*reader, error) {
	getter, err := b.NewGetter(ctx, from.Queue)
	if err != nil {
		return nil, err
	}
	return &reader{getter: getter, limit: from.Take, foreign: from.Foreign, force: from.Force, began: time.Now()}, nil
}

// next takes a message; it is nil at the end.
func (r *reader) next() (*broker.Delivery, error) {
	if r.taken > 0 && r.taken >= r.depth {
		return nil, nil
	}
	if r.taken == r.settled && r.ahead == 0 {
		r.began = time.Now()
	}
	if r.taken > r.settled && time.Since(r.began) > longestHold {
		return nil, fmt.Errorf("%d messages that stay have been held for %s, and RabbitMQ takes back what is held for longer", r.taken-r.settled, longestHold)
	}
	if r.taken > 0 && r.ahead == 0 {
		if err := r.sendAhead(); err != nil {
			return nil, err
		}
	}
	d, err := r.getter.Next()
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
	if times, _ := d.Headers["x-delivery-count"].(int64); r.foreign && !r.force && times >= wornAt {
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
	if r.ahead = min(wanted-r.taken, step, max(room/max(r.largest, 1), 1)); r.ahead <= 0 {
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
	r.limit = 0
	for !r.worn && (r.again || r.foreign) {
		if d, err := r.next(); d == nil || err != nil {
			break // a lost connection gives everything back
		}
	}
	return r.getter.Close()
}
