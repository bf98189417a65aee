package order

import (
	"testing"
	"time"

	"orderflow/pkg/event"
)

// What is open is counted, and of that what was placed before the deadline; how an order ended makes no difference.
func TestCountOpen(t *testing.T) {
	t.Parallel()
	db := database(t)
	deadline := time.Now().Add(-10 * time.Minute)
	var orders []Order
	for _, age := range []time.Duration{time.Hour, 11 * time.Minute, 9 * time.Minute, 61 * time.Minute, time.Second} {
		o := placed("customer")
		o.OrderID = event.FirstID(time.Now().Add(-age))
		orders = append(orders, o)
	}
	if err := store(t.Context(), db, orders...); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		ended         int
		open, overdue int64
	}{{0, 5, 3}, {1, 4, 2}, {3, 3, 2}, {4, 2, 1}} {
		if _, err := db.Exec(t.Context(), "UPDATE orders SET ended_at = now() WHERE order_id = $1 AND $2", orders[max(c.ended-1, 0)].OrderID, c.ended > 0); err != nil {
			t.Fatal(err)
		}
		open, overdue, err := countOpen(t.Context(), db, deadline)
		if err != nil || open != c.open || overdue != c.overdue {
			t.Errorf("%d are open, %d overdue, %v; want %d, %d", open, overdue, err, c.open, c.overdue)
		}
	}
}
