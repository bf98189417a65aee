package order

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"orderflow/pkg/event"
)

// table is what every status makes of everything that can happen: the status that follows, and the event that is said. A dash is no
// change of status and not a word; cancel is the customer's own wish, and refused where it comes too late.
const table = `
                         placed                             paid                            reserved                        cancelling                cancelled   shipped
PaymentProcessed         paid                               -                               -                               -                         -           -
InventoryReserved        reserved                           reserved                        -                               -                         -           -
ShipmentCreated          shipped+OrderShipped               shipped+OrderShipped            shipped+OrderShipped            shipped+OrderShipped      shipped     -
CancellationRejected     shipped+OrderShipped               shipped+OrderShipped            shipped+OrderShipped            shipped+OrderShipped      shipped     -
CancellationRequested    cancelling                         cancelling                      cancelling                      -                         -           -
ShipmentFailed           cancelling                         cancelling                      cancelling                      -                         -           -
ShipmentCancelled        cancelling                         cancelling                      cancelling                      -                         -           -
InventoryRejected        cancelling                         cancelling                      cancelling                      -                         -           -
InventoryReleased        cancelling                         cancelling                      cancelling                      -                         -           -
PaymentFailed            cancelled+OrderCancelled           cancelled+OrderCancelled        cancelled+OrderCancelled        cancelled+OrderCancelled  -           -
PaymentRefunded          cancelled+OrderCancelled           cancelled+OrderCancelled        cancelled+OrderCancelled        cancelled+OrderCancelled  -           -
PaymentVoided            cancelled+OrderCancelled           cancelled+OrderCancelled        cancelled+OrderCancelled        cancelled+OrderCancelled  -           -
OrderPlaced              -                                  -                               -                               -                         -           -
OrderShipped             -                                  -                               -                               -                         -           -
OrderCancelled           -                                  -                               -                               -                         -           -
cancel                   cancelling+CancellationRequested   cancelling+CancellationRequested cancelling+CancellationRequested -                       refused     refused
`

var (
	now   = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	later = now.Add(time.Minute)
	terms = event.Order{OrderID: uuid.MustParse("01890000-0000-7000-8000-000000000001")}
)

const (
	customer = event.ReasonCustomerRequest
	noStock  = event.ReasonOutOfStock
	noCard   = event.ReasonPaymentFailed
	noParcel = event.ReasonShipmentFailed
)

// TestEveryStateAndEvent tries every set of facts with everything that can happen. The table must have every status and every type
// of event.
func TestEveryStateAndEvent(t *testing.T) {
	lines := strings.Split(strings.TrimSpace(table), "\n")
	columns := map[Status]int{}
	for i, status := range strings.Fields(lines[0]) {
		columns[Status(status)] = i + 1
	}
	rows := map[string][]string{}
	for _, line := range lines[1:] {
		cells := strings.Fields(line)
		rows[cells[0]] = cells
	}
	happenings := []string{"cancel"}
	for _, kind := range event.Orders.Kinds() {
		happenings = append(happenings, string(kind.Type))
	}
	if len(rows) != len(happenings) {
		t.Errorf("the table has %d rows, want %d", len(rows), len(happenings))
	}
	reached := map[Status]bool{}
	for facts := FactPlaced; facts < FactUndone<<1; facts++ {
		o := withFacts(facts)
		reached[o.Status] = true
		for _, h := range happenings {
			cell := "missing"
			if row, column := rows[h], columns[o.Status]; column > 0 && column < len(row) {
				cell = row[column]
			}
			if got := outcome(o, h); got != cell {
				t.Errorf("%s (facts %05b), %s: %s, want %s", o.Status, facts, h, got, cell)
			}
		}
	}
	if len(reached) != len(columns) {
		t.Errorf("reached %v, the table has %v", reached, columns)
	}
}

// withFacts is an order of which these facts are known.
func withFacts(facts Facts) Order {
	o, _ := Place(terms, now)
	for _, e := range []event.Payload{
		&event.PaymentProcessed{}, &event.InventoryReserved{}, &event.ShipmentCreated{},
		&event.ShipmentCancelled{Reason: customer}, &event.PaymentRefunded{Reason: customer},
	} {
		if fact, _ := factOf(e); facts&fact != 0 {
			o, _ = o.Learn(e, now)
		}
	}
	return o
}

