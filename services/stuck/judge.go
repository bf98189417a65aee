package stuck

import (
	"fmt"
	"time"

	"github.com/google/uuid"

	"orderflow/pkg/broker"
	"orderflow/pkg/dlq"
)

// Place is where the message is of an event that a queue has not handled.
type Place string

// The places.
const (
	Outbox  Place = "outbox"       // its service has it, and has not got it to the broker
	Waiting Place = "queue"        // in the queue, or so it seems
	InHand  Place = "in_flight"    // a consumer has it
	Delayed Place = "delay_queue"  // it failed, and is tried again later
	Dead    Place = "dead_letter"  // it failed, and was given up
	Dropped Place = "dropped"      // it was given up, and somebody has moved it to a file
	Lost    Place = "lost"         // nowhere
	Edited  Place = "edited"       // nowhere, and what its order said before was edited as a dead letter, which the rows know nothing of
	Expired Place = "expired"      // it is too old for the inbox to tell
	Unknown Place = "not_known"    // nobody can tell
	Unnamed Place = "not_nameable" // nobody knows which event it is
)

// Wait is an event that a queue is to handle and has not.
type Wait struct {
	Word
	Queue   string // that has to handle it
	Service string // whose queue that is
	Place   Place
	Since   time.Time // at that place, as far as is known
	Told    string    // what else is known of it
	// Still tells that it does not go on by itself.
	Still bool

	// Edit is what somebody has last edited of the order's dead letters; nil: nothing. The event as the rows have it takes that back.
	Edit *dlq.Entry

	sent    uuid.UUID // the id of the edited copy that the queue is to handle instead; zero: there is none
	calling bool      // the service asks another system because of it
	trace   string    // that its order belongs to, as W3C trace context, or ""
}

// settleTime is how long things may take that go on by themselves.
const settleTime = 30 * time.Second

// oldEnough is for how long an event must have been said before it can be told from the course of its queue that it is lost: until then it may be
// in the hands of a consumer that is slower than another.
const oldEnough = time.Minute

// seen is what one look has seen.
type seen struct {
	at           time.Time
	outbox       map[key]outboxed // by event and service
	queues       map[string]queue
	letters      map[key]dlq.Letter       // by event and dead-letter queue
	delayed      map[key]dlq.Letter       // by event and work queue
	unread       map[string]string        // why a dead-letter queue, or the delay queues (""), could not be looked through
	dropped      map[key]dlq.Entry        // by event and dead-letter queue
	edits        map[uuid.UUID]*dlq.Entry // by order
	passed       map[string]bool          // work queues that have handled an event from after the look before
	passedBefore map[key]bool             // events, by work queue, that were passed as long ago as oldEnough
}

// queue is a work queue as the broker tells of it.
type queue struct {
	absent    bool
	ready     int
	consumers int
	unacked   int
	counted   bool // unacked is known
}

// empty tells whether a message cannot be in the queue, nor in anybody's hands. Who stops cancels its consumers first, and then finishes what it
// has in hand.
func (q queue) empty(calling bool) bool {
	if q.counted {
		return q.absent || q.ready == 0 && q.unacked == 0
	}
	return q.absent || q.ready == 0 && q.consumers == 0 && !calling
}

// message is the id of the message that the queue is to handle.
func (w *Wait) message() uuid.UUID {
	if w.sent != uuid.Nil {
		return w.sent
	}
	return w.ID
}

