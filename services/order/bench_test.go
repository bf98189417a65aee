package order

import (
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"orderflow/pkg/postgres"
)

// BenchmarkKey measures what a key costs an order while a million of others are remembered: today's and yesterday's.
func BenchmarkKey(b *testing.B) {
	db := database(b)
	remembers(b, db, 1_000_000)
	for _, size := range []int{1, 32} {
		for _, with := range []bool{false, true} {
			b.Run(fmt.Sprintf("batch=%d/key=%t", size, with), func(b *testing.B) { benchmarkPlace(b, db, size, with) })
		}
	}
}

// remembers fills the tables of answers.
func remembers(b *testing.B, db *pgxpool.Pool, n int) {
	b.Helper()
	_, err := db.Exec(b.Context(), `
		INSERT INTO answers (caller, key, request_hash, order_id, response, created_at)
		SELECT '', gen_random_uuid(), sha256(''), gen_random_uuid(), repeat('x', 500), now() - (i % 24) * interval '1 hour'
		FROM generate_series(1, $1) AS i`, n)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := db.Exec(b.Context(), "VACUUM ANALYZE answers"); err != nil {
		b.Fatal(err)
	}
}

func benchmarkPlace(b *testing.B, db *pgxpool.Pool, size int, with bool) {
	place := placeAll(NewMetrics(prometheus.NewRegistry()))
	began := time.Now()
	for i := 0; b.Loop(); i++ {
		batch := make([]*placement, size)
		for j := range batch {
			batch[j] = keyed("", "")
			if with {
				batch[j].key.key = batch[j].order.OrderID.String()
			}
		}
		err := postgres.Transact(b.Context(), db, func(tx *postgres.Tx) error {
			_, err := place(b.Context(), tx, batch)
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(time.Since(began).Microseconds())/float64(b.N*size), "µs/order")
}
