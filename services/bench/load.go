package bench

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Load is what orders are placed, and how.
type Load struct {
	Orders  int // in a closed loop
	Clients int // that place orders at the same time
	Mix     Mix

	Rate     float64       // orders a second; more than 0: an open loop, which ends after Duration
	Duration time.Duration // of an open loop
}

// Open tells whether orders are placed at a fixed rate, whatever becomes of them.
func (l Load) Open() bool { return l.Rate > 0 }

// Total is how many orders are to be placed.
func (l Load) Total() int {
	if l.Open() {
		return int(l.Rate * l.Duration.Seconds())
	}
	return l.Orders
}

// run places the orders of a load, and closes the ledger when no more will be placed: when all are, or ctx has ended.
func (l Load) run(ctx context.Context, b *buyer, requests []request, to *ledger) {
	due := make(chan struct{}, l.Total()) // a token for each order that is due; tokens take no room
	var taken atomic.Int64
	var clients sync.WaitGroup
	began := time.Now()
	for range l.Clients {
		clients.Go(func() {
			for range due {
				if ctx.Err() != nil {
					return
				}
				i := int(taken.Add(1)) - 1
				if r := requests[i%len(requests)]; l.Open() {
					b.order(ctx, r, began.Add(l.after(i)), to)
				} else {
					b.orderPatiently(ctx, r, to)
				}
			}
		})
	}
	unsent := l.pace(ctx, began, due)
	clients.Wait()
	to.close(unsent)
}

// after is when the order of that number is due.
func (l Load) after(i int) time.Duration {
	return time.Duration(float64(i) / l.Rate * float64(time.Second))
}

// pace puts out a token when an order is due: in a closed loop all at once. It returns how many were not taken until the end.
func (l Load) pace(ctx context.Context, began time.Time, due chan struct{}) (unsent int) {
	defer close(due)
	for i := range l.Total() {
		if l.Open() {
			sleepUntil(ctx, began.Add(l.after(i)))
		}
		if ctx.Err() != nil {
			return 0
		}
		due <- struct{}{} // there is room for all
	}
	if !l.Open() {
		return 0
	}
	sleepUntil(ctx, began.Add(l.Duration))
	for {
		select {
		case <-due:
			unsent++
		default:
			return unsent
		}
	}
}

// order places an order, whose latency counts from the moment at which it was due. It returns after which time to come back if it is
// asked to, or 0.
func (b *buyer) order(ctx context.Context, r request, due time.Time, to *ledger) (retry time.Duration) {
	to.start()
	id, status, retry, err := b.place(ctx, r)
	if status != http.StatusCreated {
		to.refuse(status, err, time.Since(due))
		return retry
	}
	to.accept(id, r.kind, due, time.Now())
	if r.kind == Cancelled {
		to.cancel(b.cancel(ctx, id))
	}
	return 0
}

// orderPatiently places an order, and comes back as long as it is asked to.
func (b *buyer) orderPatiently(ctx context.Context, r request, to *ledger) {
	for ctx.Err() == nil {
		retry := b.order(ctx, r, time.Now(), to)
		if retry == 0 {
			return
		}
		sleep(ctx, retry)
	}
}

// sleep waits for d, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// imprecise is by how much the runtime's timers may be late: it waits for whole milliseconds where it has nothing else to do.
const imprecise = 2 * time.Millisecond

// sleepUntil waits for a moment, as precisely as the system can, or until ctx ends.
func sleepUntil(ctx context.Context, moment time.Time) {
	if d := time.Until(moment) - imprecise; d > 0 {
		sleep(ctx, d)
	}
	if d := time.Until(moment); d > 0 && ctx.Err() == nil {
		pause(d)
	}
}