func outcome(o Order, happening string) string {
	var next Order
	var said event.Payload
	ok := true
	if happening == "cancel" {
		next, said, ok = o.Cancel(later)
	} else {
		next, said = o.Learn(eventOf(event.Type(happening)), later)
	}
	switch {
	case !ok:
		return "refused"
	case said != nil:
		return fmt.Sprintf("%s+%s", next.Status, said.Type())
	case next.Status == o.Status:
		return "-"
	}
	return string(next.Status)
}

// eventOf is an event of a type, with a reason where it has one.
func eventOf(t event.Type) event.Payload {
	for _, e := range []event.Payload{
		&event.OrderPlaced{}, &event.PaymentProcessed{}, &event.PaymentFailed{Reason: noCard}, &event.PaymentRefunded{Reason: customer},
		&event.PaymentVoided{Reason: customer}, &event.InventoryReserved{}, &event.InventoryRejected{Reason: noStock},
		&event.InventoryReleased{Reason: customer}, &event.ShipmentCreated{}, &event.ShipmentFailed{Reason: noParcel},
		&event.CancellationRequested{Reason: customer}, &event.CancellationRejected{}, &event.ShipmentCancelled{Reason: customer},
		&event.OrderShipped{}, &event.OrderCancelled{Reason: customer},
	} {
		if e.Type() == t {
			return e
		}
	}
	panic("no event of type " + t)
}

// histories are the sets of events that an order can come to know in the end, and how it ends then.
var histories = []struct {
	name   string
	events []event.Payload
	status Status
	reason event.CancelReason
}{
	{"shipped", []event.Payload{processed, reserved, created}, Shipped, ""},
	{"shipped, cancelled too late", []event.Payload{processed, reserved, created, requested, tooLate}, Shipped, ""},
	{"declined", []event.Payload{failed}, Cancelled, noCard},
	{"declined, cancelled meanwhile", []event.Payload{failed, requested, unshipped, released(customer)}, Cancelled, noCard},
	{"out of stock", []event.Payload{processed, rejected, refunded(noStock)}, Cancelled, noStock},
	{"out of stock, cancelled meanwhile",
		[]event.Payload{processed, requested, unshipped, rejected, refunded(noStock)}, Cancelled, noStock},
	{"undeliverable", []event.Payload{processed, reserved, unbooked, released(noParcel), refunded(noParcel)}, Cancelled, noParcel},
	{"undeliverable, cancelled meanwhile",
		[]event.Payload{processed, reserved, requested, unbooked, released(noParcel), refunded(noParcel)}, Cancelled, noParcel},
	{"cancelled before anything",
		[]event.Payload{requested, unshipped, released(customer), voided}, Cancelled, customer},
	{"cancelled while charging",
		[]event.Payload{requested, unshipped, released(customer), refunded(customer)}, Cancelled, customer},
	{"cancelled when paid",
		[]event.Payload{processed, requested, unshipped, released(customer), refunded(customer)}, Cancelled, customer},
	{"cancelled when reserved",
		[]event.Payload{processed, reserved, requested, unshipped, released(customer), refunded(customer)}, Cancelled, customer},
}

var (
	processed = &event.PaymentProcessed{}
	failed    = &event.PaymentFailed{Reason: noCard}
	voided    = &event.PaymentVoided{Reason: customer}
	reserved  = &event.InventoryReserved{}
	rejected  = &event.InventoryRejected{Reason: noStock}
	created   = &event.ShipmentCreated{}
	unbooked  = &event.ShipmentFailed{Reason: noParcel}
	unshipped = &event.ShipmentCancelled{Reason: customer}
	requested = &event.CancellationRequested{Reason: customer}
	tooLate   = &event.CancellationRejected{}
)

func released(r event.CancelReason) event.Payload { return &event.InventoryReleased{Reason: r} }
func refunded(r event.CancelReason) event.Payload { return &event.PaymentRefunded{Reason: r} }

