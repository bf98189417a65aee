package order

import (
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"orderflow/pkg/event"
	"orderflow/pkg/flow"
)

// The pace of looking at timelines.
const (
	beat        = 20 * time.Millisecond // between two looks: what happens meanwhile is seen together
	sweepEvery  = 10 * time.Second      // everything that is watched is looked at; what was heard is looked at much earlier
	deafSweep   = 2 * time.Second       // the same while events are not heard
	settling    = 3 * time.Second       // so long an event that nobody here has heard may take into its timeline
	lookAtOnce  = 500                   // timelines in one query
	readLimit   = 5 * time.Second       // for such a query
	lookFailed  = time.Second           // the pause after one that failed
	listenAgain = time.Second           // the pause before events are overheard again
	maxAwaited  = 64                    // events of an order that were heard and are not in its timeline yet
)

// live knows the timelines of the orders that somebody watches, while somebody does, and tells of what is new. It overhears the events of all
// services, which makes it look into the database; so it does not matter which process an order is handled by, and what is told is what is
// committed. An event may be heard before it is in the timeline, so the order is looked at again, later and later, until it is. What was not
// heard is found by looking at everything now and then.
type live struct {
	db      *pgxpool.Pool
	runtime *flow.Service
	metrics *Metrics
	log     *slog.Logger

	kinds map[event.Type]kind

	wake   chan struct{} // has a token when there is something to look at; capacity 1
	wanted chan struct{} // has a token when somebody watches; capacity 1

	mu      sync.Mutex
	orders  map[uuid.UUID]*watched
	busy    map[*watched]struct{} // those to be looked at before the next sweep
	n       int                   // watchers
	used    bool                  // somebody has watched lately
	hearing bool                  // events are overheard

	blind atomic.Bool // timelines could not be read
}

// watched is an order that somebody watches. It is guarded by live.mu, but for its id.
type watched struct {
	orderID  uuid.UUID
	watchers int
	every    int           // of them, those who want to know of every event, and not of the order's end alone
	moments  []moment      // in the order in which they were seen
	changed  chan struct{} // closed, and another one made, when there are more of them

	awaited map[uuid.UUID]struct{} // events that were heard and are not there yet
	unsure  time.Time              // until then there may be some that were not heard
	next    time.Time              // when to look again, if it is busy
	pause   time.Duration          // until the look after that
}

// watcher is one who watches an order.
type watcher struct {
	live  *live
	order *watched
	every bool
}

func newLive(db *pgxpool.Pool, runtime *flow.Service, metrics *Metrics, log *slog.Logger) *live {
	return &live{
		db: db, runtime: runtime, metrics: metrics, log: log, kinds: kindsInTimelines(),
		wake: make(chan struct{}, 1), wanted: make(chan struct{}, 1), orders: map[uuid.UUID]*watched{}, busy: map[*watched]struct{}{},
	}
}

// watch begins to watch an order: every event of it, or its end alone. It is to be closed.
func (l *live) watch(orderID uuid.UUID, every bool) *watcher {
	l.mu.Lock()
	defer l.mu.Unlock()
	o := l.orders[orderID]
	if o == nil {
		o = &watched{orderID: orderID, changed: make(chan struct{})}
		l.orders[orderID] = o
	}
	l.n, l.used = l.n+1, true
	o.watchers++
	l.metrics.watchers.Set(float64(l.n))
	now := time.Now()
	if every {
		o.every++
		o.unsure = now.Add(settling)
	}
	l.lookSoon(o, now)
	signal(l.wanted)
	return &watcher{l, o, every}
}

// close ends it. What nobody watches is forgotten.
func (w *watcher) close() {
	w.live.mu.Lock()
	defer w.live.mu.Unlock()
	w.live.n--
	w.live.metrics.watchers.Set(float64(w.live.n))
	if w.order.watchers--; w.every {
		w.order.every--
	}
	if w.order.watchers == 0 {
		delete(w.live.orders, w.order.orderID)
		delete(w.live.busy, w.order)
	}
}

// known returns what is known of the order's timeline, and a channel that is closed when that is more.
func (w *watcher) known() (timeline []moment, changed <-chan struct{}) {
	w.live.mu.Lock()
	defer w.live.mu.Unlock()
	return w.order.moments, w.order.changed
}

// lookSoon is called with the lock held.
func (l *live) lookSoon(o *watched, at time.Time) {
	if _, busy := l.busy[o]; !busy || at.Before(o.next) {
		o.next = at
	}
	o.pause = beat
	l.busy[o] = struct{}{}
	signal(l.wake)
}

// kind is what is to be known of a type of events that come into timelines.
type kind struct {
	committed bool // they are there before anybody hears of them, as this service publishes what it has committed
	ends      bool // they tell that the order has ended
}

func kindsInTimelines() map[event.Type]kind {
	kinds := map[event.Type]kind{
		event.TypeOrderPlaced: {committed: true}, event.TypeCancellationRequested: {committed: true},
		event.TypeOrderShipped: {committed: true, ends: true}, event.TypeOrderCancelled: {committed: true, ends: true},
	}
	for _, s := range Subscriptions() {
		for _, t := range s.Events {
			kinds[t] = kind{}
		}
	}
	return kinds
}

// hear takes an event that was published. There may be thousands a second that nobody here waits for.
func (l *live) hear(t event.Type, id, orderID uuid.UUID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	o := l.orders[orderID]
	if o == nil {
		return
	}
	k, comes := l.kinds[t]
	if !comes || o.every == 0 && !k.ends || len(o.awaited) == maxAwaited || o.has(id) {
		return
	}
	if o.awaited == nil {
		o.awaited = map[uuid.UUID]struct{}{}
	}
	o.awaited[id] = struct{}{}
	at := time.Now()
	if !k.committed {
		at = at.Add(beat)
	}
	l.lookSoon(o, at)
}

func (o *watched) has(id uuid.UUID) bool {
	return slices.ContainsFunc(o.moments, func(m moment) bool { return m.ID == id })
}

// signal puts a token into a channel of capacity 1, unless there is one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
