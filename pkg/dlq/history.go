package dlq

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"orderflow/pkg/broker"
)

// HistorySchema is the schema that the history is in.
const HistorySchema = "dlq"

// History is where it is written down what was done with dead letters, by whom. Its zero value and nil take no notes.
type History struct {
	DB   *pgxpool.Pool // sees HistorySchema
	Who  string
	Plan uuid.UUID // that is applied; zero where none is
}

// deed is what was done with a dead letter.
type deed struct {
	fate     Fate
	letter   *Letter // as it was
	sent     string  // the id of what was sent; "" where nothing was
	from, to string  // queues
	file     string
}

var historyColumns = []string{"who", "run_id", "plan_id", "action", "outcome", "message_id", "sent_id", "type", "order_id", "body_hash",
	"from_queue", "to_queue", "to_file"}

// note writes down what one run of a command has done.
func (h *History) note(ctx context.Context, run, action string, deeds []deed) error {
	if h == nil || h.DB == nil || len(deeds) == 0 {
		return nil
	}
	id := uuid.MustParse(run)
	rows := pgx.CopyFromSlice(len(deeds), func(i int) ([]any, error) {
		d := &deeds[i]
		hash := sha256.Sum256(d.letter.Body)
		return []any{h.Who, id, orNull(h.Plan), action, string(d.fate), storable(d.letter.ID), storable(d.sent), storable(d.letter.Type),
			storable(d.letter.CorrelationID), hash[:], storable(d.from), storable(d.to), storable(d.file)}, nil
	})
	_, err := h.DB.CopyFrom(ctx, pgx.Identifier{"history"}, historyColumns, rows)
	return err
}

// Entry is a line of the history.
type Entry struct {
	At        time.Time  `json:"at"`
	Who       string     `json:"who"`
	RunID     uuid.UUID  `json:"run_id"`
	PlanID    *uuid.UUID `json:"plan_id,omitempty"`
	Action    string     `json:"action"`
	Outcome   string     `json:"outcome"`
	MessageID string     `json:"message_id"`
	SentID    string     `json:"sent_id,omitempty"`
	Type      string     `json:"type"`
	OrderID   string     `json:"order_id"`
	BodyHash  string     `json:"body_sha256"`
	From      string     `json:"from_queue"`
	To        string     `json:"to_queue,omitempty"`
	File      string     `json:"to_file,omitempty"`
}

// HistoryQuery says which lines are wanted; what is empty chooses nothing.
type HistoryQuery struct {
	Order, Message string
	Run            uuid.UUID
	Since          time.Time
	Limit          int
}

// Entries returns lines of the history, the newest first.
func (h *History) Entries(ctx context.Context, q HistoryQuery) ([]Entry, error) {
	rows, err := h.DB.Query(ctx, `
		SELECT at, who, run_id, plan_id, action, outcome, message_id, sent_id, type, order_id, encode(body_hash, 'hex'), from_queue, to_queue, to_file
		FROM history
		WHERE ($1 = '' OR order_id = $1) AND ($2 = '' OR message_id = $2 OR sent_id = $2)
		  AND ($3::uuid IS NULL OR run_id = $3) AND ($4::timestamptz IS NULL OR at >= $4)
		ORDER BY id DESC LIMIT $5`, q.Order, q.Message, orNull(q.Run), orNull(q.Since), q.Limit)
	if err != nil {
		return nil, fmt.Errorf("read the history: %w", err)
	}
	entries, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Entry])
	if err != nil {
		return nil, fmt.Errorf("read the history: %w", err)
	}
	return entries, nil
}

// Nudged writes down that events which were lost are published again, for the sake of the queues that have not handled them; nothing is done
// with a dead letter. It is written before they are published.
func (h *History) Nudged(ctx context.Context, run uuid.UUID, lost []Lost) error {
	deeds := make([]deed, len(lost))
	for i, l := range lost {
		letter := Read(broker.Message{ID: l.ID.String(), Type: l.Type, CorrelationID: l.OrderID, Body: l.Body})
		deeds[i] = deed{fate: nudged, letter: &letter, sent: letter.ID, to: l.Queue}
	}
	return h.note(ctx, run.String(), "nudge", deeds)
}

// Lost is an event that a queue has lost.
type Lost struct {
	ID            uuid.UUID
	Type, OrderID string
	Queue         string
	Body          []byte
}

// nudged is the outcome of a nudge.
const nudged Fate = "nudged"

// Last returns what was done last with each of these messages as a dead letter of each queue.
func (h *History) Last(ctx context.Context, messages []string) ([]Entry, error) {
	rows, err := h.DB.Query(ctx, `
		SELECT DISTINCT ON (message_id, coalesce(nullif(from_queue, ''), to_queue))
			at, who, run_id, plan_id, action, outcome, message_id, sent_id, type, order_id, encode(body_hash, 'hex'), from_queue, to_queue, to_file
		FROM history WHERE message_id = ANY($1::text[])
		ORDER BY message_id, coalesce(nullif(from_queue, ''), to_queue), id DESC`, messages)
	if err != nil {
		return nil, fmt.Errorf("read the history: %w", err)
	}
	entries, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Entry])
	if err != nil {
		return nil, fmt.Errorf("read the history: %w", err)
	}
	return entries, nil
}

// Edits returns the last line of each of these orders that says that a dead letter of it was edited, or may have been.
func (h *History) Edits(ctx context.Context, orders []string) ([]Entry, error) {
	rows, err := h.DB.Query(ctx, `
		SELECT DISTINCT ON (order_id)
			at, who, run_id, plan_id, action, outcome, message_id, sent_id, type, order_id, encode(body_hash, 'hex'), from_queue, to_queue, to_file
		FROM history WHERE order_id = ANY($1::text[]) AND action = 'edit'
		ORDER BY order_id, id DESC`, orders)
	if err != nil {
		return nil, fmt.Errorf("read the history: %w", err)
	}
	entries, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Entry])
	if err != nil {
		return nil, fmt.Errorf("read the history: %w", err)
	}
	return entries, nil
}

// Act is what one call of a command has done with the dead letters of one queue.
type Act struct {
	At       time.Time  `json:"at"` // of the last message
	Who      string     `json:"who"`
	RunID    uuid.UUID  `json:"run_id"`
	PlanID   *uuid.UUID `json:"plan_id,omitempty"`
	Action   string     `json:"action"`
	Outcome  string     `json:"outcome"`
	Messages int        `json:"messages"`
	From     string     `json:"from_queue"`
	To       string     `json:"to_queue,omitempty"`
	File     string     `json:"to_file,omitempty"`
}

// Acts returns what was done, the newest first.
func (h *History) Acts(ctx context.Context, since time.Time, limit int) ([]Act, error) {
	rows, err := h.DB.Query(ctx, `
		SELECT max(at), who, run_id, plan_id, action, outcome, count(*), from_queue, to_queue, to_file
		FROM history WHERE $1::timestamptz IS NULL OR at >= $1
		GROUP BY who, run_id, plan_id, action, outcome, from_queue, to_queue, to_file
		ORDER BY max(id) DESC LIMIT $2`, orNull(since), limit)
	if err != nil {
		return nil, fmt.Errorf("read the history: %w", err)
	}
	acts, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Act])
	if err != nil {
		return nil, fmt.Errorf("read the history: %w", err)
	}
	return acts, nil
}

func orNull[T comparable](v T) any {
	if v == *new(T) {
		return nil
	}
	return v
}

// storable is a text from a message as Postgres can have it.
func storable(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
}
