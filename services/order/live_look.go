package order

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"
)

// look looks at the timelines of watched orders when there may be something new in them.
func (l *live) look(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var swept time.Time
	for {
		select {
		case <-timer.C:
		case <-l.wake:
		case <-ctx.Done():
			return
		}
		var due []*watched
		if now := time.Now(); now.Sub(swept) >= l.sweepPause() {
			swept, due = now, l.all()
		} else {
			due = l.due(now)
		}
		for orders := range slices.Chunk(due, lookAtOnce) {
			l.lookAt(ctx, orders)
		}
		if len(due) > 0 && !sleep(ctx, beat) {
			return
		}
		timer.Reset(l.patience(swept))
	}
}

func (l *live) sweepPause() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.hearing {
		return sweepEvery
	}
	return deafSweep
}

func (l *live) all() []*watched {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make([]*watched, 0, len(l.orders))
	for _, o := range l.orders {
		all = append(all, o)
	}
	return all
}

// due are the orders to be looked at now.
func (l *live) due(now time.Time) (due []*watched) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for o := range l.busy {
		if !o.next.After(now) {
			due = append(due, o)
		}
	}
	return due
}

// patience is how long there is nothing to look at, if nobody says that there is.
func (l *live) patience(swept time.Time) time.Duration {
	until := swept.Add(l.sweepPause())
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.orders) == 0 {
		return time.Hour
	}
	for o := range l.busy {
		if o.next.Before(until) {
			until = o.next
		}
	}
	return time.Until(until)
}

// lookAt reads the timelines of orders and tells those who watch what is new in them.
func (l *live) lookAt(ctx context.Context, orders []*watched) {
	ids := make([]uuid.UUID, len(orders))
	for i, o := range orders {
		ids[i] = o.orderID
	}
	limited, stop := context.WithTimeout(ctx, readLimit)
	defer stop()
	began := time.Now()
	read, err := timelines(limited, l.db, ids)
	if was := l.blind.Swap(err != nil); err != nil && !was && ctx.Err() == nil {
		l.log.Error("cannot read timelines that are listened to, trying again", "error", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, o := range orders {
		if l.orders[o.orderID] != o {
			continue // nobody watches it any more
		}
		if err != nil {
			l.lookLater(o, time.Now().Add(lookFailed))
			continue
		}
		o.learn(read[o.orderID])
		l.settle(o, began)
	}
}

// learn adds what is new in a timeline.
func (o *watched) learn(timeline []moment) {
	before := len(o.moments)
	for _, m := range timeline {
		delete(o.awaited, m.ID)
		if !o.has(m.ID) {
			o.moments = append(o.moments, m)
		}
	}
	if len(o.moments) > before {
		close(o.changed)
		o.changed = make(chan struct{})
	}
}

// settle decides when to look again at an order that was looked at. It is called with the lock held.
func (l *live) settle(o *watched, looked time.Time) {
	if len(o.awaited) == 0 && looked.After(o.unsure) || o.pause >= sweepEvery { // the sweep finds what is as late as that
		delete(l.busy, o)
		o.awaited = nil
		return
	}
	l.lookLater(o, looked.Add(o.pause))
	o.pause *= 2
}

// lookLater is called with the lock held.
func (l *live) lookLater(o *watched, at time.Time) {
	o.next = at
	l.busy[o] = struct{}{}
}

// sleep waits for d and returns true, or false at once when ctx ends.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