// judge says where the message of a wait is; before is the look before, or nil. again asks for another look.
func (w *Wait) judge(now, before *seen) (again bool) {
	dead := broker.DeadLetterQueue(w.Queue)
	w.Edit = now.edits[w.Data.Subject()]
	if o, ok := now.outbox[key{w.ID, w.Owner}]; ok {
		w.put(Outbox, o.Since, now.at.Sub(o.Since) > settleTime, "%s has tried %d times to publish it again", w.Owner, o.Attempts)
		return false
	}
	for _, id := range []uuid.UUID{w.message(), w.ID} { // an edit that was broken off has left it
		if l, ok := now.letters[key{id, dead}]; ok {
			w.put(Dead, l.DeadAt, true, "%s after %d attempts: %s", l.Reason, l.Attempts, l.Error)
			return false
		}
		if l, ok := now.delayed[key{id, w.Queue}]; ok {
			w.put(Delayed, l.FirstFailedAt, false, "failed %d times, and is tried again: %s", l.Attempts, l.Error)
			return false
		}
	}
	if e, ok := now.dropped[key{w.message(), dead}]; ok {
		w.put(Dropped, e.At, true, "%s by %s, to %s", e.Outcome, e.Who, e.File)
		return false
	}
	q := now.queues[w.Queue]
	for _, place := range []string{dead, ""} {
		if why, ok := now.unread[place]; ok {
			w.put(Unknown, w.At, true, "it was not found elsewhere, but %s", why)
			return false
		}
	}
	empty := q.empty(w.calling)
	passed := now.passed[w.Queue] && !w.calling && now.at.Sub(w.At) > oldEnough
	held := passed && q.counted && q.unacked > 0 && !now.passedBefore[key{w.message(), w.Queue}]
	switch {
	case before != nil && (empty && before.queues[w.Queue].empty(w.calling) || passed && !held):
		if w.put(Lost, w.At, true, "%s", w.lossOf(q)); w.Edit != nil {
			w.put(Edited, w.At, true, "%s; and %s of the order was edited in %s at %s by %s, so what %s has of it may not be what went on", w.lossOf(q),
				w.Edit.Type, w.Edit.From, w.Edit.At.UTC().Format(time.RFC3339), w.Edit.Who, w.Owner)
		}
	case empty:
		w.put(Unknown, w.At, true, "the queue is empty") // until the second look
		return before == nil
	case before != nil && held:
		w.put(Unknown, w.At, true, "the queue has handled what was published later, but %s has %d messages in hand; if that is so for another %s, it is lost",
			w.Service, q.unacked, oldEnough)
	case q.consumers == 0 && q.ready > 0:
		w.put(Waiting, w.At, true, "%d messages wait, and nobody consumes", q.ready)
	case w.calling:
		w.put(InHand, w.At, now.at.Sub(w.At) > settleTime, "%s", w.callOf(q))
	case q.ready > 0:
		w.put(Waiting, w.At, false, "behind %d messages at most", q.ready+q.unacked)
	case q.counted:
		w.put(InHand, w.At, false, "%s has %d messages in hand", w.Service, q.unacked)
	default:
		w.put(Unknown, w.At, true, "nothing waits in the queue, and how much its consumers have in hand is not known without RABBITMQ_MANAGEMENT_URL")
	}
	return before == nil && !w.calling && q.consumers > 0 && now.at.Sub(w.At) > oldEnough
}

// callOf says what is known of a call of another system.
func (w *Wait) callOf(q queue) string {
	if q.counted {
		return fmt.Sprintf("%s has begun to ask another system because of it; it has %d messages in hand, of which this may be one", w.Service, q.unacked)
	}
	return w.Service + " has begun to ask another system because of it; whether it still has it in hand is not known without RABBITMQ_MANAGEMENT_URL"
}

func (w *Wait) put(place Place, since time.Time, still bool, told string, args ...any) {
	w.Place, w.Since, w.Still, w.Told = place, since, still, fmt.Sprintf(told, args...)
}

func (w *Wait) lossOf(q queue) string {
	const nowhere = "in no outbox, dead-letter queue or delay queue"
	switch {
	case q.absent:
		return "the queue does not exist; it is " + nowhere
	case q.empty(w.calling):
		return "the queue is empty, with nothing in hand; it is " + nowhere
	}
	return "the queue has handled what was published later; it is " + nowhere
}
