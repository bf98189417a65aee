package order

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"orderflow/pkg/event"
	"orderflow/pkg/postgres"
)

// insert adds orders that were placed.
func insert(tx *postgres.Tx, orders []Order) error {
	n := len(orders)
	ids, customers, currencies, totals := make([]uuid.UUID, n), make([]string, n), make([]string, n), make([]int64, n)
	items, methods, addresses := make([]string, n), make([]string, n), make([]string, n)
	facts, statuses, placed, versions := make([]Facts, n), make([]string, n), make([]time.Time, n), make([]int64, n)
	traces := make([]*string, n)
	for i, o := range orders {
		list, err := json.Marshal(o.Items)
		if err != nil {
			return fmt.Errorf("encode items: %w", err)
		}
		address, err := json.Marshal(o.ShippingAddress)
		if err != nil {
			return fmt.Errorf("encode address: %w", err)
		}
		ids[i], customers[i], currencies[i], totals[i] = o.OrderID, o.CustomerID, o.Currency, o.TotalAmount.Minor
		items[i], methods[i], addresses[i] = string(list), o.PaymentMethod, string(address)
		facts[i], statuses[i], placed[i], versions[i], traces[i] = o.Facts, string(o.Status), o.PlacedAt, o.Version, postgres.OrNull(o.TraceParent)
	}
	tx.Queue(`
		INSERT INTO orders (order_id, customer_id, currency, total_amount, items, payment_method, shipping_address,
			facts, status, placed_at, updated_at, version, traceparent)
		SELECT id, customer, currency, total, items::jsonb, method, address::jsonb, facts, status, placed, placed, version, trace
		FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::text[], $7::text[], $8::int[], $9::text[],
			$10::timestamptz[], $11::bigint[], $12::text[])
			AS v (id, customer, currency, total, items, method, address, facts, status, placed, version, trace)`,
		ids, customers, currencies, totals, items, methods, addresses, facts, statuses, placed, versions, traces)
	return nil
}

// lock reads the state of the events' orders, without what the events carry themselves, and keeps it from being changed until
// the transaction ends. Orders are locked in the order of their ids.
func lock(ctx context.Context, tx *postgres.Tx, events []*event.Event) (map[uuid.UUID]*Order, error) {
	rows, err := postgres.Query(ctx, tx, func(c pgx.CollectableRow) (o Order, err error) {
		err = c.Scan(&o.OrderID, &o.Facts, &o.Status, &o.CancelReason, &o.PlacedAt, &o.UpdatedAt, &o.Version)
		return o, err
	}, `
		SELECT order_id, facts, status, coalesce(cancel_reason, ''), placed_at, updated_at, version
		FROM orders WHERE order_id = ANY($1::uuid[]) ORDER BY order_id FOR UPDATE`, event.OrderIDs(events))
	if err != nil {
		return nil, fmt.Errorf("read orders: %w", err)
	}
	orders := make(map[uuid.UUID]*Order, len(rows))
	for i := range rows {
		orders[rows[i].OrderID] = &rows[i]
	}
	return orders, nil
}

// update writes the state of orders back that were locked.
func update(tx *postgres.Tx, orders map[uuid.UUID]*Order) {
	n := len(orders)
	ids, facts, statuses := make([]uuid.UUID, 0, n), make([]Facts, 0, n), make([]string, 0, n)
	reasons, updated, ended, versions := make([]*event.CancelReason, 0, n), make([]time.Time, 0, n), make([]bool, 0, n), make([]int64, 0, n)
	for _, o := range orders {
		ids, facts, statuses, reasons = append(ids, o.OrderID), append(facts, o.Facts), append(statuses, string(o.Status)), append(reasons, postgres.OrNull(o.CancelReason))
		updated, ended, versions = append(updated, o.UpdatedAt), append(ended, o.Status.Ended()), append(versions, o.Version)
	}
	tx.Queue(`
		UPDATE orders o SET facts = v.facts, status = v.status, cancel_reason = v.reason, updated_at = v.updated,
			ended_at = CASE WHEN v.ended THEN coalesce(o.ended_at, v.updated) END, version = v.version
		FROM unnest($1::uuid[], $2::int[], $3::text[], $4::text[], $5::timestamptz[], $6::bool[], $7::bigint[])
			AS v (order_id, facts, status, reason, updated, ended, version)
		WHERE o.order_id = v.order_id AND o.version <> v.version`, ids, facts, statuses, reasons, updated, ended, versions)
}

// note adds events to the timelines of their orders.
func note(tx *postgres.Tx, events []*event.Event) error {
	n := len(events)
	orders, ids, types, sources := make([]uuid.UUID, n), make([]uuid.UUID, n), make([]string, n), make([]string, n)
	times, details := make([]time.Time, n), make([]*string, n)
	for i, e := range events {
		orders[i], ids[i], types[i], sources[i], times[i] = e.Subject(), e.ID, string(e.Type()), e.Source, e.Time
		detail, err := json.Marshal(detailOf(e.Data))
		if err != nil {
			return fmt.Errorf("encode detail of %s: %w", e.Type(), err)
		}
		if len(detail) > len("{}") {
			details[i] = postgres.OrNull(string(detail))
		}
	}
	tx.Queue(`
		INSERT INTO timeline (order_id, event_id, type, source, time, seen_at, detail)
		SELECT o, e, t, s, at, clock_timestamp(), d::jsonb FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::timestamptz[], $6::text[])
			AS v (o, e, t, s, at, d)
		ON CONFLICT DO NOTHING`, orders, ids, types, sources, times, details)
	return nil
}

const selectOrders = `
	SELECT order_id, customer_id, currency, total_amount, items, payment_method, shipping_address,
		facts, status, coalesce(cancel_reason, ''), placed_at, updated_at, version, coalesce(traceparent, '')
	FROM orders`

