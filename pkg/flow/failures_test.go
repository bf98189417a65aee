package flow

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"orderflow/pkg/broker"
	"orderflow/pkg/devstack/devtest"
	"orderflow/pkg/event"
)

var dlq = broker.DeadLetterQueue(queue)

// deadLetters waits for n dead letters and takes them.
func (h *house) deadLetters(n int) []*broker.Delivery {
	h.t.Helper()
	h.eventually(fmt.Sprintf("there are %d dead letters", n), func() bool { return h.depth(dlq) >= n })
	return h.take(dlq)
}

// wantHeaders checks the headers that a dead letter has by contract.
func wantHeaders(t *testing.T, d *broker.Delivery, reason string, attempts int64, text string) {
	t.Helper()
	for name, want := range map[string]any{
		HeaderQueue: queue, HeaderService: "test", HeaderReason: reason, HeaderAttempts: attempts,
	} {
		if got := d.Headers[name]; got != want {
			t.Errorf("dead letter %s: header %s is %v, want %v", d.ID, name, got, want)
		}
	}
	if said, _ := d.Headers[HeaderError].(string); !strings.Contains(said, text) {
		t.Errorf("dead letter %s: the error is %q, want %q in it", d.ID, said, text)
	}
	var times []time.Time
	for _, name := range []string{HeaderFirstFailedAt, HeaderDeadAt} {
		said, _ := d.Headers[name].(string)
		at, err := time.Parse(time.RFC3339Nano, said)
		if err != nil || time.Since(at) > time.Minute {
			t.Errorf("dead letter %s: header %s is %q", d.ID, name, said)
		}
		times = append(times, at)
	}
	if times[1].Before(times[0]) {
		t.Errorf("dead letter %s: dead at %s, before it failed first, at %s", d.ID, times[1], times[0])
	}
	for name := range d.Headers {
		if strings.HasPrefix(name, "x-") && name != "x-delivery-count" { // that of the dead-letter queue itself
			t.Errorf("dead letter %s: it has the broker's header %s", d.ID, name)
		}
	}
}

// Of 200 events in a batch one is poisonous: the others commit, and it alone goes through the delays and dies.
func TestPoisonIsIsolated(t *testing.T) {
	t.Parallel()
	h := newHouse(t, devtest.New(t))
	h.observe()
	good := placed(199, "ok")
	poison := placed(1, "poison")[0]
	h.feed(append(append(good[:99:99], poison), good[99:]...)...)
	s := h.run(h.effect(), 1)
	dead := h.deadLetters(1)
	h.journal.until(t, good)
	s.stop()

	wantHeaders(t, dead[0], ReasonExhausted, 3, "poison in a batch of 1")
	if dead[0].ID != poison.ID.String() || dead[0].Type != string(event.TypeOrderPlaced) || dead[0].CorrelationID != poison.CorrelationID {
		t.Errorf("the dead letter is %+v", dead[0].Message)
	}
	first, _ := time.Parse(time.RFC3339Nano, dead[0].Headers[HeaderFirstFailedAt].(string))
	last, _ := time.Parse(time.RFC3339Nano, dead[0].Headers[HeaderDeadAt].(string))
	if waited := last.Sub(first); waited < 250*time.Millisecond {
		t.Errorf("it died after %s, before the delays of 50 and 200 ms were over", waited)
	}
	if _, err := event.Orders.Decode(dead[0].Body); err != nil {
		t.Errorf("the body was changed: %v", err)
	}
	h.wantOnce(good)
	h.wantFollowers(good, true)
	if n := h.number("SELECT count(*) FROM inbox WHERE event_id = $1", poison.ID); n != 0 {
		t.Error("the inbox says that the poison was handled")
	}
}

