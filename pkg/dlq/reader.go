package dlq

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"orderflow/pkg/broker"
)

// reader takes the messages that were in a queue when it began, and none that came later.
type reader struct {
	getter  *broker.Getter
	limit   int  // of what is taken; 0: none
	depth   int  // of the queue when the reader began; known after the first call of next
	taken   int  // what next returned
	settled int  // how many of them will not be given back
	room    int  // how many the broker may send and not yet see settled
	again   bool // the last one had been taken and given back before
	fragile bool // see Source

	first        *broker.Delivery // it was asked for, and takes no room
	firstSettled int              // 1 if it is
}

// step is how much room is made at a time: so many messages, of at most some MiB each, wait in memory for those who take them.
const step = 500

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
	return &reader{getter: getter, limit: from.Take, fragile: from.Fragile}, nil
}

// settle takes note of what will not be given back.
func (r *reader) settle(ds []*broker.Delivery) {
	r.settled += len(ds)
	if slices.Contains(ds, r.first) {
		r.firstSettled = 1
	}
}

// next takes a message; it is nil at the end.
func (r *reader) next() (*broker.Delivery, error) {
	if r.taken > 0 && r.taken >= r.depth {
		return nil, nil
	}
	if err := r.makeRoom(); err != nil {
		return nil, err
	}
	d, err := r.getter.Next()
	if err != nil || d == nil {
		return nil, err
	}
	if r.taken == 0 {
		r.depth, r.first = int(d.Remaining)+1, d
	}
	r.taken++
	r.again = d.Redelivered
	if times, _ := d.Headers["x-delivery-count"].(int64); r.fragile && times >= wornAt {
		return nil, fmt.Errorf("message %q was delivered %d times: %w", d.ID, times, ErrWorn)
	}
	return d, nil
}

// makeRoom lets the broker send more where all the room is in use, but no more than will be taken: what is given back unseen would change
// the queue's order.
func (r *reader) makeRoom() error {
	if r.taken == 0 || r.used() < r.room {
		return nil
	}
	wanted := r.depth
	if r.limit > 0 {
		wanted = min(wanted, r.limit)
	}
	more := min(wanted-r.taken, step)
	if more <= 0 {
		return nil
	}
	r.room += more
	return r.getter.Ahead(more)
}

// used is how much of the room is in use.
func (r *reader) used() int { return (r.taken - 1) - (r.settled - r.firstSettled) }

// close gives back what was taken and not settled, so that the queue has its old order. A quorum queue keeps what was given back
// in a queue of its own, which it hands out first: to give back a part of that would turn it around, and the getter takes and gives back
// two where something was settled. So what was sent ahead and the rest of that are taken, too, before all is given back.
func (r *reader) close() error {
	for r.used() < r.room || r.again {
		if d, err := r.next(); d == nil || err != nil {
			break // a lost connection gives everything back
		}
	}
	return r.getter.Close()
}
