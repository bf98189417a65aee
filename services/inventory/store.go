package inventory

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"orderflow/pkg/event"
	"orderflow/pkg/postgres"
)

// insert adds the reservations of orders that have none yet. It is queued; for which orders it did is put into *inserted when it is sent.
func insert(tx *postgres.Tx, reservations []Reservation, inserted *[]uuid.UUID) error {
	sorted := slices.SortedFunc(slices.Values(reservations), func(a, b Reservation) int { return slices.Compare(a.OrderID[:], b.OrderID[:]) })
	n := len(sorted)
	orders, ids, statuses, items, customers := make([]uuid.UUID, n), make([]uuid.UUID, n), make([]string, n), make([]string, n), make([]string, n)
	said, reasons := make([]uuid.UUID, n), make([]*event.CancelReason, n)
	for i, r := range sorted {
		encoded, err := json.Marshal(r.Items)
		if err != nil {
			return fmt.Errorf("encode items: %w", err)
		}
		orders[i], ids[i], statuses[i], items[i], customers[i] = r.OrderID, r.ID, string(r.Status), string(encoded), r.CustomerID
		said[i], reasons[i] = r.SaidID, postgres.OrNull(r.Reason)
	}
	postgres.Read(tx, pgx.RowTo[uuid.UUID], inserted, `
		INSERT INTO reservations (order_id, reservation_id, status, items, customer_id, said_id, reason)
		SELECT o, r, s, i::jsonb, c, said, why
		FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::uuid[], $7::text[]) AS v (o, r, s, i, c, said, why)
		ON CONFLICT (order_id) DO NOTHING RETURNING order_id`, orders, ids, statuses, items, customers, said, reasons)
	return nil
}

// lock reads the reservations of the events' orders and keeps them from being changed until the transaction ends.
func lock(ctx context.Context, tx *postgres.Tx, events []*event.Event) (map[uuid.UUID]*Reservation, error) {
	rows, err := postgres.Query(ctx, tx, scanRow, selectReservations+`
		WHERE order_id = ANY($1::uuid[]) ORDER BY order_id FOR UPDATE`, event.OrderIDs(events))
	if err != nil {
		return nil, fmt.Errorf("read reservations: %w", err)
	}
	reservations := make(map[uuid.UUID]*Reservation, len(rows))
	for i := range rows {
		reservations[rows[i].OrderID] = &rows[i].Reservation
	}
	return reservations, nil
}

// setShipped writes down that the goods of orders have left, whose reservations are locked in this transaction.
func setShipped(tx *postgres.Tx, orders []uuid.UUID) {
	if len(orders) > 0 {
		tx.Queue(`UPDATE reservations SET status = $1, updated_at = now() WHERE order_id = ANY($2::uuid[])`, Shipped, orders)
	}
}

// giveUp writes down which reservations, inserted or locked in this transaction, hold nothing after all, and why.
func giveUp(tx *postgres.Tx, reservations []Reservation) error {
	n := len(reservations)
	if n == 0 {
		return nil
	}
	orders, statuses, reasons := make([]uuid.UUID, n), make([]string, n), make([]string, n)
	missing, said := make([]*string, n), make([]uuid.UUID, n)
	for i, r := range reservations {
		orders[i], statuses[i], reasons[i], said[i] = r.OrderID, string(r.Status), string(r.Reason), r.SaidID
		if r.Missing == nil {
			continue
		}
		encoded, err := json.Marshal(r.Missing)
		if err != nil {
			return fmt.Errorf("encode what is missing: %w", err)
		}
		missing[i] = postgres.OrNull(string(encoded))
	}
	tx.Queue(`
		UPDATE reservations r SET status = v.status, reason = v.reason, missing = v.missing::jsonb, said_id = v.said, updated_at = now()
		FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::uuid[]) AS v (order_id, status, reason, missing, said)
		WHERE r.order_id = v.order_id`, orders, statuses, reasons, missing, said)
	return nil
}

// lockShelf reads what is available of the products of reservations, and keeps it from being changed until the transaction ends.
func lockShelf(ctx context.Context, tx *postgres.Tx, reservations []Reservation) (Shelf, error) {
	products := map[string]bool{}
	for _, r := range reservations {
		for _, item := range r.Items {
			products[item.ProductID] = true
		}
	}
	type place struct {
		ProductID string
		Available int64
	}
	places, err := postgres.Query(ctx, tx, pgx.RowToStructByPos[place], `
		SELECT product_id, on_hand - reserved FROM stock WHERE product_id = ANY($1::text[]) ORDER BY product_id FOR UPDATE`,
		slices.Sorted(maps.Keys(products)))
	if err != nil {
		return nil, fmt.Errorf("read stock: %w", err)
	}
	shelf := make(Shelf, len(places))
	for _, p := range places {
		shelf[p.ProductID] = p.Available
	}
	return shelf, nil
}

// stockChange is what a transaction does to the stock, by product.
type stockChange map[string]quantities

type quantities struct{ onHand, reserved, shipped int64 }

// add lets f change the quantities of each product of a reservation.
func (c stockChange) add(r Reservation, f func(q *quantities, n int64)) {
	for product, n := range r.Quantities() {
		q := c[product]
		f(&q, n)
		c[product] = q
	}
}

