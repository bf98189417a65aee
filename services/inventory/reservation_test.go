package inventory

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"orderflow/pkg/event"
)

// table is what every state makes of everything that can happen to it: the state that follows, and the event that is said. A dash is
// no change and not a word.
const table = `
             release                       ship
reserved     released+InventoryReleased    shipped
rejected     -                             -
released     -                             -
shipped      -                             -
voided       -                             -
`

// happenings are the columns of the table.
var happenings = map[string]func(Reservation) (Reservation, event.Payload){
	"release": func(r Reservation) (Reservation, event.Payload) { return r.Release(&order, event.ReasonShipmentFailed) },
	"ship":    func(r Reservation) (Reservation, event.Payload) { return r.Ship(), nil },
}

var (
	id    = uuid.MustParse("01890000-0000-7000-8000-000000000003")
	order = event.Order{
		OrderID: uuid.MustParse("01890000-0000-7000-8000-000000000001"),
		Items:   []event.Item{{ProductID: "pen", Quantity: 2}, {ProductID: "ink", Quantity: 1}, {ProductID: "pen", Quantity: 3}},
	}
)

// TestEveryStateAndEvent follows the rules from how a reservation begins to every state that can be reached, and compares each step
// with the table. The table must have those states and no others.
func TestEveryStateAndEvent(t *testing.T) {
	lines := strings.Split(strings.TrimSpace(table), "\n")
	columns := strings.Fields(lines[0])
	rows := map[string][]string{}
	for _, line := range lines[1:] {
		cells := strings.Fields(line)
		rows[cells[0]] = cells[1:]
	}
	reserved, _ := Open(&order, id).Reserve(&order, Shelf{"pen": 5, "ink": 1})
	rejected, _ := Open(&order, id).Reserve(&order, Shelf{})
	tombstone, _ := Tombstone(&order, event.ReasonCustomerRequest, id)
	reached := map[Status]bool{}
	for todo := []Reservation{reserved, rejected, tombstone}; len(todo) > 0; todo = todo[1:] {
		r := todo[0]
		if reached[r.Status] {
			continue
		}
		reached[r.Status] = true
		row := rows[string(r.Status)]
		if len(row) != len(columns) {
			t.Errorf("%s has %d cells in the table, want %d", r.Status, len(row), len(columns))
			continue
		}
		for i, column := range columns {
			next, said := happenings[column](r)
			if got := outcome(r, next, said); got != row[i] {
				t.Errorf("%s, %s: %s, want %s", r.Status, column, got, row[i])
			}
			todo = append(todo, next)
		}
	}
	if len(reached) != len(rows) || len(columns) != len(happenings) {
		t.Errorf("reached %v, table has %d rows and %d columns", reached, len(rows), len(columns))
	}
}

func outcome(before, after Reservation, said event.Payload) string {
	switch {
	case reflect.DeepEqual(before, after) && said == nil:
		return "-"
	case said == nil:
		return string(after.Status)
	}
	return fmt.Sprintf("%s+%s", after.Status, said.Type())
}

func TestReserveTakesAllOrNothing(t *testing.T) {
	// The order needs five pens, over two lines, and one ink.
	for _, c := range []struct {
		name    string
		shelf   Shelf
		left    Shelf
		status  Status
		reason  event.CancelReason
		missing []string
	}{
		{"more than enough", Shelf{"pen": 9, "ink": 9, "cap": 1}, Shelf{"pen": 4, "ink": 8, "cap": 1}, Reserved, "", nil},
		{"just enough", Shelf{"pen": 5, "ink": 1}, Shelf{"pen": 0, "ink": 0}, Reserved, "", nil},
		{"lines of one product add up", Shelf{"pen": 4, "ink": 1}, Shelf{"pen": 4, "ink": 1}, Rejected, event.ReasonOutOfStock, []string{"pen"}},
		{"one is sold out", Shelf{"pen": 5, "ink": 0}, Shelf{"pen": 5, "ink": 0}, Rejected, event.ReasonOutOfStock, []string{"ink"}},
		{"both are short", Shelf{"pen": 1, "ink": 0}, Shelf{"pen": 1, "ink": 0}, Rejected, event.ReasonOutOfStock, []string{"ink", "pen"}},
		{"one does not exist", Shelf{"pen": 5}, Shelf{"pen": 5}, Rejected, event.ReasonUnknownProduct, []string{"ink"}},
		{"unknown weighs more than sold out", Shelf{"pen": 0}, Shelf{"pen": 0}, Rejected, event.ReasonUnknownProduct, []string{"ink", "pen"}},
		{"nothing exists", Shelf{}, Shelf{}, Rejected, event.ReasonUnknownProduct, []string{"ink", "pen"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, said := Open(&order, id).Reserve(&order, c.shelf)
			if r.Status != c.status || !maps.Equal(c.shelf, c.left) {
				t.Errorf("%s and %v left, want %s and %v", r.Status, c.shelf, c.status, c.left)
			}
			switch e := said.(type) {
			case *event.InventoryReserved:
				if c.status != Reserved || e.ReservationID != id {
					t.Errorf("said %+v", e)
				}
			case *event.InventoryRejected:
				if e.Reason != c.reason || !slices.Equal(e.ProductIDs, c.missing) || e.ReservationID != id {
					t.Errorf("rejected %v for %s, want %v for %s", e.ProductIDs, e.Reason, c.missing, c.reason)
				}
			default:
				t.Errorf("said %T", said)
			}
		})
	}
}

func TestReleasePassesTheReasonOn(t *testing.T) {
	reserved, _ := Open(&order, id).Reserve(&order, Shelf{"pen": 5, "ink": 1})
	_, released := reserved.Release(&order, event.ReasonShipmentFailed)
	_, voided := Tombstone(&order, event.ReasonCustomerRequest, id)
	for want, said := range map[event.CancelReason]event.Payload{
		event.ReasonShipmentFailed: released, event.ReasonCustomerRequest: voided,
	} {
		if e := said.(*event.InventoryReleased); e.Reason != want || e.ReservationID != id {
			t.Errorf("said %+v, want reason %s", e, want)
		}
	}
}
