package anyorder

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"

	"orderflow/pkg/event"
	"orderflow/services/inventory"
	"orderflow/services/order"
	"orderflow/services/payment"
	"orderflow/services/shipping"
)

// world is everything that there is of one order at one moment. Rows and events are replaced and never changed, so a copy needs
// its own messages and nothing else.
type world struct {
	plan     *plan
	protocol protocol

	order       *order.Order
	payment     *payment.Payment // nil: there is no row
	reservation *inventory.Reservation
	shipment    *shipping.Shipment

	gateway   gateway
	carrier   carrier
	warehouse warehouse

	said     []*fact   // every event that was published, sorted
	messages []message // each of them in each of the queues that it went to, sorted
	repeated *fact     // an event of a type that had been published before

	purged    bool // a message has vanished
	forgetful bool // nobody nudges

	allowance // what may go wrong yet
}

// allowance is how much may go wrong in one story. Crashes between a service's transactions are not counted: there may be any number.
type allowance struct {
	duplicates int // messages that come once more
	crashes    int // transactions that are committed and whose message comes again, since the ack was lost
	losses     int // messages that vanish while they wait, and come again only by a nudge
}

// fact is an event that was published. Since no type of event may be published twice for an order, the type is its id.
type fact struct {
	name    string // type and reason
	payload event.Payload
}

// message is an event in a queue, from being published on: it stays for the sake of the inbox, and to be doubled.
type message struct {
	*fact
	to         *subscription
	handled    bool        // the inbox has it
	deliveries [3]delivery // so many workers can have the same event at the same time
}

// delivery is how far a worker is with a message.
type delivery struct {
	phase  phase
	called call // the call to make, or made
	rounds int8 // how often it was to be handled again
}

type phase byte

const (
	gone     phase = iota // acknowledged, or never there
	waiting               // in the queue
	calling               // intent committed, call not made
	answered              // call made, or none to make; outcome not committed
)

// newWorld is the moment after the order was accepted.
func newWorld(plan *plan, p protocol, a allowance) *world {
	w := &world{plan: plan, protocol: p, warehouse: plan.warehouse, allowance: a}
	w.place(plan.terms)
	return w
}

func (w *world) clone() *world {
	c := *w
	c.messages = slices.Clone(w.messages)
	return &c
}

// publish routes events to the queues that are bound to them.
func (w *world) publish(payloads ...event.Payload) {
	for _, p := range payloads {
		f := &fact{name: string(p.Type()) + " " + string(reasonOf(p)), payload: p}
		if w.hasSaid(p.Type()) != nil {
			w.repeated = f
			return
		}
		w.said = insert(w.said, f, func(f *fact) string { return f.name })
		for _, s := range w.protocol {
			if slices.Contains(s.events, p.Type()) {
				m := message{fact: f, to: s, deliveries: [...]delivery{{phase: waiting}, {}, {}}}
				w.messages = insert(w.messages, m, message.key)
			}
		}
	}
}

// insert returns a new list with v in its place.
func insert[T any](list []T, v T, key func(T) string) []T {
	at, _ := slices.BinarySearchFunc(list, key(v), func(t T, k string) int { return cmp.Compare(key(t), k) })
	return slices.Insert(slices.Clip(list), at, v)
}

func (m message) key() string { return m.name + m.to.queue }

// hasSaid returns the event of a type that was published, or nil.
func (w *world) hasSaid(t event.Type) event.Payload {
	for _, f := range w.said {
		if f.payload.Type() == t {
			return f.payload
		}
	}
	return nil
}

// A step is something that can happen next.
type step struct {
	kind    kind
	message int8 // which message, for all but cancel
	worker  int8 // and which of its deliveries
}

type kind byte

const (
	proceed kind = iota // a worker does the next thing: a transaction, or a call
	lose                // the same, if it is the last transaction, and then a crash before the ack
	crash               // a worker forgets what it has done since its intent
	double              // a message is delivered once more
	cancel              // the customer
	vanish              // a message that waits is lost
	nudge               // what is lost is published again
)

