package bench

import (
	"net/http"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/google/uuid"
)

// ledger keeps what is known of the orders of one load: of those under way when they were placed, of the others the sums. It is fed by
// the clients and by the tap.
type ledger struct {
	mu     sync.Mutex
	placed map[uuid.UUID]placing
	// The end of an order may arrive before the answer to its placing has been read. Ends of unknown orders are kept for that, for as long as
	// a request may last; mostly they are of other people's orders.
	early, earlier map[uuid.UUID]end
	turned         time.Time
	closed         bool          // no order will be added
	calm           chan struct{} // closed when all orders have ended and none will be added

	counts
	latency  *hdrhistogram.Histogram // of the orders that were to ship, and have, in microseconds
	http     *hdrhistogram.Histogram // of the answers 201
	refused  *hdrhistogram.Histogram // of the answers 503
	accepted time.Time               // the last
	ended    time.Time               // the last
}

// counts is what is counted.
type counts struct {
	started  int // requests to place an order
	kinds    [kindCount]int
	ends     int
	shipped  int
	wrong    int         // ends that are not what the order was meant to come to
	statuses map[int]int // of answers to placing other than 201
	cancels  map[int]int // statuses of answers to cancelling
	errors   int         // requests without an answer
	first    string      // the first of what was neither 201 nor 503
	unsent   int         // orders that an open loop could not send
}

func (c *counts) acceptedOrders() (n int) {
	for _, k := range c.kinds {
		n += k
	}
	return n
}

type placing struct {
	at   time.Time
	kind Kind
}

type end struct {
	at      time.Time
	shipped bool
}

// longest is the longest time that can be told from longer ones.
const longest = time.Hour

func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(1, longest.Microseconds(), 3)
}

func record(h *hdrhistogram.Histogram, d time.Duration) {
	h.RecordValue(min(max(d, time.Microsecond), longest).Microseconds())
}

func newLedger() *ledger {
	return &ledger{
		placed: map[uuid.UUID]placing{}, early: map[uuid.UUID]end{}, earlier: map[uuid.UUID]end{}, turned: time.Now(),
		calm: make(chan struct{}), counts: counts{statuses: map[int]int{}, cancels: map[int]int{}},
		latency: newHistogram(), http: newHistogram(), refused: newHistogram(),
	}
}

// start notes that a request is about to be sent.
func (l *ledger) start() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.started++
}

// accept notes an order that was accepted at that moment; its latency counts from since.
func (l *ledger) accept(id uuid.UUID, kind Kind, since, at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.kinds[kind]++
	if l.accepted.Before(at) {
		l.accepted = at
	}
	record(l.http, at.Sub(since))
	p := placing{since, kind}
	for _, early := range []map[uuid.UUID]end{l.early, l.earlier} {
		if e, known := early[id]; known {
			delete(early, id)
			l.settle(p, e)
			return
		}
	}
	l.placed[id] = p
}

// end notes that an order has ended.
func (l *ledger) end(id uuid.UUID, e end) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p, known := l.placed[id]
	if !known {
		if e.at.Sub(l.turned) > answerLimit {
			l.early, l.earlier, l.turned = map[uuid.UUID]end{}, l.early, e.at
		}
		l.early[id] = e
		return
	}
	delete(l.placed, id)
	l.settle(p, e)
}

// settle counts an order that has ended. It is called with the lock held.
func (l *ledger) settle(p placing, e end) {
	l.ends++
	if l.ended.Before(e.at) {
		l.ended = e.at
	}
	if e.shipped {
		l.shipped++
	}
	switch {
	case p.kind == Shipped && e.shipped:
		record(l.latency, e.at.Sub(p.at))
	case p.kind != Cancelled && (p.kind == Shipped) != e.shipped:
		l.wrong++
	}
	l.rest()
}

// refuse notes a request that was not accepted: its status, or 0 where there was no answer, and how long that took. That the server has
// too much to do is no error.
func (l *ledger) refuse(status int, err error, took time.Duration) {
	if status == http.StatusServiceUnavailable {
		err = nil
		l.mu.Lock()
		record(l.refused, took)
		l.mu.Unlock()
	}
	l.answer(l.statuses, status, err)
}

// cancel notes the answer to a cancellation.
func (l *ledger) cancel(status int, err error) { l.answer(l.cancels, status, err) }

func (l *ledger) answer(counts map[int]int, status int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if status == 0 {
		l.errors++
	} else {
		counts[status]++
	}
	if l.first == "" && err != nil {
		l.first = err.Error()
	}
}

// close says that no order will be added.
func (l *ledger) close(unsent int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed, l.unsent = true, unsent
	l.rest()
}

// rest tells who waits for it if nothing is under way any more. It is called with the lock held.
func (l *ledger) rest() {
	if l.closed && len(l.placed) == 0 {
		close(l.calm)
	}
}

// stalled tells whether nothing has ended for that long, and no order was accepted.
func (l *ledger) stalled(patience time.Duration) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	last := l.accepted
	if last.Before(l.ended) {
		last = l.ended
	}
	return l.closed && time.Since(last) > patience
}

// underWay lists up to n orders that have not ended, and tells how many there are.
func (l *ledger) underWay(n int) (some []uuid.UUID, all int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id := range l.placed {
		if len(some) == n {
			break
		}
		some = append(some, id)
	}
	return some, len(l.placed)
}

// progress tells how many requests were sent, and how many orders accepted and ended.
func (l *ledger) progress() (started, accepted, ended int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.started, l.acceptedOrders(), l.ends
}