func TestFailuresOfEveryKind(t *testing.T) {
	t.Parallel()
	h := newHouse(t, devtest.New(t))
	flaky, panics, rejected, good := placed(1, "flaky"), placed(1, "panic"), placed(1, "reject"), placed(5, "ok")
	h.feed(append(append(append(flaky, panics...), rejected...), good...)...)
	s := h.run(h.effect(), 1)
	handled := append(good, flaky...)
	h.journal.until(t, handled)
	byID := map[string]*broker.Delivery{}
	for _, d := range h.deadLetters(2) {
		byID[d.ID] = d
	}
	s.stop()
	h.wantOnce(handled)
	if len(byID) != 2 {
		t.Fatalf("dead letters: %v", byID)
	}
	wantHeaders(t, byID[panics[0].ID.String()], ReasonExhausted, 3, "panic: what now?")
	wantHeaders(t, byID[rejected[0].ID.String()], ReasonRejected, 1, "never: "+rejected[0].ID.String())
}

func TestInvalidMessagesDieAtOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t, devtest.New(t))
	base := func() broker.Message { return message(t, placed(1, "ok")[0]) }
	change := func(old, new string) broker.Message {
		m := base()
		if !strings.Contains(string(m.Body), old) {
			t.Fatalf("the body has no %s: %s", old, m.Body)
		}
		m.Body = []byte(strings.Replace(string(m.Body), old, new, 1))
		return m
	}
	replaced := func(body string) broker.Message {
		m := base()
		m.Body = []byte(body)
		return m
	}
	past := placed(1, "ok")[0]
	past.ID = event.FirstID(time.Now().Add(-100 * day))
	past.ID[6] |= 0x70
	future := placed(1, "ok")[0]
	future.ID = event.FirstID(time.Now().Add(10 * day))
	future.ID[6] |= 0x70
	foreign := message(t, voided(placed(1, "ok")[0]))
	foreign.RoutingKey = "order.placed"
	anonymous := replaced("also no event")
	anonymous.ID, anonymous.Type, anonymous.CorrelationID = "", "", ""
	long := replaced("no event either")
	long.Headers = map[string]any{"huge": strings.Repeat("x", 90_000), "n": int32(5), "list": []any{"a", int64(1)}, "nothing": nil}
	cases := []struct {
		m            broker.Message
		reason, text string
	}{
		{replaced(""), ReasonInvalid, ""},
		{replaced("not JSON"), ReasonInvalid, "JSON"},
		{replaced("\xff\xfe\x00"), ReasonInvalid, ""},
		{replaced("[1, 2]"), ReasonInvalid, ""},
		{replaced(`{"a": `), ReasonInvalid, ""},
		{replaced("{}"), ReasonInvalid, "/specversion"},
		{replaced(strings.Repeat("[", 20_000)), ReasonInvalid, ""},
		{replaced(`"` + strings.Repeat("x", event.MaxSize) + `"`), ReasonInvalid, "bytes"},
		{change(`"specversion":"1.0"`, `"specversion":"2.0"`), ReasonInvalid, "/specversion"},
		{change(`"type":"OrderPlaced"`, `"type":"OrderEaten"`), ReasonInvalid, "/type"},
		{change(`OrderPlaced:1"`, `OrderPlaced:2"`), ReasonUnsupported, "version 2"},
		{change(`"quantity":1`, `"quantity":0`), ReasonInvalid, "/data/items/0/quantity"},
		{change(`"EUR"`, `"XXQ"`), ReasonInvalid, "/data/currency"},
		{foreign, ReasonInvalid, "does not belong"},
		{message(t, past), ReasonRejected, "outside"},
		{message(t, future), ReasonRejected, "outside"},
		{anonymous, ReasonInvalid, ""},
		{long, ReasonInvalid, ""},
	}
	want := map[string]int{}
	for i := range cases {
		if cases[i].m.ID == "" {
			want[""] = i
			continue
		}
		cases[i].m.ID = uuid.NewString()
		want[cases[i].m.ID] = i
	}
	for _, c := range cases {
		h.publish(c.m)
	}
	good := placed(3, "ok")
	h.feed(good...)
	s := h.run(h.effect(), 1)
	h.journal.until(t, good)
	dead := h.deadLetters(len(cases))
	s.stop()
	if len(dead) != len(cases) {
		t.Errorf("%d dead letters, want %d", len(dead), len(cases))
	}
	for _, d := range dead {
		c := cases[want[d.ID]]
		wantHeaders(t, d, c.reason, 1, c.text)
		if string(d.Body) != string(c.m.Body) {
			t.Errorf("the body of dead letter %s was changed", d.ID)
		}
	}
	h.wantOnce(good)
}

