package dlq

import (
	"cmp"
	"context"
	"slices"
	"time"

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

	first        *broker.Delivery // it was asked for, and takes no room
	firstSettled int              // 1 if it is
}

// step is how much room is made at a time: so many messages, of at most some MiB each, wait in memory for those who take them.
const step = 500

func newReader(ctx context.Context, b *broker.Broker, queue string, limit int) (*reader, error) {
	getter, err := b.NewGetter(ctx, queue)
	if err != nil {
		return nil, err
	}
	return &reader{getter: getter, limit: limit}, nil
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
// in a queue of its own, which it hands out first: to give back a part of that would turn it around. So what was sent ahead and the rest of
// that are taken, too, before all is given back.
func (r *reader) close() error {
	for r.used() < r.room || r.again && r.settled < r.taken {
		if d, err := r.next(); d == nil || err != nil {
			break // a lost connection gives everything back
		}
	}
	return r.getter.Close()
}

// Look shows the first dead letters of a queue to see, at most limit of them where limit is more than 0, and gives all back. It
// returns how many there were when it began. It ends at the first error of see; a queue that does not exist is
// broker.ErrNoQueue. The messages are away while it looks: who else reads the queue finds those behind them. A quorum queue
// without a delivery limit puts what comes back at its end; there, only a look at everything keeps the order.
func Look(ctx context.Context, b *broker.Broker, queue string, limit int, see func(Letter) error) (depth int, err error) {
	r, err := newReader(ctx, b, queue, limit)
	if err != nil {
		return 0, err
	}
	defer func() { err = cmp.Or(err, r.close()) }()
	for limit <= 0 || r.taken < limit {
		if err := ctx.Err(); err != nil {
			return r.depth, err
		}
		d, err := r.next()
		if d == nil || err != nil {
			return r.depth, err
		}
		if err := see(Read(d.Message)); err != nil {
			return r.depth, err
		}
	}
	return r.depth, nil
}

// Summary is the dead letters of a queue, counted.
type Summary struct {
	Depth          int // how many there were
	Seen           int // how many of them were looked at; the rest of the summary is about those
	Oldest, Newest time.Time
	Reasons        map[string]int // a message that nothing tells about has the reason ""
}

// Summarize counts the dead letters of a queue, and looks at the first limit of them; see Look.
func Summarize(ctx context.Context, b *broker.Broker, queue string, limit int) (Summary, error) {
	s := Summary{Reasons: map[string]int{}}
	depth, err := Look(ctx, b, queue, limit, func(l Letter) error {
		s.add(l)
		return nil
	})
	s.Depth = depth
	return s, err
}

func (s *Summary) add(l Letter) {
	s.Seen++
	s.Reasons[l.Reason]++
	if l.DeadAt.IsZero() {
		return
	}
	if s.Oldest.IsZero() || l.DeadAt.Before(s.Oldest) {
		s.Oldest = l.DeadAt
	}
	if l.DeadAt.After(s.Newest) {
		s.Newest = l.DeadAt
	}
}
