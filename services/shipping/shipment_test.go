package shipping

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"orderflow/pkg/event"
)

// table is what every state makes of everything that can happen: the state that follows, and the events that are said. A state that
// is asked to cancel has a star; a dash is no change and not a word.
const table = `
              booked                                         refused                  cancel
booking       created+ShipmentCreated                        failed+ShipmentFailed    booking*
booking*      created+ShipmentCreated+CancellationRejected   failed+ShipmentFailed    -
created       -                                              -                        created+CancellationRejected
failed        -                                              -                        -
cancelled     -                                              -                        -
`

// happenings are the columns of the table.
var happenings = map[string]func(Shipment) (Shipment, []event.Payload){
	"booked": func(s Shipment) (Shipment, []event.Payload) {
		return s.Settle(&order, Verdict{Carrier: "post", TrackingNumber: "T1"})
	},
	"refused": func(s Shipment) (Shipment, []event.Payload) {
		return s.Settle(&order, Verdict{Refused: true, Detail: "no such street"})
	},
	"cancel": func(s Shipment) (Shipment, []event.Payload) {
		next, said := s.Cancel(&order)
		if said == nil {
			return next, nil
		}
		return next, []event.Payload{said}
	},
}

var (
	id    = uuid.MustParse("01890000-0000-7000-8000-000000000004")
	order = event.Order{OrderID: uuid.MustParse("01890000-0000-7000-8000-000000000001")}
)

// TestEveryStateAndEvent follows the rules from where a shipment begins to every state that can be reached, and compares each step
// with the table. The table must have those states and no others.
func TestEveryStateAndEvent(t *testing.T) {
	lines := strings.Split(strings.TrimSpace(table), "\n")
	columns := strings.Fields(lines[0])
	rows := map[string][]string{}
	for _, line := range lines[1:] {
		cells := strings.Fields(line)
		rows[cells[0]] = cells[1:]
	}
	tombstone, _ := Tombstone(&order, event.ReasonCustomerRequest, id)
	seen := map[Shipment]bool{}
	reached := map[string]bool{}
	for todo := []Shipment{Open(&order, id), tombstone}; len(todo) > 0; todo = todo[1:] {
		s := todo[0]
		if seen[s] {
			continue
		}
		seen[s], reached[name(s)] = true, true
		row := rows[name(s)]
		if len(row) != len(columns) {
			t.Errorf("%s has %d cells in the table, want %d", name(s), len(row), len(columns))
			continue
		}
		for i, column := range columns {
			next, said := happenings[column](s)
			if got := outcome(s, next, said); got != row[i] {
				t.Errorf("%s, %s: %s, want %s", name(s), column, got, row[i])
			}
			todo = append(todo, next)
		}
	}
	if len(reached) != len(rows) || len(columns) != len(happenings) {
		t.Errorf("reached %v, table has %d rows and %d columns", reached, len(rows), len(columns))
	}
}

func name(s Shipment) string {
	if s.Status == Booking && s.CancelAsked {
		return "booking*"
	}
	return string(s.Status)
}

func outcome(before, after Shipment, said []event.Payload) string {
	if before == after && len(said) == 0 {
		return "-"
	}
	b := name(after)
	for _, e := range said {
		b += fmt.Sprintf("+%s", e.Type())
	}
	return b
}

func TestShipmentTellsWhatTheCarrierSaid(t *testing.T) {
	waiting, _ := Open(&order, id).Cancel(&order)
	_, said := waiting.Settle(&order, Verdict{Carrier: "post", TrackingNumber: "T1"})
	want := event.Shipment{ShipmentID: id, Carrier: "post", TrackingNumber: "T1"}
	if e := said[0].(*event.ShipmentCreated); e.Shipment != want {
		t.Errorf("ShipmentCreated says %+v, want %+v", e.Shipment, want)
	}
	if e := said[1].(*event.CancellationRejected); e.Shipment != want {
		t.Errorf("CancellationRejected says %+v, want %+v", e.Shipment, want)
	}
	_, said = Open(&order, id).Settle(&order, Verdict{Refused: true, Detail: "no such street"})
	if e := said[0].(*event.ShipmentFailed); e.ShipmentID != id || e.Reason != event.ReasonShipmentFailed || e.Detail != "no such street" {
		t.Errorf("ShipmentFailed says %+v", e)
	}
	_, cancelled := Tombstone(&order, event.ReasonCustomerRequest, id)
	if e := cancelled.(*event.ShipmentCancelled); e.ShipmentID != id || e.Reason != event.ReasonCustomerRequest {
		t.Errorf("ShipmentCancelled says %+v", e)
	}
}

// Whatever the carrier calls a parcel that it booked, the shipment keeps it, and what is said of it can be sent.
func TestAnyParcelIsBooked(t *testing.T) {
	order := event.Order{
		OrderID: order.OrderID, CustomerID: "c", Currency: "EUR", TotalAmount: event.MinorAmount(3998, "EUR"), PaymentMethod: "pm_ok",
		Items:           []event.Item{{ProductID: "p", Quantity: 2, UnitPrice: event.MinorAmount(1999, "EUR")}},
		ShippingAddress: event.Address{Name: "Ada", Line1: "Main Street 1", City: "Berlin", PostalCode: "10115", Country: "DE"},
	}
	for text, told := range map[string]string{
		"T1\n":                           "T1",
		"T\x00\xff1":                     "T �1",
		strings.Repeat(" ", 300) + "T1":  "T1",
		strings.Repeat("é", 201) + "end": strings.Repeat("é", 200),
	} {
		waiting, _ := Open(&order, id).Cancel(&order)
		booked, said := waiting.Settle(&order, Verdict{Carrier: text, TrackingNumber: text})
		if booked.Carrier != text || booked.TrackingNumber != text {
			t.Errorf("%q is kept as %q and %q", text, booked.Carrier, booked.TrackingNumber)
		}
		if got := said[0].(*event.ShipmentCreated); got.Carrier != told || got.TrackingNumber != told {
			t.Errorf("of %q is told %q and %q, want %q", text, got.Carrier, got.TrackingNumber, told)
		}
		for _, payload := range said {
			body, err := event.Orders.Encode(event.New(Name, time.Now(), "", payload))
			if err != nil {
				t.Errorf("%q: %v", text, err)
			} else if _, err := event.Orders.Decode(body); err != nil {
				t.Errorf("%q: %v", text, err)
			}
		}
	}
}
