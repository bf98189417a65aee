package dlq

import (
	"cmp"
	"context"

	"orderflow/pkg/broker"
)

// Look shows the first dead letters of a queue to see, at most from.Take of them where that is more than 0, and gives all back. It
// returns how many there were when it began. It ends at the first error of see; a queue that does not exist is
// broker.ErrNoQueue. The messages are away while it looks: who else reads the queue finds those behind them. A quorum queue
// without a delivery limit puts what comes back at its end; there, only a look at everything keeps the order.
func Look(ctx context.Context, b *broker.Broker, from Source, see func(Letter) error) (depth int, err error) {
	return look(ctx, b, from, false, see)
}

// look is Look, also at a queue that the caller has claimed.
func look(ctx context.Context, b *broker.Broker, from Source, claimed bool, see func(Letter) error) (depth int, err error) {
	r, err := newReader(ctx, b, from, step, claimed)
	if err != nil {
		return 0, err
	}
	defer func() { err = cmp.Or(err, r.close()) }()
	for from.Take <= 0 || r.taken < from.Take {
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