// TestOrderOfArrivalDoesNotMatter folds every part of every history in every order. What is known must depend on what was learned
// alone; the end must be as the history says, and be said once, rightly.
func TestOrderOfArrivalDoesNotMatter(t *testing.T) {
	for _, h := range histories {
		t.Run(h.name, func(t *testing.T) {
			for part := range 1 << len(h.events) {
				var events []event.Payload
				for i, e := range h.events {
					if part&(1<<i) != 0 {
						events = append(events, e)
					}
				}
				first := fold(t, events)
				permute(events, 0, func(events []event.Payload) {
					if o := fold(t, events); o.Facts != first.Facts || o.Status != first.Status || o.CancelReason != first.CancelReason {
						t.Fatalf("%s: %s %q, another order of it: %s %q", names(events), o.Status, o.CancelReason, first.Status, first.CancelReason)
					}
				})
			}
			if o := fold(t, h.events); o.Status != h.status || o.CancelReason != h.reason {
				t.Errorf("ends %s %q, want %s %q", o.Status, o.CancelReason, h.status, h.reason)
			}
		})
	}
}

// fold learns events, each of them twice, and checks what is said on the way: the end, when it has come, and nothing else.
func fold(t *testing.T, events []event.Payload) Order {
	t.Helper()
	o, _ := Place(terms, now)
	var ends []event.Payload
	for _, e := range events {
		var said event.Payload
		if o, said = o.Learn(e, later); said != nil {
			ends = append(ends, said)
		}
		if again, said := o.Learn(e, later); said != nil || again.Version != o.Version {
			t.Fatalf("%s: %s learned twice makes version %d of %d and says %v", names(events), e.Type(), again.Version, o.Version, said)
		}
	}
	if !o.Status.Ended() && len(ends) == 0 {
		return o
	}
	if len(ends) != 1 {
		t.Fatalf("%s: %s, but %d ends are said", names(events), o.Status, len(ends))
	}
	switch e := ends[0].(type) {
	case *event.OrderShipped:
		if o.Status != Shipped {
			t.Fatalf("%s: OrderShipped is said, but it is %s", names(events), o.Status)
		}
	case *event.OrderCancelled:
		if o.Status != Cancelled || e.Reason != o.CancelReason {
			t.Fatalf("%s: OrderCancelled for %q is said, but it is %s %q", names(events), e.Reason, o.Status, o.CancelReason)
		}
	}
	return o
}

// permute calls f with every order of list[from:].
func permute[T any](list []T, from int, f func([]T)) {
	if from == len(list) {
		f(list)
		return
	}
	for i := from; i < len(list); i++ {
		list[from], list[i] = list[i], list[from]
		permute(list, from+1, f)
		list[from], list[i] = list[i], list[from]
	}
}

func names(events []event.Payload) string {
	var b strings.Builder
	for _, e := range events {
		fmt.Fprintf(&b, "%s ", e.Type())
	}
	return b.String()
}

// TestThePaymentsLastWordDecides has no story behind it: for all that is known, only one reason but the customer's is ever given.
// Should there be more, what was said at the end stays.
func TestThePaymentsLastWordDecides(t *testing.T) {
	for _, last := range []event.CancelReason{customer, noParcel} {
		permute([]event.Payload{requested, released(noStock), refunded(last)}, 0, func(events []event.Payload) {
			if o := fold(t, events); o.CancelReason != last {
				t.Errorf("%s: cancelled for %q, want %q", names(events), o.CancelReason, last)
			}
		})
	}
}

func TestChangesAreCountedAndDated(t *testing.T) {
	o, said := Place(terms, now)
	if e, ok := said.(*event.OrderPlaced); !ok || e.OrderID != terms.OrderID || o.Version != 1 || o.PlacedAt != now || o.UpdatedAt != now {
		t.Errorf("placed %+v and said %v", o, said)
	}
	paid, _ := o.Learn(processed, later)
	if paid.Version != 2 || paid.UpdatedAt != later || paid.PlacedAt != now {
		t.Errorf("after a change: version %d, updated %s", paid.Version, paid.UpdatedAt)
	}
	cancelling, request, ok := paid.Cancel(later)
	if e, _ := request.(*event.CancellationRequested); !ok || e == nil || e.Reason != customer || cancelling.CancelReason != customer {
		t.Errorf("cancelled: %v %+v %+v", ok, request, cancelling)
	}
	if twice, request, ok := cancelling.Cancel(later); !ok || request != nil || twice.Version != cancelling.Version {
		t.Errorf("cancelled twice: %v %v, version %d of %d", ok, request, twice.Version, cancelling.Version)
	}
}
