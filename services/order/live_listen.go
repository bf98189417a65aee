package order

import (
	"context"
	"sync"
	"time"
)

// run works until ctx ends.
func (l *live) run(ctx context.Context) {
	var listening sync.WaitGroup
	listening.Go(func() { l.listen(ctx) })
	l.look(ctx)
	listening.Wait()
}

// listen overhears events while somebody watches.
func (l *live) listen(ctx context.Context) {
	var trouble rarely
	for {
		select {
		case <-l.wanted:
		case <-ctx.Done():
			return
		}
		if l.unwatched() {
			continue
		}
		err := l.overhear(ctx)
		l.setHearing(false)
		if err == nil || ctx.Err() != nil {
			continue
		}
		if trouble.now() {
			l.log.Warn("cannot overhear events, asking the database for them instead", "error", err)
		}
		select {
		case <-time.After(listenAgain):
			signal(l.wanted)
		case <-ctx.Done():
		}
	}
}

// overhear listens until ctx ends, or nobody has watched for a while; an end for each who leaves would be many.
func (l *live) overhear(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- l.runtime.Overhear(ctx, func() { l.setHearing(true) }, l.hear) }()
	look := time.NewTicker(sweepEvery)
	defer look.Stop()
	for {
		select {
		case err := <-ended:
			return err
		case <-look.C:
			if l.unused() {
				stop()
				<-ended
				return nil
			}
		}
	}
}

func (l *live) unwatched() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.n == 0
}

// unused tells whether nobody watches, and nobody has since it was asked before.
func (l *live) unused() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	was := l.used
	l.used = l.n > 0
	return !was && !l.used
}

// setHearing notes whether events are overheard. Where they are from now on, what was published before is looked for.
func (l *live) setHearing(hearing bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hearing = hearing
	now := time.Now()
	for _, o := range l.orders {
		if hearing {
			o.unsure = now.Add(settling)
			l.lookSoon(o, now)
		}
	}
	signal(l.wake) // to another pace
}
