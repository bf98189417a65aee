package order

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/dunglas/httpsfv"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/labstack/echo/v4"

	"orderflow/pkg/httpapi"
	"orderflow/pkg/postgres"
)

// maxKey is the longest idempotency key, in characters.
const maxKey = 255

// answersKept is how long a key is remembered; claim says so, too.
const answersKept = 24 * time.Hour

// AnswersTable is the table of the first answers, which has a partition for each day.
const AnswersTable = "answers"

// answerDays is the table of the first answers, which are kept for 24 hours.
var answerDays = postgres.Days{
	Table: AnswersTable, First: func(day time.Time) string { return day.Format(time.RFC3339) }, Keep: answersKept, Ahead: 2,
}

// idempotencyKey is by what a caller says that a request is the same as one before. The key of one caller is nothing to the others.
type idempotencyKey struct {
	caller string
	key    string // "" is none
}

func compareKeys(a, b idempotencyKey) int {
	return cmp.Or(strings.Compare(a.caller, b.caller), strings.Compare(a.key, b.key))
}

// remembered is the first answer that was given under an idempotency key.
type remembered struct {
	RequestHash []byte
	OrderID     uuid.UUID
	Response    []byte
}

// readKey reads the key of a request, if it has one, and returns the header as it came, too.
func readKey(c echo.Context) (k idempotencyKey, header string, err error) {
	lines := c.Request().Header.Values("Idempotency-Key")
	if len(lines) == 0 {
		return idempotencyKey{}, "", nil
	}
	key, err := parseKey(lines)
	if err != nil {
		return idempotencyKey{}, "", err
	}
	return idempotencyKey{caller: httpapi.CallerOf(c).Name, key: key}, lines[0], nil
}

// parseKey reads the header. It should be a string of Structured Fields (draft-ietf-httpapi-idempotency-key-header), "k" in quotation marks;
// many clients send the key without them, and mean the same.
func parseKey(lines []string) (key string, err error) {
	if len(lines) > 1 {
		return "", invalidKey("must be there once, is there %d times", len(lines))
	}
	if key = lines[0]; strings.Contains(key, `"`) {
		if key, err = unquote(key); err != nil {
			return "", invalidKey(`has a quotation mark, but is no string as in RFC 9651, such as "8e03978e-40d5-43e8-bc93-6894a57f9324"`)
		}
	}
	switch {
	case key == "":
		return "", invalidKey("is empty; give each order a key of its own, or leave the header out")
	case utf8.RuneCountInString(key) > maxKey:
		return "", invalidKey("must be text of at most %d characters", maxKey)
	case !utf8.ValidString(key) || strings.ContainsRune(key, 0):
		return "", invalidKey("is not text")
	}
	return key, nil
}

// unquote reads a string of Structured Fields. Parameters have no meaning here, and are passed over.
func unquote(line string) (string, error) {
	item, err := httpsfv.UnmarshalItem([]string{line})
	if err != nil {
		return "", err
	}
	text, is := item.Value.(string)
	if !is {
		return "", fmt.Errorf("is a %T", item.Value)
	}
	return text, nil
}

func invalidKey(format string, args ...any) error {
	return httpapi.NewProblem(http.StatusBadRequest, "Idempotency-Key "+format, args...)
}

func hashOf(request []byte) []byte {
	sum := sha256.Sum256(request)
	return sum[:]
}

// remember claims the keys of a batch for its answers, in the transaction that makes them true. It returns those that are to be
// placed: their keys are new, or older than 24 hours, or they have none. The others learn which answer was given first. Of two
// requests at the same moment one waits for the other here, or learns of it if both are in the batch. at is when that is; nil is now,
// by the database's clock.
func remember(ctx context.Context, tx *postgres.Tx, batch []*placement, at *time.Time) (fresh []*placement, err error) {
	claimants := map[idempotencyKey]*placement{} // of those with the same key, the first
	for _, p := range batch {
		p.first = nil
		if p.key.key != "" && claimants[p.key] == nil {
			claimants[p.key] = p
		}
	}
	if len(claimants) == 0 {
		return batch, nil
	}
	used, err := claim(ctx, tx, batch, claimants, at)
	if err != nil {
		return nil, err
	}
	for _, p := range batch {
		claimant, first := claimants[p.key], used[p.key]
		switch {
		case first != nil:
			p.first = first
		case claimant == nil || claimant == p:
			fresh = append(fresh, p)
		default:
			p.first = &claimant.answer
		}
	}
	return fresh, nil
}

