package order

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"orderflow/migrations"
	"orderflow/pkg/devstack/devtest"
	"orderflow/pkg/event"
	"orderflow/pkg/postgres"
)

func TestMain(m *testing.M) { devtest.Main(m) }

// limit is how long a test waits for something that is sure to come.
const limit = 40 * time.Second

// database is an empty schema of the service, with the days that it needs now.
func database(t testing.TB) *pgxpool.Pool {
	t.Helper()
	cfg := postgres.Config{URL: devtest.New(t).DatabaseURL, Schema: Schema, Name: t.Name(), MaxConns: 12, ByKey: true}
	if _, err := postgres.Migrate(t.Context(), cfg, migrations.Files, migrations.Flow, Schema); err != nil {
		t.Fatal(err)
	}
	db, err := postgres.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	if _, err := answerDays.Make(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	return db
}

// number asks the database for one.
func number(t testing.TB, db *pgxpool.Pool, sql string, args ...any) (n int) {
	t.Helper()
	if err := db.QueryRow(t.Context(), sql, args...).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// keyed is a request to place an order under a key.
func keyed(caller, key string) *placement {
	terms := event.Order{
		OrderID: event.NewID(), CustomerID: "customer", Currency: "EUR", PaymentMethod: "pm_ok",
		Items: []event.Item{{ProductID: "book", Quantity: 1, UnitPrice: event.MinorAmount(1999, "EUR")}}, TotalAmount: event.MinorAmount(1999, "EUR"),
		ShippingAddress: event.Address{Name: "Ada", Line1: "12 St James Square", City: "London", PostalCode: "SW1Y", Country: "GB"},
	}
	o, placed := Place(terms, time.Now())
	return &placement{
		order: o, event: event.New(Name, o.PlacedAt, o.OrderID.String(), placed), key: idempotencyKey{caller, key}, header: key,
		answer: remembered{RequestHash: []byte(key), OrderID: o.OrderID, Response: []byte(`"` + o.OrderID.String() + `"`)},
	}
}

// placeAt places a batch as if it was that time.
func placeAt(ctx context.Context, db *pgxpool.Pool, at time.Time, batch ...*placement) error {
	return placeAndWait(ctx, db, at, func() {}, batch...)
}

// placeAndWait is placeAt with something that is done before the end of the transaction.
func placeAndWait(ctx context.Context, db *pgxpool.Pool, at time.Time, wait func(), batch ...*placement) error {
	return postgres.Transact(ctx, db, func(tx *postgres.Tx) error {
		fresh, err := remember(ctx, tx, batch, &at)
		if err != nil {
			return err
		}
		orders := make([]Order, len(fresh))
		for i, p := range fresh {
			orders[i] = p.order
		}
		if err := insert(tx, orders); err != nil {
			return err
		}
		err = tx.Send(ctx)
		wait()
		return err
	})
}

// answered is which order a request was told of.
func (p *placement) answered() string {
	if p.first != nil {
		return string(p.first.Response)
	}
	return string(p.answer.Response)
}

// midnight is the end of today, by the database's clock: the days before and after it have partitions.
func midnight(t testing.TB, db *pgxpool.Pool) time.Time {
	t.Helper()
	days, err := answerDays.Found(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	var last time.Time
	for d := range days {
		last = slices.MaxFunc([]time.Time{last, d}, time.Time.Compare)
	}
	return last
}
