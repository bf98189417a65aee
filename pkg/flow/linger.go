package flow

import (
	"time"

	"github.com/google/uuid"

	"orderflow/pkg/broker"
	"orderflow/pkg/event"
)

// busy is the size of a batch after which the queue counts as busy, so that the next one may wait for Config.Linger.
const busy = 8

// A transaction costs nearly the same for one event as for fifty, so where there is too much to do, small batches are what there is least
// time for. Where events come late and not alone, a batch waits for a part of their delay more, so that others can share its transaction.
const (
	inTime     = 20 * time.Millisecond // from the making of an event until its batch begins: nothing is late
	lingerPart = 4                     // of the delay beyond that
	lingerMost = 200 * time.Millisecond
)

// linger tells how long a batch may wait to grow, after one of that size. When an event was made is told by the clock of the process that
// made it: where the clocks of two hosts differ, events seem to be late, and wait for no longer than lingerMost in a queue that is not
// quiet.
func (c *Config) linger(first *broker.Delivery, previous int) time.Duration {
	return c.lingerAt(time.Now(), first, previous)
}

func (c *Config) lingerAt(now time.Time, first *broker.Delivery, previous int) (d time.Duration) {
	if previous >= busy {
		d = c.Linger
	}
	if previous < 2 || Attempts(first.Headers) > 0 { // one that was put off is late for another reason
		return d
	}
	id, err := uuid.Parse(first.ID)
	if err != nil || id.Version() != 7 {
		return d
	}
	late := now.Sub(event.IDTime(id)) - inTime
	return max(d, min(late/lingerPart, lingerMost))
}
