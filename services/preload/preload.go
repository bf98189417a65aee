package preload

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"orderflow/pkg/event"
	"orderflow/pkg/postgres"
	"orderflow/services/inventory"
	"orderflow/services/order"
	"orderflow/services/payment"
	"orderflow/services/shipping"
)

// Config says how many orders to make.
type Config struct {
	DatabaseURL string
	Orders      int
	Progress    func(made int) // is called by one goroutine at a time
}

// Report is what was made.
type Report struct {
	Orders        int     `json:"orders"`
	Seconds       float64 `json:"seconds"`
	BytesPerOrder float64 `json:"bytes_per_order"` // on disk, with indexes, in the tables of all services
}

// Originals is how many orders Run copies, if there are as many that have ended: many, so that the copies are not all of the same
// products and customers.
const Originals = 200

const (
	inOneGo  = 20_000 // orders in one transaction
	fillPart = 10     // of the copies are there to fill the room between the others
)

// table is one whose rows are of one order each.
type table struct {
	schema, name string
	key          string // the column that tells which order a row is of: by its id, or by the id of one of its events
	byEvents     bool
}

var tables = []table{
	{order.Schema, "orders", "order_id", false},
	{order.Schema, "timeline", "order_id", false},
	{order.Schema, "inbox", "event_id", true},
	{payment.Schema, "payments", "order_id", false},
	{payment.Schema, "inbox", "event_id", true},
	{inventory.Schema, "reservations", "order_id", false},
	{inventory.Schema, "inbox", "event_id", true},
	{shipping.Schema, "shipments", "order_id", false},
	{shipping.Schema, "inbox", "event_id", true},
}

// ErrNothing says that there is no ended order to copy.
var ErrNothing = errors.New("there is no ended order to copy")

// preload is a run.
type preload struct {
	Config
	pools    map[string]*pgxpool.Pool // by schema
	orders   []uuid.UUID              // the originals
	events   []uuid.UUID              // theirs
	copies   int                      // of each original
	distance time.Duration            // between two copies
}

// Run copies ended orders until there are cfg.Orders more. When ctx ends, or an error comes, what was done until then is left behind; its
// orders need not be complete.
func Run(ctx context.Context, cfg Config) (report *Report, err error) {
	began := time.Now()
	p := &preload{Config: cfg, pools: map[string]*pgxpool.Pool{}}
	for _, t := range tables {
		if p.pools[t.schema] != nil {
			continue
		}
		pool, err := postgres.Open(ctx, postgres.Config{URL: cfg.DatabaseURL, Schema: t.schema, Name: "orderflow bench", MaxConns: 4})
		if err != nil {
			return nil, err
		}
		defer pool.Close()
		p.pools[t.schema] = pool
	}
	if err := p.plan(ctx); err != nil {
		return nil, err
	}
	before, err := p.size(ctx)
	if err != nil {
		return nil, err
	}
	if err := p.copyAll(ctx); err != nil {
		return nil, err
	}
	if err := p.book(ctx); err != nil {
		return nil, err
	}
	after, err := p.size(ctx)
	if err != nil {
		return nil, err
	}
	made := p.copies * len(p.orders)
	return &Report{Orders: made, Seconds: time.Since(began).Seconds(), BytesPerOrder: float64(after-before) / float64(made)}, nil
}

// plan chooses the originals, how many copies there are to be of each, and when they were placed.
func (p *preload) plan(ctx context.Context) (err error) {
	db := p.pools[order.Schema]
	p.orders, err = collect[uuid.UUID](ctx, db, `
		SELECT order_id FROM orders WHERE ended_at IS NOT NULL ORDER BY order_id DESC LIMIT $1`, min(Originals, p.Orders))
	if err != nil {
		return fmt.Errorf("choose originals: %w", err)
	}
	if len(p.orders) == 0 {
		return ErrNothing
	}
	p.events, err = collect[uuid.UUID](ctx, db, `SELECT event_id FROM timeline WHERE order_id = ANY($1)`, p.orders)
	if err != nil {
		return fmt.Errorf("read the events of the originals: %w", err)
	}
	// The youngest first day of all services' inboxes: what was placed before has no place there.
	first := time.Unix(0, 0)
	for schema, db := range p.pools {
		days, err := collect[string](ctx, db, `
			SELECT min(c.relname) FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'inbox'::regclass`)
		if err != nil {
			return fmt.Errorf("read the inbox partitions of %s: %w", schema, err)
		}
		day, err := time.Parse("inbox_20060102", days[0])
		if err != nil {
			return fmt.Errorf("inbox partition of %s: %w", schema, err)
		}
		if day.After(first) {
			first = day
		}
	}
	oldest := event.IDTime(p.orders[len(p.orders)-1])
	p.copies = (p.Orders + len(p.orders) - 1) / len(p.orders)
	p.distance = (oldest.Sub(first) / time.Duration(p.copies)).Truncate(time.Millisecond)
	if p.distance < time.Millisecond {
		return fmt.Errorf("%d orders do not fit between %s, where the inbox begins, and %s", p.Orders, first, oldest)
	}
	return nil
}

