package order

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"orderflow/pkg/event"
	"orderflow/pkg/httpapi"
)

const (
	// recent is how young the orders are that the gate counts. Older ones wait for something else than their turn, such as a gateway
	// that is down, and are no reason to refuse others.
	recent      = 30 * time.Second
	lookEvery   = 250 * time.Millisecond
	lookTimeout = time.Second
)

// gate refuses orders while as many as the services can end soon are under way: whoever came then would only wait, and make others
// wait. It asks the database, which knows the orders of all processes, and adds what this one has accepted since.
type gate struct {
	db      *pgxpool.Pool
	limit   int
	refused prometheus.Counter
	log     *slog.Logger

	under  atomic.Int64              // orders under way
	looked atomic.Pointer[time.Time] // when they were counted
	turn   sync.Mutex                // held by the one who counts
	blind  atomic.Bool               // they could not be counted
	full   rarely
	busy   rarely
}

// enter returns a problem if no more orders are taken for the moment.
func (g *gate) enter(ctx context.Context) error {
	if g.limit == 0 {
		return nil
	}
	if looked := g.looked.Load(); (looked == nil || time.Since(*looked) > lookEvery) && g.turn.TryLock() {
		g.look(ctx)
		g.turn.Unlock()
	}
	if n := g.under.Load(); n >= int64(g.limit) {
		if g.blind.Load() {
			return httpapi.Unavailable("the database does not tell how many orders are under way")
		}
		return g.refuse(&g.full, fmt.Sprintf("%d orders of the last %s have not ended yet, more are taken when some of them have", n, recent))
	}
	return nil
}

// refuse counts an order that is not taken, and returns the problem. There may be thousands a second, so it is logged rarely.
func (g *gate) refuse(log *rarely, reason string) error {
	g.refused.Inc()
	if log.now() {
		g.log.Warn("orders are refused", "reason", reason)
	}
	return httpapi.Unavailable(reason)
}

// rarely is for what may happen thousands of times a second and is said once in ten.
type rarely struct{ said atomic.Pointer[time.Time] }

func (r *rarely) now() bool {
	now, said := time.Now(), r.said.Load()
	return (said == nil || now.Sub(*said) > 10*time.Second) && r.said.CompareAndSwap(said, &now)
}

// accepted counts an order that was let in.
func (g *gate) accepted() { g.under.Add(1) }

// look counts the orders under way, for all who come, so it does not depend on the patience of one. Where it fails, the gate stays as it is.
func (g *gate) look(ctx context.Context) {
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), lookTimeout)
	defer stop()
	before := g.under.Load()
	var n int64
	err := g.db.QueryRow(ctx, `
		SELECT count(*) FROM (SELECT FROM orders WHERE ended_at IS NULL AND order_id >= $1 LIMIT $2) AS o`,
		event.FirstID(time.Now().Add(-recent)), g.limit).Scan(&n)
	if err == nil {
		g.under.Add(n - before) // what was accepted in the meantime may be counted twice, until the next look
	}
	if was := g.blind.Swap(err != nil); err != nil && !was {
		g.log.Error("cannot count the orders under way", "error", err)
	}
	now := time.Now()
	g.looked.Store(&now)
}
