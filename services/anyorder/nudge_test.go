package anyorder

import (
	"fmt"
	"reflect"
	"testing"

	"orderflow/pkg/event"
	"orderflow/services/order"
	"orderflow/services/stuck"
)

// lossy is what may go wrong where messages vanish: somebody purges a queue, again and again.
var lossy = allowance{losses: 2}

// record is what orderflow nudge reads of the order.
func (w *world) record() *stuck.Record {
	r := &stuck.Record{Order: w.order, Payment: w.payment, Reservation: w.reservation, Shipment: w.shipment}
	for _, f := range w.said {
		if t := f.payload.Type(); t == event.TypeOrderPlaced || t == event.TypeCancellationRequested { // the others it may not have heard of
			r.Timeline = append(r.Timeline, order.Seen{Type: t})
		}
	}
	return r
}

// rebuilt compares what the rows say with what was said. That nothing was said at all is found out by the order, which never ends.
func (w *world) rebuilt() error {
	for _, word := range w.record().Words() {
		if said := w.hasSaid(word.Data.Type()); said != nil && !reflect.DeepEqual(said, word.Data) {
			return fmt.Errorf("the rows say %+v, and what was said is %+v", word.Data, said)
		}
	}
	return nil
}

// lost lists the messages that have vanished and that a nudge brings back.
func (w *world) lost() (lost []int) {
	if !w.purged {
		return nil
	}
	for _, word := range w.record().Words() {
		for i := range w.messages {
			m := &w.messages[i]
			if m.payload.Type() == word.Data.Type() && !m.handled && m.deliveries == [3]delivery{} {
				lost = append(lost, i)
			}
		}
	}
	return lost
}

// nudge publishes what is lost again. Queues that have handled it drop it without a trace, so it comes to the others only.
func (w *world) nudge() {
	for _, i := range w.lost() {
		w.messages[i].deliveries[0] = delivery{phase: waiting}
	}
}

func TestEveryLossIsMendedByANudge(t *testing.T) {
	for _, p := range allPlans() {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			f, err := explore(newWorld(&p, newProtocol(), lossy))
			if err != nil {
				t.Fatalf("%v\n(%v)", err, f)
			}
			if f.nudges < 5 {
				t.Errorf("%v: only %d nudges", f, f.nudges)
			}
			t.Logf("%v, %d nudges", f, f.nudges)
		})
	}
}

// A nudge that forgets one of the words leaves an order that never ends.
func TestNudgesAreNeeded(t *testing.T) {
	for _, p := range allPlans() {
		w := newWorld(&p, newProtocol(), lossy)
		w.forgetful = true
		if _, err := explore(w); err == nil {
			t.Errorf("%s: nobody missed what a nudge forgot", p.name)
		}
	}
}