func scanOrder(c pgx.CollectableRow) (o Order, err error) {
	var total int64
	var items, address []byte
	if err = c.Scan(&o.OrderID, &o.CustomerID, &o.Currency, &total, &items, &o.PaymentMethod, &address,
		&o.Facts, &o.Status, &o.CancelReason, &o.PlacedAt, &o.UpdatedAt, &o.Version, &o.TraceParent); err != nil {
		return o, err
	}
	o.TotalAmount = event.MinorAmount(total, o.Currency)
	if err = json.Unmarshal(items, &o.Items); err == nil {
		err = json.Unmarshal(address, &o.ShippingAddress)
	}
	return o, err
}

// byID reads an order; the error is pgx.ErrNoRows where there is none.
func byID(ctx context.Context, db *pgxpool.Pool, id uuid.UUID) (Order, error) {
	rows, err := db.Query(ctx, selectOrders+" WHERE order_id = $1", id)
	if err != nil {
		return Order{}, err
	}
	return pgx.CollectExactlyOneRow(rows, scanOrder)
}

// lockByID is byID inside a transaction, and keeps the order from being changed until it ends; nil where there is none.
func lockByID(ctx context.Context, tx *postgres.Tx, id uuid.UUID) (*Order, error) {
	orders, err := postgres.Query(ctx, tx, scanOrder, selectOrders+" WHERE order_id = $1 FOR UPDATE", id)
	if err != nil || len(orders) == 0 {
		return nil, err
	}
	return &orders[0], nil
}

// filter says which orders are asked for; zero values do not restrict.
type filter struct {
	customers []string // nil: everybody's
	status    Status
	before    uuid.UUID // the last order of the page before
}

// page reads up to limit orders, newest first. An order's place in that order never changes, so whoever goes from page to page sees each one
// once that was there at the start, and none twice; of those that come meanwhile, some. Where a status is asked for, it is the one that the
// order has when its page is read.
func page(ctx context.Context, db *pgxpool.Pool, f filter, limit int) ([]Order, error) {
	sql, args := pageQuery(f, limit)
	rows, err := db.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scanOrder)
}

func pageQuery(f filter, limit int) (sql string, args []any) {
	where := []string{"true"}
	restrict := func(condition string, arg any) {
		args = append(args, arg)
		where = append(where, fmt.Sprintf(condition, len(args)))
	}
	if f.status != "" {
		restrict("status = $%d", f.status)
		where = append(where, indexed(f.status)...)
	}
	if f.before != uuid.Nil {
		restrict("order_id < $%d", f.before)
	}
	newest := fmt.Sprintf(" ORDER BY order_id DESC LIMIT %d", limit)
	if f.customers == nil {
		return selectOrders + " WHERE " + strings.Join(where, " AND ") + newest, args
	}
	// The newest of each customer, by the index that has them in this order, and the newest of those.
	where, args = append(where, "customer_id = c.id"), append(args, f.customers)
	return fmt.Sprintf(`SELECT o.* FROM (SELECT DISTINCT unnest($%d::text[])) AS c (id), LATERAL (%s WHERE %s%s) AS o%[4]s`,
		len(args), selectOrders, strings.Join(where, " AND "), newest), args
}

// indexed adds what follows from a status and lets a partial index be used.
func indexed(s Status) []string {
	switch s {
	case Cancelled:
		return []string{"cancel_reason IS NOT NULL"}
	case Shipped:
		return nil
	}
	return []string{"ended_at IS NULL"}
}

// moment is a line of a timeline.
type moment struct {
	orderID uuid.UUID

	ID     uuid.UUID      `json:"id"`
	Type   string         `json:"type"`
	Source string         `json:"source"`
	Time   time.Time      `json:"time"`
	SeenAt time.Time      `json:"seen_at"`
	Data   jsontext.Value `json:"data,omitempty"`
}

// ends tells whether it is the end of its order.
func (m moment) ends() bool {
	return m.Type == string(event.TypeOrderShipped) || m.Type == string(event.TypeOrderCancelled)
}

// timeline reads the events of an order, in the order in which they happened.
func timeline(ctx context.Context, db *pgxpool.Pool, id uuid.UUID) ([]moment, error) {
	rows, err := db.Query(ctx, selectMoments+" WHERE order_id = $1 ORDER BY time, event_id", id)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scanMoment)
}

// timelines reads the events of orders, each one's in the order in which they were seen. Those who write into the timeline of an order have it
// locked, so each sees it later than the one before, as long as the database's clock does not step back.
func timelines(ctx context.Context, db *pgxpool.Pool, ids []uuid.UUID) (map[uuid.UUID][]moment, error) {
	rows, err := db.Query(ctx, selectMoments+" WHERE order_id = ANY($1::uuid[]) ORDER BY order_id, seen_at, time, event_id", ids)
	if err != nil {
		return nil, err
	}
	moments, err := pgx.CollectRows(rows, scanMoment)
	of := make(map[uuid.UUID][]moment, len(ids))
	for from, to := 0, 0; from < len(moments); from = to {
		for id := moments[from].orderID; to < len(moments) && moments[to].orderID == id; {
			to++
		}
		of[moments[from].orderID] = moments[from:to]
	}
	return of, err
}

const selectMoments = "SELECT order_id, event_id, type, '/' || source, time, seen_at, detail FROM timeline"

func scanMoment(c pgx.CollectableRow) (m moment, err error) {
	var detail []byte
	err = c.Scan(&m.orderID, &m.ID, &m.Type, &m.Source, &m.Time, &m.SeenAt, &detail)
	m.Time, m.SeenAt, m.Data = m.Time.UTC(), m.SeenAt.UTC(), detail
	return m, err
}
