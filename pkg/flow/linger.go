package flow

import (
	"time"

	"github.com/google/uuid"

	"orderflow/pkg/broker"
	"orderflow/pkg/event"
)

// A transaction costs nearly the same for one event as for fifty, so where there is too much to do, small batches are what there is least
// time for. An event that comes late waits for a part of its delay more, so that others can share its transaction; one that is in time
// goes on at once.
const (
	inTime     = 20 * time.Millisecond // from the making of an event until its batch begins: nothing is late
	lingerPart = 4                     // of the delay beyond that
	lingerMost = 200 * time.Millisecond
)

// linger tells how long a batch may wait to grow. When an event was made is told by the clock of the process that made it: where the
// clocks of two hosts differ, events seem to be late, and wait for no longer than lingerMost.
func (c *Config) linger(first *broker.Delivery, busy bool) (d time.Duration) {
	if busy {
		d = c.Linger
	}
	id, err := uuid.Parse(first.ID)
	if err != nil || id.Version() != 7 || Attempts(first.Headers) > 0 { // one that was put off is late for another reason
		return d
	}
	late := time.Since(event.IDTime(id)) - inTime
	return max(d, min(late/lingerPart, lingerMost))
}
