package order

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
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

// remember claims a key for an answer, in the transaction that makes the answer true. It returns nil if the key is new, or older
// than 24 hours, and otherwise the answer that was given first. Of two requests at the same moment, one waits for the other here.
func remember(ctx context.Context, tx *postgres.Tx, key string, answer remembered) (*remembered, error) {
	claimed, err := postgres.Query(ctx, tx, pgx.RowTo[string], `
		INSERT INTO idempotency_keys AS k (key, request_hash, order_id, response) VALUES ($1, $2, $3, $4)
		ON CONFLICT (key) DO UPDATE
			SET request_hash = excluded.request_hash, order_id = excluded.order_id, response = excluded.response, created_at = now()
			WHERE k.created_at < now() - interval '24 hours'
		RETURNING key`, key, answer.RequestHash, answer.OrderID, string(answer.Response))
	if err != nil {
		return nil, fmt.Errorf("claim idempotency key: %w", err)
	}
	if len(claimed) > 0 {
		return nil, nil
	}
	first, err := postgres.Query(ctx, tx, pgx.RowToStructByPos[remembered],
		`SELECT request_hash, order_id, convert_to(response, 'UTF8') FROM idempotency_keys WHERE key = $1`, key)
	if err != nil {
		return nil, fmt.Errorf("read idempotency key: %w", err)
	}
	return &first[0], nil
}
