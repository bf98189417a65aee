package dlq

import (
	"math"
	"time"

	"orderflow/pkg/broker"
	"orderflow/pkg/flow"
)

// maxReplays is as far as replays are counted. A header that says more comes from somebody else.
const maxReplays = math.MaxInt32

// Letter is a dead letter and what its headers tell about its death. A string that nothing tells is empty, a time is zero.
type Letter struct {
	broker.Message
	Queue         string // it died in, and is replayed to
	Reason        string // one of package flow's, or the broker's: delivery_limit, expired, maxlen, rejected
	Error         string // what went wrong last
	Attempts      int64  // how often it was handled and failed; a consumer that died of it is not counted
	FirstFailedAt time.Time
	DeadAt        time.Time
	Replays       int64  // how often it was replayed before
	ReplayID      string // the last replay
}

// Read reads the headers of a dead letter. Those of package flow are worth more than the broker's: a message that came through a
// delay queue is one that died there first, to the broker.
func Read(m broker.Message) Letter {
	l := Letter{Message: m, Attempts: flow.Attempts(m.Headers)}
	l.Queue = l.text(flow.HeaderQueue)
	l.Reason = l.text(flow.HeaderReason)
	l.Error = l.text(flow.HeaderError)
	l.FirstFailedAt = l.time(flow.HeaderFirstFailedAt)
	l.DeadAt = l.time(flow.HeaderDeadAt)
	replays, _ := m.Headers[flow.HeaderReplays].(int64)
	l.Replays = min(max(replays, 0), maxReplays)
	l.ReplayID = l.text(flow.HeaderReplayID)
	l.addDeaths(m.Deaths())
	return l
}

// addDeaths fills gaps with what the broker wrote: the first death tells where the message belongs, the last one why it is here.
func (l *Letter) addDeaths(deaths []broker.Death) {
	first, last := broker.Death{}, broker.Death{}
	if len(deaths) > 0 {
		last, first = deaths[0], deaths[len(deaths)-1]
	}
	if queue := l.text("x-first-death-queue"); queue != "" {
		first.Queue = queue
	}
	if last.Reason == "" {
		last.Reason = l.text("x-first-death-reason")
	}
	if l.Queue == "" {
		l.Queue = first.Queue
	}
	if l.Reason == "" {
		l.Reason = last.Reason
	}
	if l.DeadAt.IsZero() {
		l.DeadAt = last.Time
	}
}

func (l *Letter) text(header string) string {
	s, _ := l.Headers[header].(string)
	return s
}

func (l *Letter) time(header string) time.Time {
	t, _ := time.Parse(time.RFC3339Nano, l.text(header))
	return t
}

// story is the headers that tell of a death. They do not go along with a replay.
var story = []string{
	flow.HeaderQueue, flow.HeaderService, flow.HeaderReason, flow.HeaderError, flow.HeaderAttempts, flow.HeaderFirstFailedAt,
	flow.HeaderDeadAt,
}

// again is the message as the replay with the id run publishes it: to the queue it died in, as if it had never failed.
func (l *Letter) again(run string) broker.Message {
	m := l.Copy()
	for _, name := range story {
		delete(m.Headers, name)
	}
	m.Headers[flow.HeaderReplays] = min(l.Replays+1, maxReplays)
	m.Headers[flow.HeaderReplayID] = run
	m.Exchange, m.RoutingKey, m.Mandatory = "", l.Queue, true // the default exchange: to that queue alone
	return m
}
