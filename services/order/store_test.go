package order

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"orderflow/pkg/event"
	"orderflow/pkg/postgres"
)

// placed is an order of a customer.
func placed(customer string) Order {
	price := event.MinorAmount(1999, "EUR")
	o, _ := Place(event.Order{
		OrderID: event.NewID(), CustomerID: customer, Currency: "EUR", PaymentMethod: "pm_ok", TotalAmount: price,
		Items:           []event.Item{{ProductID: "book", Quantity: 1, UnitPrice: price}},
		ShippingAddress: event.Address{Name: "Ada", Line1: "12 St James Square", City: "London", PostalCode: "SW1Y", Country: "GB"},
	}, time.Now())
	return o
}

func store(ctx context.Context, db *pgxpool.Pool, orders ...Order) error {
	return postgres.Transact(ctx, db, func(tx *postgres.Tx) error { return insert(tx, orders) })
}

// A caller sees the orders of its customers, the newest first whosever they are, and no others.
func TestPageOfSomeCustomers(t *testing.T) {
	t.Parallel()
	db := database(t)
	var orders []Order
	for i := range 40 {
		orders = append(orders, placed(fmt.Sprintf("customer-%d", i%4)))
	}
	if err := store(t.Context(), db, orders...); err != nil {
		t.Fatal(err)
	}
	slices.Reverse(orders)
	for _, c := range []struct {
		f    filter
		want func(Order) bool
	}{
		{filter{}, func(Order) bool { return true }},
		{filter{customers: []string{"customer-1"}}, func(o Order) bool { return o.CustomerID == "customer-1" }},
		{filter{customers: []string{"customer-3", "customer-1", "customer-3", "nobody"}}, func(o Order) bool { return o.CustomerID == "customer-1" || o.CustomerID == "customer-3" }},
		{filter{customers: []string{}}, func(Order) bool { return false }},
		{filter{customers: []string{"nobody"}}, func(Order) bool { return false }},
		{filter{customers: []string{"customer-0", "customer-1"}, status: Placed}, func(o Order) bool { return o.CustomerID < "customer-2" }},
		{filter{customers: []string{"customer-0", "customer-1"}, status: Shipped}, func(Order) bool { return false }},
	} {
		var want, got []uuid.UUID
		for _, o := range orders {
			if c.want(o) {
				want = append(want, o.OrderID)
			}
		}
		for f := c.f; ; f.before = got[len(got)-1] {
			page, err := page(t.Context(), db, f, 7)
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range page {
				got = append(got, o.OrderID)
			}
			if len(page) < 7 {
				break
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%+v gives %v, want %v", c.f, got, want)
		}
	}
}

// The orders of some customers are read by the index that has them in their order: as many rows of each as the page has, and no sort of
// everything that a customer ever bought.
func TestPlanOfSomeCustomers(t *testing.T) {
	t.Parallel()
	db := database(t)
	var plan []string
	sql, args := pageQuery(filter{customers: []string{"a", "b"}, before: event.NewID()}, 50)
	rows, err := db.Query(t.Context(), "EXPLAIN "+sql, args...)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			t.Fatal(err)
		}
		plan = append(plan, line)
	}
	text := strings.Join(plan, "\n")
	if !strings.Contains(text, "orders_customer") || strings.Contains(text, "Seq Scan on orders") {
		t.Errorf("the plan is\n%s", text)
	}
}

// Who walks through the pages while four others place orders sees each order once that was there at the start, and none twice.
func TestWalkWhileOrdersArePlaced(t *testing.T) {
	t.Parallel()
	db := database(t)
	const before, writers = 60, 4
	var orders []Order
	for range before {
		orders = append(orders, placed("customer"))
	}
	if err := store(t.Context(), db, orders...); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var writing errgroup.Group
	for range writers {
		writing.Go(func() error {
			for ctx.Err() == nil {
				// The second is committed first: an order may come after one that is younger.
				older, younger := placed("customer"), placed("customer")
				if err := store(context.WithoutCancel(ctx), db, younger); err != nil {
					return err
				}
				if err := store(context.WithoutCancel(ctx), db, older); err != nil {
					return err
				}
			}
			return nil
		})
	}
	for _, f := range []filter{{}, {customers: []string{"customer", "other"}}, {status: Placed}} {
		seen := map[uuid.UUID]int{}
		for more := true; more; {
			page, err := page(t.Context(), db, f, 5)
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range page {
				seen[o.OrderID]++
				f.before = o.OrderID
			}
			more = len(page) == 5
		}
		for _, o := range orders {
			if seen[o.OrderID] == 0 {
				t.Errorf("order %s was there at the start, and skipped", o.OrderID)
			}
		}
		for id, n := range seen {
			if n > 1 {
				t.Errorf("order %s was seen %d times", id, n)
			}
		}
	}
	stop()
	if err := writing.Wait(); err != nil {
		t.Error(err)
	}
}
