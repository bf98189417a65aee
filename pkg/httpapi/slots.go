package httpapi

import (
	"fmt"
	"sync/atomic"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
)

// slotKey is where a request has the func() bool that says: from here on it mostly waits. It is false where as many do as may.
const slotKey = "orderflow.slot"

// Slots limit how many requests are under way at a time. One that finds no slot is refused at once: in a queue without end, all of them
// would wait until nobody wants their answers any more. Requests that mostly wait, for an order to end or for events, cost little and last
// long, so they move to slots of their own, of which there are more.
type Slots struct {
	most, mostWaiting int64
	busy, waiting     atomic.Int64
	refused           prometheus.Counter
}

// NewSlots makes slots for so many requests at a time, and for so many more that mostly wait. 0 means any number.
func NewSlots(most, mostWaiting int, refusals *prometheus.CounterVec) *Slots {
	return &Slots{most: int64(most), mostWaiting: int64(mostWaiting), refused: refusals.WithLabelValues(RefusedBusy)}
}

// Before limits what a guard lets through. Health and metrics are exempt: they are what shows that there is too much to do.
func (s *Slots) Before(guard Guard) Guard {
	return func(scope Scope, next echo.HandlerFunc) echo.HandlerFunc {
		next = guard(scope, next)
		if scope == Public || scope == Ops {
			return next
		}
		return func(c echo.Context) error {
			if !take(&s.busy, s.most) {
				s.refused.Inc()
				return Unavailable(fmt.Sprintf("as many requests as may be, %d, are being answered", s.most))
			}
			held := slot{slots: s}
			defer held.leave()
			c.Set(slotKey, held.wait)
			return next(c)
		}
	}
}

// take counts one more, unless there are as many as may be.
func take(count *atomic.Int64, most int64) bool {
	if count.Add(1) > most && most > 0 {
		count.Add(-1)
		return false
	}
	return true
}

// slot is what one request holds. It belongs to the goroutine of the request.
type slot struct {
	slots *Slots
	waits bool
}

// wait moves the request to those that mostly wait, and is false where as many do as may.
func (h *slot) wait() bool {
	if h.waits {
		return true
	}
	if h.waits = take(&h.slots.waiting, h.slots.mostWaiting); h.waits {
		h.slots.busy.Add(-1)
	} else {
		h.slots.refused.Inc()
	}
	return h.waits
}

func (h *slot) leave() {
	if h.waits {
		h.slots.waiting.Add(-1)
	} else {
		h.slots.busy.Add(-1)
	}
}