// steps returns all that can happen next.
func (w *world) steps() (all []step) {
	for i := range w.messages {
		m := &w.messages[i]
		for j, d := range m.deliveries {
			if d.phase == gone {
				continue
			}
			s := step{message: int8(i), worker: int8(j)}
			if d.phase != waiting || m.to.mistake == ackFirst {
				all = append(all, s.of(crash))
			}
			all = append(all, s.of(proceed))
			if w.losses > 0 && d.phase == waiting {
				all = append(all, s.of(vanish))
			}
			if w.crashes > 0 && m.lastBefore(d) && !m.atomic() {
				all = append(all, s.of(lose))
			}
		}
		if free := m.free(); w.duplicates > 0 && free >= 0 && !m.atomic() {
			all = append(all, step{kind: double, message: int8(i), worker: free})
		}
	}
	if w.plan.cancels && !w.order.Status.Ended() {
		all = append(all, step{kind: cancel})
	}
	if !w.forgetful && w.still() && len(w.lost()) > 0 { // before, it is a duplicate
		all = append(all, step{kind: nudge})
	}
	return all
}

// quiet tells whether no message is left, nor any that could be brought back. The order's story is over then, but for events that come once more.
func (w *world) quiet() bool { return w.still() && (w.forgetful || len(w.lost()) == 0) }

// still tells whether no message is left.
func (w *world) still() bool {
	for i := range w.messages {
		for _, d := range w.messages[i].deliveries {
			if d.phase != gone {
				return false
			}
		}
	}
	return true
}

func (s step) of(k kind) step {
	s.kind = k
	return s
}

// atomic tells whether one transaction with the inbox is all there is to a message. Then the inbox drops whatever comes again,
// without a trace, so that nothing is to be learned from it.
func (m *message) atomic() bool { return m.to.inbox && m.to.intend == nil && m.to.mistake == noMistake }

// free is a worker that does not have the message; -1 where all have it.
func (m *message) free() int8 {
	return int8(slices.IndexFunc(m.deliveries[:], func(d delivery) bool { return d.phase == gone }))
}

// lastBefore tells whether the next thing to do for a delivery is its last transaction.
func (m *message) lastBefore(d delivery) bool {
	return d.phase == answered || d.phase == waiting && m.to.intend == nil
}

// after returns the world after a step.
func (w *world) after(s step) *world {
	w = w.clone()
	switch s.kind {
	case cancel:
		w.cancel()
		return w
	case nudge:
		w.nudge()
		return w
	}
	m := &w.messages[s.message] // not valid any more once something was published
	switch s.kind {
	case crash:
		m.deliveries[s.worker] = delivery{phase: m.afterCrash()}
	case double:
		w.duplicates--
		m.deliveries[s.worker] = delivery{phase: waiting}
	case proceed:
		w.proceed(m, &m.deliveries[s.worker], gone)
	case vanish:
		w.losses--
		w.purged = true
		m.deliveries[s.worker] = delivery{}
	case lose:
		w.crashes--
		w.proceed(m, &m.deliveries[s.worker], m.afterCrash())
	}
	return w
}

func (m *message) afterCrash() phase {
	if m.to.mistake == ackFirst {
		return gone
	}
	return waiting
}

// proceed lets a worker do the next thing; then is what becomes of the delivery after the last.
func (w *world) proceed(m *message, d *delivery, then phase) {
	switch {
	case m.lastBefore(*d):
		w.commit(m, d, then)
	case d.phase == waiting:
		d.called = m.to.intend(w, m.payload)
		d.phase = calling
		if d.called == none {
			d.phase = answered
		}
	case d.phase == calling:
		make := (*world).make
		if m.to.make != nil {
			make = m.to.make
		}
		make(w, d.called)
		d.phase = answered
	}
}

// commit is the transaction with the inbox.
func (w *world) commit(m *message, d *delivery, then phase) {
	called, rounds := d.called, d.rounds
	*d = delivery{phase: then}
	if m.handled && m.to.inbox {
		return
	}
	if then == waiting && m.to.mistake == publishFirst {
		follow, _ := m.to.record(w.clone(), m.payload, called)
		w.publish(follow...)
		return
	}
	follow, again := m.to.record(w, m.payload, called)
	if then == waiting && m.to.mistake == publishLater {
		follow = nil
	}
	if again {
		*d = delivery{phase: waiting, rounds: rounds + 1}
	} else {
		m.handled = true
	}
	w.publish(follow...)
}

