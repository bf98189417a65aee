package stuck

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"orderflow/pkg/dlq"
	"orderflow/pkg/event"
)

const (
	work = "shipping.inventory-reserved"
	dead = work + ".dlq"
)

var (
	at = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	id = uuid.MustParse("01890000-0000-7000-8000-000000000001")
)

// look is what a look sees of the queue, and more by change.
func look(q queue, change ...func(*seen)) *seen {
	s := &seen{at: at, queues: map[string]queue{work: q}}
	for _, f := range change {
		f(s)
	}
	return s
}

func TestJudge(t *testing.T) {
	empty, gone := queue{consumers: 1, counted: true}, queue{absent: true}
	busy := queue{ready: 7, unacked: 200, consumers: 2, counted: true}
	idle, uncounted := queue{}, queue{consumers: 1}
	inHand, unserved := queue{consumers: 1, counted: true, unacked: 3}, queue{ready: 7}
	passed := func(s *seen) { s.passed = map[string]bool{work: true} }
	longPassed := func(s *seen) { s.passedBefore = map[key]bool{{id, work}: true} }
	stopping := queue{counted: true, unacked: 3}
	edited := func(s *seen) { s.edits = map[uuid.UUID]*dlq.Entry{uuid.Nil: {Type: "PaymentProcessed"}} }
	copyDelayed := func(s *seen) { s.delayed = map[key]dlq.Letter{{other, work}: {}} }
	inOutbox := func(s *seen) {
		s.outbox = map[key]outboxed{{id, "inventory"}: {EventID: id, Since: at.Add(-time.Hour)}}
	}
	isDead := func(s *seen) { s.letters = map[key]dlq.Letter{{id, dead}: {}} }
	deadElsewhere := func(s *seen) { s.letters = map[key]dlq.Letter{{id, "order.progress.dlq"}: {}} }
	delayed := func(s *seen) { s.delayed = map[key]dlq.Letter{{id, work}: {}} }
	dropped := func(s *seen) { s.dropped = map[key]dlq.Entry{{id, dead}: {}} }
	unread := func(s *seen) { s.unread = map[string]string{dead: "somebody is at work on it"} }
	undelayed := func(s *seen) { s.unread = map[string]string{"": "there are too many"} }
	for name, c := range map[string]struct {
		before, now *seen
		said        time.Duration // ago
		calling     bool
		place       Place
		again       bool
	}{
		"empty once":                          {nil, look(empty), time.Hour, false, Unknown, true},
		"empty twice":                         {look(empty), look(empty), time.Hour, false, Lost, false},
		"empty twice, and young":              {look(empty), look(empty), time.Second, false, Lost, false},
		"empty, and then not":                 {look(empty), look(inHand), time.Hour, false, InHand, false},
		"not, and then empty":                 {look(inHand), look(empty), time.Hour, false, Unknown, false},
		"nobody consumes, empty":              {look(idle), look(idle), time.Hour, false, Lost, false},
		"no queue":                            {look(gone), look(gone), time.Hour, false, Lost, false},
		"a queue that is made meanwhile":      {look(gone), look(empty), time.Hour, false, Lost, false},
		"what is in hand is not known":        {nil, look(uncounted), time.Hour, false, Unknown, true},
		"nor after a second look":             {look(uncounted), look(uncounted), time.Hour, false, Unknown, false},
		"not known, and passed":               {look(uncounted), look(uncounted, passed), time.Hour, false, Lost, false},
		"a busy queue":                        {nil, look(busy), time.Hour, false, Waiting, true},
		"a busy queue, a young event":         {nil, look(busy), time.Second, false, Waiting, false},
		"a busy queue, twice":                 {look(busy), look(busy), time.Hour, false, Waiting, false},
		"passed by, by some in hand":          {look(busy), look(busy, passed), time.Hour, false, Unknown, false},
		"passed by for long":                  {look(busy), look(busy, passed, longPassed), time.Hour, false, Lost, false},
		"a service that stops":                {look(stopping), look(stopping), time.Hour, false, InHand, false},
		"one that stops, and asks":            {look(stopping), look(stopping), time.Hour, true, InHand, false},
		"one that stops, and asks, uncounted": {look(idle), look(idle), time.Hour, true, InHand, false},
		"its order was edited":                {look(empty), look(empty, edited), time.Hour, false, Edited, false},
		"its order was edited, and it waits":  {look(busy), look(busy, edited), time.Hour, false, Waiting, false},
		"only another is delayed":             {look(empty), look(empty, copyDelayed), time.Hour, false, Lost, false},
		"passed by, and young":                {look(busy), look(busy, passed), time.Second, false, Waiting, false},
		"passed by, while somebody is asked":  {look(busy), look(busy, passed), time.Hour, true, InHand, false},
		"nobody consumes":                     {nil, look(unserved), time.Hour, false, Waiting, false},
		"asking":                              {nil, look(inHand), time.Hour, true, InHand, false},
		"asking, but nothing is in hand":      {look(empty), look(empty), time.Hour, true, Lost, false},
		"in the outbox":                       {nil, look(empty, inOutbox), time.Hour, false, Outbox, false},
		"dead":                                {nil, look(empty, isDead), time.Hour, false, Dead, false},
		"dead in another queue":               {look(empty), look(empty, deadElsewhere), time.Hour, false, Lost, false},
		"delayed":                             {nil, look(empty, delayed), time.Hour, false, Delayed, false},
		"found delayed by the second look":    {look(empty), look(empty, delayed), time.Hour, false, Delayed, false},
		"dropped":                             {look(empty), look(empty, dropped), time.Hour, false, Dropped, false},
		"dropped, and there again":            {nil, look(empty, dropped, isDead), time.Hour, false, Dead, false},
		"dead letters that cannot be read":    {look(empty), look(empty, unread), time.Hour, false, Unknown, false},
		"delay queues that cannot be read":    {look(empty), look(empty, undelayed), time.Hour, false, Unknown, false},
	} {
		w := &Wait{
			Word: Word{ID: id, Owner: "inventory", At: at.Add(-c.said), Data: &event.InventoryReserved{}}, Queue: work, Service: "shipping", calling: c.calling,
		}
		if again := w.judge(c.now, c.before); w.Place != c.place || again != c.again || w.Told == "" && w.Place != Dead {
			t.Errorf("%s: %s (%s), look again: %v; want %s, %v", name, w.Place, w.Told, again, c.place, c.again)
		}
	}
}