func collect[T any](ctx context.Context, db *pgxpool.Pool, sql string, args ...any) ([]T, error) {
	rows, err := db.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[T])
}

// copyAll fills the tables, each by itself.
func (p *preload) copyAll(ctx context.Context) error {
	var mu sync.Mutex
	var done int // rounds of all tables
	tell := func(more int) {
		mu.Lock()
		defer mu.Unlock()
		done += more
		p.Progress(done * len(p.orders) / len(tables))
	}
	step := max(inOneGo/len(p.orders), 1)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(4)
	for _, t := range tables {
		group.Go(func() error {
			sql, err := t.statement(ctx, p.pools[t.schema])
			if err != nil {
				return fmt.Errorf("look at %s.%s: %w", t.schema, t.name, err)
			}
			keys := p.orders
			if t.byEvents {
				keys = p.events
			}
			fill := p.copies / fillPart
			for _, part := range []struct {
				from, downTo int
				order        string
			}{{p.copies, fill + 1, "n DESC, t." + t.key}, {fill, 1, "pg_column_size(t.*)"}} {
				for from := part.from; from >= part.downTo; from -= step {
					to := max(from-step+1, part.downTo)
					if _, err := p.pools[t.schema].Exec(ctx, sql+" ORDER BY "+part.order, from, to, p.distance.Milliseconds(), keys); err != nil {
						return fmt.Errorf("copy into %s.%s: %w", t.schema, t.name, err)
					}
					tell(from - to + 1)
				}
				if err := p.vacuum(ctx, t); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// statement copies the rows of a table whose keys are in $4: the copies number $1 down to $2, of which number n is n × $3 ms earlier.
func (t table) statement(ctx context.Context, db *pgxpool.Pool) (string, error) {
	rows, err := db.Query(ctx, `
		SELECT attname, atttypid::regtype::text FROM pg_attribute
		WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = '' ORDER BY attnum`, t.name)
	if err != nil {
		return "", err
	}
	var names, values []string
	var name, kind string
	_, err = pgx.ForEachRow(rows, []any{&name, &kind}, func() error {
		names, values = append(names, name), append(values, earlier(name, kind))
		return nil
	})
	return fmt.Sprintf(`
		INSERT INTO %s (%s)
		SELECT %s FROM generate_series($1::bigint, $2::bigint, -1) AS n, %[1]s AS t
		WHERE t.%[4]s = ANY($4::uuid[])`,
		t.name, strings.Join(names, ", "), strings.Join(values, ", "), t.key), err
}

// earlier is what a column of a copy has. In an id, the first 48 bits are milliseconds.
func earlier(name, kind string) string {
	switch kind {
	case "timestamp with time zone":
		return fmt.Sprintf("t.%s - n * $3::bigint * interval '1 ms'", name)
	case "uuid":
		hex := fmt.Sprintf("replace(t.%s::text, '-', '')", name)
		return fmt.Sprintf("(lpad(to_hex(('x' || left(%[1]s, 12))::bit(48)::bigint - n * $3::bigint), 12, '0') || substr(%[1]s, 13))::uuid", hex)
	}
	return "t." + name
}

// book puts into the stock what the copies have shipped, and lets it leave.
func (p *preload) book(ctx context.Context) error {
	_, err := p.pools[inventory.Schema].Exec(ctx, `
		WITH said AS (
			SELECT product_id, sum(quantity)::bigint * $2 AS shipped
			FROM reservations, jsonb_to_recordset(items) AS i (product_id text, quantity bigint)
			WHERE order_id = ANY($1) AND status = $3 GROUP BY product_id)
		UPDATE stock SET shipped = stock.shipped + said.shipped, put_in = put_in + said.shipped, updated_at = now()
		FROM said WHERE stock.product_id = said.product_id`, p.orders, p.copies, string(inventory.Shipped))
	if err != nil {
		return fmt.Errorf("book the stock: %w", err)
	}
	return nil
}

// vacuum does what autovacuum would do.
func (p *preload) vacuum(ctx context.Context, t table) error {
	if _, err := p.pools[t.schema].Exec(ctx, "VACUUM (ANALYZE) "+t.name); err != nil {
		return fmt.Errorf("vacuum %s.%s: %w", t.schema, t.name, err)
	}
	return nil
}

// size is what the tables take on disk, in bytes.
func (p *preload) size(ctx context.Context) (sum int64, err error) {
	for _, t := range tables {
		sizes, err := collect[int64](ctx, p.pools[t.schema], `
			SELECT pg_total_relation_size($1::regclass) + coalesce(sum(pg_total_relation_size(inhrelid)), 0)::bigint
			FROM pg_inherits WHERE inhparent = $1::regclass`, t.name)
		if err != nil {
			return 0, fmt.Errorf("size of %s.%s: %w", t.schema, t.name, err)
		}
		sum += sizes[0]
	}
	return sum, nil
}