// A foreign message may have so many headers that there is no room for those of the runtime. It must not stop the service.
func TestHeadersThatLeaveNoRoom(t *testing.T) {
	t.Parallel()
	h := newHouse(t, devtest.New(t))
	m := message(t, placed(1, "ok")[0])
	m.Body = []byte("no event")
	m.Headers = map[string]any{"huge": strings.Repeat("x", 102_000)}
	h.publish(m)
	good := placed(3, "ok")
	h.feed(good...)
	s := h.run(h.effect(), 1)
	dead := h.deadLetters(1)
	h.journal.until(t, good)
	s.stop()
	wantHeaders(t, dead[0], ReasonInvalid, 1, "")
	if string(dead[0].Body) != "no event" {
		t.Errorf("the body was changed to %q", dead[0].Body)
	}
}

// A message that claims to have been tried more often than can be counted is one that was tried often, and harms nobody else.
func TestAttemptsThatCannotBeCounted(t *testing.T) {
	t.Parallel()
	h := newHouse(t, devtest.New(t))
	m := message(t, placed(1, "poison")[0])
	m.Headers = map[string]any{HeaderAttempts: int64(math.MaxInt64)}
	h.publish(m)
	good := placed(3, "ok")
	h.feed(good...)
	s := h.run(h.effect(), 1)
	dead := h.deadLetters(1)
	h.journal.until(t, good)
	s.stop()
	wantHeaders(t, dead[0], ReasonExhausted, maxCount+1, "poison")
}

// A correlation id is a foreign word and may be longer than a property of a message.
func TestLongCorrelationID(t *testing.T) {
	t.Parallel()
	h := newHouse(t, devtest.New(t))
	h.observe()
	events := placed(2, "ok")
	events[0].CorrelationID = strings.Repeat("c", 300)
	m := message(t, events[0])
	m.CorrelationID = ""
	h.publish(m)
	h.feed(events[1])
	s := h.run(h.effect(), 1)
	h.journal.until(t, events)
	s.stop()
	h.wantFollowers(events, true)
}

func TestDeletedQueuesOfFailuresAreMadeAgain(t *testing.T) {
	t.Parallel()
	h := newHouse(t, devtest.New(t))
	s := h.run(h.effect(), 1)
	h.manage("DELETE", "/api/queues/VHOST/orders.retry.200ms", nil)
	h.manage("DELETE", "/api/queues/VHOST/"+dlq, nil)
	h.feed(placed(1, "poison")...)
	h.eventually("the dead-letter queue is there again", func() bool {
		n, err := h.broker.Depth(t.Context(), dlq)
		return err == nil && n == 1 || err != nil && !errors.Is(err, broker.ErrNoQueue)
	})
	s.stop()
	wantHeaders(t, h.take(dlq)[0], ReasonExhausted, 3, "poison")
}

func TestNoRetryDelays(t *testing.T) {
	t.Parallel()
	h := newHouse(t, devtest.New(t))
	h.cfg.RetryDelays = []time.Duration{}
	h.feed(placed(1, "poison")...)
	s := h.run(h.effect(), 1)
	wantHeaders(t, h.deadLetters(1)[0], ReasonExhausted, 1, "poison")
	s.stop()
}
