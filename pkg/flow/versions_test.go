package flow

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"orderflow/pkg/broker"
	"orderflow/pkg/devstack/devtest"
	"orderflow/pkg/event"
	"orderflow/pkg/postgres"
)

// buyer is a test event in version 2; fullName is what it was in version 1.
type (
	buyer struct {
		ID    uuid.UUID `json:"id"`
		First string    `json:"first"`
		Last  string    `json:"last"`
	}
	fullName struct {
		ID   uuid.UUID `json:"id"`
		Name string    `json:"name"`
	}
)

const ticketSold = "TicketSold"

func (*buyer) Type() event.Type        { return ticketSold }
func (b *buyer) Subject() uuid.UUID    { return b.ID }
func (*buyer) Validate() error         { return nil }
func (*fullName) Type() event.Type     { return ticketSold }
func (n *fullName) Subject() uuid.UUID { return n.ID }
func (*fullName) Validate() error      { return nil }

// lift says in version 2 what was said in version 1.
func lift(n *fullName) event.Payload {
	first, last, _ := strings.Cut(n.Name, " ")
	return &buyer{n.ID, first, last}
}

// ticketsBefore is the catalog of programs that know version 1 only, tickets of those that know both.
var (
	ticketsBefore = event.NewCatalog(event.Orders.Exchange, event.NewKind[fullName](1, "box-office", "ticket.sold", true))
	tickets       = event.NewCatalog(event.Orders.Exchange, event.NewKind[buyer](2, "box-office", "ticket.sold", true).Reading(event.Lift(1, lift)))
)

// sales collects what a consumer handled.
type sales struct {
	mu   sync.Mutex
	seen map[uuid.UUID][]event.Payload
	news chan struct{}
}

func (s *sales) handler() Handler {
	return React(func(_ context.Context, tx *postgres.Tx, batch []*event.Event) ([]*event.Event, error) {
		tx.OnCommit(func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			for _, e := range batch {
				s.seen[e.ID] = append(s.seen[e.ID], e.Data)
			}
			signal(s.news)
		})
		return nil, nil
	})
}

// until waits until n events were handled, and returns what each said.
func (s *sales) until(t *testing.T, n int) map[uuid.UUID][]event.Payload {
	t.Helper()
	deadline := time.After(limit)
	for {
		s.mu.Lock()
		seen := maps.Clone(s.seen)
		s.mu.Unlock()
		if len(seen) >= n {
			return seen
		}
		select {
		case <-s.news:
		case <-deadline:
			t.Fatalf("%d of %d events were handled", len(seen), n)
		}
	}
}

// Of an event whose version 2 is being rolled out both versions are under way at once, and each message twice. A consumer that knows both
// handles each once, as version 2; one that was not deployed yet handles version 1 and sets version 2 aside.
func TestTwoVersionsAtOnce(t *testing.T) {
	const pairs, queueBefore = 40, "test.tickets-before"
	h := newHouse(t, devtest.New(t))
	start := func(catalog *event.Catalog, queue string) *sales {
		s := &sales{seen: map[uuid.UUID][]event.Payload{}, news: make(chan struct{}, 1)}
		h.cfg.Catalog = catalog
		h.start(func(service *Service) {
			service.Subscribe(Subscription{Queue: queue, Events: []event.Type{ticketSold}, Handler: s.handler()})
		})
		return s
	}
	now, before := start(tickets, "test.tickets"), start(ticketsBefore, queueBefore)

	var messages []broker.Message
	want := map[uuid.UUID]bool{} // and whether it was said in version 1
	say := func(catalog *event.Catalog, data event.Payload) {
		e := event.New("box-office", time.Now(), "c", data)
		body, err := catalog.Encode(e)
		if err != nil {
			t.Fatal(err)
		}
		want[e.ID] = catalog == ticketsBefore
		m := broker.Message{Exchange: catalog.Exchange, RoutingKey: "ticket.sold", Mandatory: true, ID: e.ID.String(), Body: body}
		messages = append(messages, m, m)
	}
	for i := range pairs {
		id := event.NewID()
		say(ticketsBefore, &fullName{id, fmt.Sprintf("Ada L%d", i)})
		say(tickets, &buyer{id, "Ada", fmt.Sprintf("L%d", i)})
	}
	say(ticketsBefore, &fullName{event.NewID(), "Ada Last"}) // which both handle after all others
	h.publish(messages...)

	for id, said := range now.until(t, 2*pairs+1) {
		if b, ok := said[0].(*buyer); len(said) != 1 || !ok || b.First != "Ada" || !strings.HasPrefix(b.Last, "L") {
			t.Errorf("%s (version 1: %t) was handled as %#v", id, want[id], said)
		}
	}
	for id, said := range before.until(t, pairs+1) {
		if len(said) != 1 || !want[id] {
			t.Errorf("%s (version 1: %t) was handled by the program before as %#v", id, want[id], said)
		}
	}
	dead := broker.DeadLetterQueue(queueBefore)
	h.eventually("version 2 is set aside", func() bool { return h.depth(dead) == 2*pairs })
	for _, d := range h.take(dead) {
		said, _ := d.Headers[HeaderError].(string)
		if d.Headers[HeaderReason] != ReasonUnsupported || want[uuid.MustParse(d.ID)] || !strings.Contains(said, "version 2, this program reads version 1") {
			t.Errorf("dead letter %s (version 1: %t): %v, %q", d.ID, want[uuid.MustParse(d.ID)], d.Headers[HeaderReason], said)
		}
	}
	if n := h.depth(broker.DeadLetterQueue("test.tickets")); n != 0 {
		t.Errorf("%d dead letters where both versions are known", n)
	}
}
