package verify

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"orderflow/pkg/event"
	"orderflow/services/inventory"
	"orderflow/services/order"
	"orderflow/services/payment"
	"orderflow/services/shipping"
)

// rows makes a stream of rows that belong to orders with those numbers; a negative number is an error.
func rows[T any](row func(uuid.UUID) T, numbers ...int) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for _, n := range numbers {
			var err error
			if n < 0 {
				err = errBroken
			}
			if !yield(row(uuid.UUID{byte(n)}), err) || err != nil {
				return
			}
		}
	}
}

var errBroken = errors.New("the connection broke")

func orderRow(id uuid.UUID) order.Order                 { return order.Order{Order: event.Order{OrderID: id}} }
func timelineRow(id uuid.UUID) order.Timeline           { return order.Timeline{OrderID: id} }
func paymentRow(id uuid.UUID) payment.Payment           { return payment.Payment{OrderID: id} }
func reservationRow(id uuid.UUID) inventory.Reservation { return inventory.Reservation{OrderID: id} }
func shipmentRow(id uuid.UUID) (row shipping.Shipment)  { return shipping.Shipment{OrderID: id} }

// merged lists what a merge puts together: for each order its number, and how many rows there are of each sort.
func merged(s streams) (all []string, err error) {
	err = s.merge(func(r *record) {
		all = append(all, fmt.Sprint(r.id[0], ":", len(r.orders), len(r.timelines), len(r.payments), len(r.reservations), len(r.shipments)))
		for _, p := range r.payments {
			if p.OrderID != r.id {
				all = append(all, "another order's payment")
			}
		}
	})
	return all, err
}

func TestMerge(t *testing.T) {
	got, err := merged(streams{
		rows(orderRow, 1, 2, 4, 9), rows(timelineRow, 1, 2, 4), rows(paymentRow, 0, 2, 2, 2, 4, 255), rows(reservationRow), rows(shipmentRow, 3, 4),
	})
	want := []string{"0:0 0 1 0 0", "1:1 1 0 0 0", "2:1 1 3 0 0", "3:0 0 0 0 1", "4:1 1 1 0 1", "9:1 0 0 0 0", "255:0 0 1 0 0"}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
	if got, err := merged(streams{rows(orderRow), rows(timelineRow), rows(paymentRow), rows(reservationRow), rows(shipmentRow)}); got != nil || err != nil {
		t.Errorf("of nothing: %q, %v", got, err)
	}
}

// Whatever is wrong with a stream, nothing is taken for the whole of an order that is not.
func TestMergeFails(t *testing.T) {
	for _, c := range []struct {
		streams streams
		want    string
		whole   int // orders before
	}{
		{streams{rows(orderRow, 1, 2, -1), rows(timelineRow), rows(paymentRow, 1, 2), rows(reservationRow), rows(shipmentRow)}, "read orders: the connection broke", 1},
		{streams{rows(orderRow, 1, 2), rows(timelineRow), rows(paymentRow, 1, 2), rows(reservationRow, -1), rows(shipmentRow)}, "read reservations: the connection broke", 0},
		{streams{rows(orderRow, 1, 2), rows(timelineRow), rows(paymentRow, 2, 1), rows(reservationRow), rows(shipmentRow)}, "read payments: 01", 1},
	} {
		got, err := merged(c.streams)
		if err == nil || !strings.HasPrefix(err.Error(), c.want) || len(got) != c.whole {
			t.Errorf("%q, %v; want %d orders and %q", got, err, c.whole, c.want)
		}
	}
}
