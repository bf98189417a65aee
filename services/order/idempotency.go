package order

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"orderflow/pkg/httpapi"
	"orderflow/pkg/postgres"
)

// maxKey is the longest idempotency key, in characters.
const maxKey = 255

// remembered is the first answer that was given under an idempotency key.
type remembered struct {
	RequestHash []byte
	OrderID     uuid.UUID
	Response    []byte
}

// checkKey refuses what cannot be a key; "" is none.
func checkKey(key string) error {
	if utf8.RuneCountInString(key) > maxKey || !utf8.ValidString(key) || bytes.ContainsRune([]byte(key), 0) {
		return httpapi.NewProblem(http.StatusBadRequest, "Idempotency-Key must be text of at most %d characters", maxKey)
	}
	return nil
}

func hashOf(request []byte) []byte {
	sum := sha256.Sum256(request)
	return sum[:]
}

// remember claims the keys of a batch for its answers, in the transaction that makes them true. It returns those that are to be
// placed: their keys are new, or older than 24 hours, or they have none. The others learn which answer was given first. Of two
// requests at the same moment one waits for the other here, or learns of it if both are in the batch.
func remember(ctx context.Context, tx *postgres.Tx, batch []*placement) (fresh []*placement, err error) {
	claimants := map[string]*placement{} // of those with the same key, the first
	for _, p := range batch {
		p.first = nil
		if p.key != "" && claimants[p.key] == nil {
			claimants[p.key] = p
		}
	}
	if len(claimants) == 0 {
		return batch, nil
	}
	isNew, err := claim(ctx, tx, claimants)
	if err != nil {
		return nil, err
	}
	var used map[string]*remembered
	if len(isNew) < len(claimants) {
		if used, err = answers(ctx, tx, slices.Collect(maps.Keys(claimants))); err != nil {
			return nil, err
		}
	}
	for _, p := range batch {
		switch claimant := claimants[p.key]; {
		case claimant == nil || claimant == p && isNew[p.key]:
			fresh = append(fresh, p)
		case isNew[p.key]:
			p.first = &claimant.answer
		default:
			if p.first = used[p.key]; p.first == nil {
				return nil, fmt.Errorf("idempotency key %q is in use, and has no answer", p.key)
			}
		}
	}
	return fresh, nil
}

// claim notes answers under their keys, in the order of the keys, and returns the keys that were free.
func claim(ctx context.Context, tx *postgres.Tx, claimants map[string]*placement) (map[string]bool, error) {
	keys := slices.Sorted(maps.Keys(claimants))
	n := len(keys)
	hashes, ids, responses := make([][]byte, n), make([]uuid.UUID, n), make([]string, n)
	for i, key := range keys {
		answer := claimants[key].answer
		hashes[i], ids[i], responses[i] = answer.RequestHash, answer.OrderID, string(answer.Response)
	}
	// Whoever holds a key that is in use by another process at this moment, and has stopped, must not hold up the others of the batch.
	tx.Queue("SET LOCAL lock_timeout = '500ms'")
	claimed, err := postgres.Query(ctx, tx, pgx.RowTo[string], `
		INSERT INTO idempotency_keys AS k (key, request_hash, order_id, response)
		SELECT * FROM unnest($1::text[], $2::bytea[], $3::uuid[], $4::text[])
		ON CONFLICT (key) DO UPDATE
			SET request_hash = excluded.request_hash, order_id = excluded.order_id, response = excluded.response, created_at = now()
			WHERE k.created_at < now() - interval '24 hours'
		RETURNING key`, keys, hashes, ids, responses)
	if err != nil {
		return nil, fmt.Errorf("claim idempotency keys: %w", err)
	}
	return postgres.Set(claimed), nil
}

// answers reads what was answered under keys that were used.
func answers(ctx context.Context, tx *postgres.Tx, keys []string) (map[string]*remembered, error) {
	type row struct {
		Key string
		remembered
	}
	rows, err := postgres.Query(ctx, tx, func(c pgx.CollectableRow) (r row, err error) {
		err = c.Scan(&r.Key, &r.RequestHash, &r.OrderID, &r.Response)
		return r, err
	}, `SELECT key, request_hash, order_id, convert_to(response, 'UTF8') FROM idempotency_keys WHERE key = ANY($1::text[])`, keys)
	if err != nil {
		return nil, fmt.Errorf("read idempotency keys: %w", err)
	}
	used := make(map[string]*remembered, len(rows))
	for i := range rows {
		used[rows[i].Key] = &rows[i].remembered
	}
	return used, nil
}