// An event that was edited and sent on with another id is looked for under that, and under its own where the edit was broken off.
func TestJudgeLooksForTheEditedCopy(t *testing.T) {
	empty := queue{consumers: 1, counted: true}
	for name, c := range map[string]struct {
		dead  uuid.UUID
		place Place
	}{"the copy is dead": {other, Dead}, "the original is": {id, Dead}, "neither": {uuid.Max, Lost}} {
		w := &Wait{Word: Word{ID: id, At: at.Add(-time.Hour), Data: &event.InventoryReserved{}}, Queue: work, sent: other}
		now := look(empty, func(s *seen) { s.letters = map[key]dlq.Letter{{c.dead, dead}: {}} })
		if w.judge(now, look(empty)); w.Place != c.place {
			t.Errorf("%s: %s, want %s", name, w.Place, c.place)
		}
	}
}

// However often a command looks, it looks at a message in a delay queue ten times at most.
func TestDelayedMessagesBearTheLooks(t *testing.T) {
	for _, delay := range []time.Duration{time.Second, time.Minute, time.Hour} {
		for _, every := range []time.Duration{time.Second, 7 * time.Second, time.Minute, 13 * time.Minute} {
			looks := []time.Time{at}
			for now := at; now.Before(at.Add(3 * delay)); now = now.Add(every) {
				if last := looks[len(looks)-1]; !tooSoon(last, now, delay) && now != last {
					looks = append(looks, now)
				}
			}
			for i := 5; i < len(looks); i++ {
				if stay := looks[i].Sub(looks[i-5]); stay <= delay {
					t.Errorf("a delay of %s, a look every %s: six within %s", delay, every, stay)
				}
			}
			if every < delay/4 && len(looks) < 6 {
				t.Errorf("a delay of %s, a look every %s: %d looks", delay, every, len(looks))
			}
		}
	}
}