// claim notes answers under those keys that are free, and returns what was answered under the others. A key is free if there is no
// answer in the last 24 hours, be it today's or yesterday's partition. Nobody can come in between looking and noting: the key is locked, in the order
// of the keys, until the transaction ends. There is room for many locks: max_locks_per_transaction counts for each connection that may be,
// and of a process's connections two at most claim keys.
func claim(ctx context.Context, tx *postgres.Tx, batch []*placement, claimants map[idempotencyKey]*placement, at *time.Time) (map[idempotencyKey]*remembered, error) {
	n := len(claimants)
	callers, keys := make([]string, n), make([]string, n)
	hashes, ids, responses := make([][]byte, n), make([]uuid.UUID, n), make([]string, n)
	for i, k := range slices.SortedFunc(maps.Keys(claimants), compareKeys) {
		answer := claimants[k].answer
		callers[i], keys[i] = k.caller, k.key
		hashes[i], ids[i], responses[i] = answer.RequestHash, answer.OrderID, string(answer.Response)
	}
	// Whoever holds a key that is in use by another process at this moment, and has stopped, must not hold up the others of the batch. And what is
	// below is planned once: for few keys it takes longer to plan than to do.
	tx.Queue("SELECT set_config('lock_timeout', '500ms', true), set_config('plan_cache_mode', 'force_generic_plan', true)")
	// A statement of its own: the next one sees what those have committed who had the lock before.
	tx.Queue(`
		SELECT pg_advisory_xact_lock(hashtextextended(key, hashtextextended(caller, 0)))
		FROM unnest($1::text[], $2::text[]) AS k (caller, key)`, callers, keys)
	plain, headers := headersOf(batch)
	type row struct {
		idempotencyKey
		remembered
	}
	rows, err := postgres.Query(ctx, tx, func(c pgx.CollectableRow) (r row, err error) {
		err = c.Scan(&r.caller, &r.key, &r.RequestHash, &r.OrderID, &r.Response)
		return r, err
	}, `
		WITH asked AS (
			SELECT *, coalesce($6::timestamptz, now()) AS at
			FROM unnest($1::text[], $2::text[], $3::bytea[], $4::uuid[], $5::text[]) AS v (caller, key, request_hash, order_id, response)
		), used AS (
			SELECT caller, key, a.request_hash, a.order_id, a.response FROM asked JOIN answers a USING (caller, key)
			WHERE a.created_at > coalesce($6, now()) - interval '24 hours'
			UNION ALL -- where the version before notes them, as they came
			SELECT '', h.key, k.request_hash, k.order_id, k.response
			FROM unnest($7::text[], $8::text[]) AS h (key, header) JOIN idempotency_keys k ON k.key = ANY (ARRAY[h.key, h.header])
			WHERE k.created_at > coalesce($6, now()) - interval '24 hours'
		), noted AS (
			INSERT INTO answers (caller, key, request_hash, order_id, response, created_at)
			SELECT * FROM asked WHERE (caller, key) NOT IN (SELECT caller, key FROM used)
		)
		SELECT caller, key, request_hash, order_id, convert_to(response, 'UTF8') FROM used`, callers, keys, hashes, ids, responses, at, plain, headers)
	if err != nil {
		return nil, fmt.Errorf("claim idempotency keys: %w", err)
	}
	used := make(map[idempotencyKey]*remembered, len(rows))
	for i := range rows {
		used[rows[i].idempotencyKey] = &rows[i].remembered
	}
	return used, nil
}

// headersOf are the keys of a batch and the headers that they came in, for the version before: it took the quotation marks for a part of the
// key, and did not tell callers apart. One key may have come in several forms.
func headersOf(batch []*placement) (keys, headers []string) {
	for _, p := range batch {
		if p.key.key != "" && p.key.caller == "" {
			keys, headers = append(keys, p.key.key), append(headers, p.header)
		}
	}
	return keys, headers
}
