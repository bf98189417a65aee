package bench

import (
	"context"
	"net/http"
	"sync"
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
func (l Load) run(ctx context.Context, c *client, orders []order, to *ledger) {
	due := make(chan int, l.Total())
	began := time.Now()
	var clients sync.WaitGroup
	for range l.Clients {
		clients.Go(func() {
			for i := range due {
				if ctx.Err() != nil {
					return
				}
				o := orders[i%len(orders)]
				if l.Open() {
					l.once(ctx, c, o, began.Add(l.after(i)), to)
				} else {
					l.untilAccepted(ctx, c, o, to)
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

// pace puts out the numbers of orders when they are due: in a closed loop all at once. It returns how many were not taken until the end.
func (l Load) pace(ctx context.Context, began time.Time, due chan int) (unsent int) {
	defer close(due)
	for i := range l.Total() {
		if l.Open() {
			sleep(ctx, time.Until(began.Add(l.after(i))))
		}
		due <- i // there is room for all
	}
	if !l.Open() {
		return 0
	}
	sleep(ctx, time.Until(began.Add(l.Duration)))
	for {
		select {
		case <-due:
			unsent++
		default:
			return unsent
		}
	}
}

// once places an order, which was due at that moment.
func (l Load) once(ctx context.Context, c *client, o order, due time.Time, to *ledger) {
	to.start()
	id, status, _, err := c.place(ctx, o)
	if status != http.StatusCreated {
		to.refuse(status, unlessBusy(status, err))
		return
	}
	to.accept(id, o.kind, due, time.Now())
	if o.kind == Cancelled {
		to.cancel(c.cancel(ctx, id))
	}
}

// untilAccepted places an order, and comes back as long as it is asked to.
func (l Load) untilAccepted(ctx context.Context, c *client, o order, to *ledger) {
	for {
		to.start()
		since := time.Now()
		id, status, retry, err := c.place(ctx, o)
		if status == http.StatusCreated {
			to.accept(id, o.kind, since, time.Now())
			if o.kind == Cancelled {
				to.cancel(c.cancel(ctx, id))
			}
			return
		}
		to.refuse(status, unlessBusy(status, err))
		if status != http.StatusServiceUnavailable || retry == 0 {
			return
		}
		if sleep(ctx, retry); ctx.Err() != nil {
			return
		}
	}
}

// unlessBusy is the error, if it is more than that the server has too much to do.
func unlessBusy(status int, err error) error {
	if status == http.StatusServiceUnavailable {
		return nil
	}
	return err
}

// sleep waits for d, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