// lockAndApply is apply for stock that is not locked yet.
func (c stockChange) lockAndApply(ctx context.Context, tx *postgres.Tx) error {
	if len(c) == 0 {
		return nil
	}
	tx.Queue(`SELECT FROM stock WHERE product_id = ANY($1::text[]) ORDER BY product_id FOR UPDATE`, slices.Sorted(maps.Keys(c)))
	c.apply(tx)
	return nil
}

// apply writes the change. The table's checks refuse it where a quantity would become negative.
func (c stockChange) apply(tx *postgres.Tx) {
	if len(c) == 0 {
		return
	}
	products := slices.Sorted(maps.Keys(c))
	onHand, reserved, shipped := make([]int64, len(c)), make([]int64, len(c)), make([]int64, len(c))
	for i, p := range products {
		onHand[i], reserved[i], shipped[i] = c[p].onHand, c[p].reserved, c[p].shipped
	}
	tx.Queue(`
		UPDATE stock s SET on_hand = s.on_hand + v.on_hand, reserved = s.reserved + v.reserved, shipped = s.shipped + v.shipped,
			updated_at = now()
		FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[]) AS v (product_id, on_hand, reserved, shipped)
		WHERE s.product_id = v.product_id`, products, onHand, reserved, shipped)
}

// row is a reservation as the table has it.
type row struct {
	Reservation
	CreatedAt, UpdatedAt time.Time
}

const selectReservations = `
	SELECT order_id, reservation_id, status, items, coalesce(reason, ''), missing, said_id, created_at, updated_at FROM reservations`

func scanRow(c pgx.CollectableRow) (r row, err error) {
	var items, missing []byte
	var said *uuid.UUID
	if err = c.Scan(&r.OrderID, &r.ID, &r.Status, &items, &r.Reason, &missing, &said, &r.CreatedAt, &r.UpdatedAt); err == nil {
		err = json.Unmarshal(items, &r.Items)
	}
	if err == nil && missing != nil {
		err = json.Unmarshal(missing, &r.Missing)
	}
	if said != nil {
		r.SaidID = *said
	}
	return r, err
}

// ofOrder returns a function that reads the reservations of an order, without locking them: those of some customers, or of all where customers
// is nil.
func ofOrder(db *pgxpool.Pool) func(context.Context, uuid.UUID, []string) ([]row, error) {
	return func(ctx context.Context, orderID uuid.UUID, customers []string) ([]row, error) {
		rows, err := db.Query(ctx, selectReservations+" WHERE order_id = $1 AND ($2::text[] IS NULL OR customer_id = ANY($2))", orderID, customers)
		if err != nil {
			return nil, err
		}
		return pgx.CollectRows(rows, scanRow)
	}
}

// Stock is what there is of a product.
type Stock struct {
	ProductID string    `json:"product_id"`
	OnHand    int64     `json:"on_hand"`   // with what is reserved
	Reserved  int64     `json:"reserved"`  // for orders that have not shipped
	Shipped   int64     `json:"shipped"`   // and so no more on hand
	Available int64     `json:"available"` // on hand and not reserved
	UpdatedAt time.Time `json:"updated_at"`
}

const stockColumns = `product_id, on_hand, reserved, shipped, on_hand - reserved, updated_at`

// stockAfter reads a page of the stock: up to limit products whose ids come after the given one.
func stockAfter(ctx context.Context, db *pgxpool.Pool, after string, limit int) ([]Stock, error) {
	rows, err := db.Query(ctx, `SELECT `+stockColumns+` FROM stock WHERE product_id > $1 ORDER BY product_id LIMIT $2`, after, limit)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[Stock])
}

// stockOf reads one product; the error is pgx.ErrNoRows where there is none.
func stockOf(ctx context.Context, db *pgxpool.Pool, product string) (Stock, error) {
	rows, err := db.Query(ctx, `SELECT `+stockColumns+` FROM stock WHERE product_id = $1`, product)
	if err != nil {
		return Stock{}, err
	}
	return pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[Stock])
}

// setOnHand says how much of a product is in the house, and makes the product where there is none. It changes nothing, and
// returns pgx.ErrNoRows, where more is reserved than that.
func setOnHand(ctx context.Context, db *pgxpool.Pool, product string, onHand int64) (Stock, error) {
	rows, err := db.Query(ctx, `
		INSERT INTO stock AS s (product_id, on_hand, put_in) VALUES ($1, $2, $2)
		ON CONFLICT (product_id) DO UPDATE
			SET on_hand = excluded.on_hand, put_in = s.put_in + excluded.on_hand - s.on_hand, updated_at = now()
			WHERE s.reserved <= excluded.on_hand
		RETURNING `+stockColumns, product, onHand)
	if err != nil {
		return Stock{}, err
	}
	return pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[Stock])
}

// PutDemoStock puts products into an empty stock, so that a first order can be placed at once. Products that exist stay as they are.
func PutDemoStock(ctx context.Context, db *pgxpool.Pool, products []string, onHand int64) error {
	_, err := db.Exec(ctx, `
		INSERT INTO stock (product_id, on_hand, put_in) SELECT p, $2::bigint, $2::bigint FROM unnest($1::text[]) AS p
		ON CONFLICT DO NOTHING`, products, onHand)
	return err
}