// make asks another system, outside of any transaction.
func (w *world) make(c call) {
	switch {
	case c == charge && !w.plan.charge.Declined:
		w.gateway.charge(w.plan.terms.TotalAmount.Minor)
	case c == refund:
		w.gateway.refund()
	case c == book && !w.plan.booking.Refused:
		w.carrier.book()
	}
}

// encode appends all that makes a difference for what can come: two worlds with the same code have the same future. The order's
// version and times are left out, since they tell of the past, and which of two workers is which.
func (w *world) encode(b []byte) []byte {
	text := func(s string) { b = append(append(b, s...), '|') }
	count := func(n int64) { b = append(strconv.AppendInt(b, n, 36), '|') }
	flag := func(f bool) { b = strconv.AppendBool(b, f) }

	count(int64(w.order.Facts))
	text(string(w.order.CancelReason))
	if p := w.payment; p != nil {
		text(string(p.Status))
		text(string(p.Undo))
	}
	if r := w.reservation; r != nil {
		text(string(r.Status))
	}
	if s := w.shipment; s != nil {
		text(string(s.Status))
		flag(s.CancelAsked)
	}
	count(w.gateway.charged)
	count(w.gateway.refunded)
	flag(w.carrier.booked)
	for i := range w.warehouse {
		count(w.warehouse[i].reserved)
		count(w.warehouse[i].shipped)
	}
	count(int64(w.duplicates))
	count(int64(w.crashes))
	count(int64(w.losses))
	for _, f := range w.said {
		text(f.name)
	}
	for i := range w.messages {
		m := &w.messages[i]
		flag(m.handled)
		workers := m.deliveries
		slices.SortFunc(workers[:], delivery.compare)
		for _, d := range workers {
			b = d.encode(b)
		}
	}
	return b
}

func (d delivery) encode(b []byte) []byte {
	if d.phase == gone {
		return append(b, '-')
	}
	return append(b, '0'+byte(d.phase), '0'+byte(d.called), '0'+byte(d.rounds))
}

func (d delivery) compare(e delivery) int {
	return cmp.Or(cmp.Compare(d.phase, e.phase), cmp.Compare(d.rounds, e.rounds), cmp.Compare(d.called, e.called))
}

// describe tells what a step does in w.
func (w *world) describe(s step) string {
	switch s.kind {
	case cancel:
		return "the customer cancels"
	case nudge:
		return "what is lost is published again"
	}
	m := &w.messages[s.message]
	d := m.deliveries[s.worker]
	what := fmt.Sprintf("ask %v", d.called)
	switch {
	case s.kind == double:
		what = "comes once more"
	case s.kind == vanish:
		what = "vanishes"
	case s.kind == crash:
		what = "crash, to be delivered again"
	case m.lastBefore(d) && m.handled && m.to.inbox:
		what = "dropped by the inbox"
	case m.lastBefore(d):
		what = "commit"
	case d.phase == waiting:
		what = "commit the intent"
	}
	if s.kind == lose {
		what += ", crash before the ack"
	}
	return fmt.Sprintf("%-32s %-40s %s", m.to.queue, fmt.Sprintf("%s (worker %d)", m.name, s.worker+1), what)
}

// String shows the rows.
func (w *world) String() string {
	s := fmt.Sprintf("order %s %s", w.order.Status, w.order.CancelReason)
	if w.payment != nil {
		s += fmt.Sprintf(", payment %s %s", w.payment.Status, w.payment.Undo)
	}
	if w.reservation != nil {
		s += fmt.Sprintf(", reservation %s", w.reservation.Status)
	}
	if w.shipment != nil {
		s += fmt.Sprintf(", shipment %s", w.shipment.Status)
	}
	return s + fmt.Sprintf(", gateway %+v, carrier %+v", w.gateway, w.carrier)
}
