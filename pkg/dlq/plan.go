package dlq

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"

	"orderflow/pkg/broker"
)

// Plan names dead letters that are to be replayed, and no others.
type Plan struct {
	Version  int       `json:"version"`
	ID       uuid.UUID `json:"plan_id"`
	MadeAt   time.Time `json:"made_at"`
	MadeBy   string    `json:"made_by"`
	Host     string    `json:"virtual_host"`
	Where    string    `json:"where,omitempty"` // how they were chosen, for people
	Order    string    `json:"order,omitempty"` // they are of this order, and replayed in the order in which their events were made
	Force    bool      `json:"force,omitempty"` // also what no inbox remembers
	Messages []Planned `json:"messages"`
}

// Planned is one of them. Two that are the same in all of this cannot be told apart, and need not be.
type Planned struct {
	DLQ     string  `json:"dlq"`
	ID      string  `json:"id"`
	Hash    string  `json:"body_sha256"`
	Replays int64   `json:"replays,omitempty"` // before: one that has died again since is another one
	Type    string  `json:"type,omitempty"`
	OrderID string  `json:"order_id,omitempty"`
	Target  string  `json:"target"`
	Verdict Verdict `json:"verdict,omitempty"`
}

const (
	planVersion = 1
	maxSame     = 1000 // texts
)

// keyOf is what a planned message is found by.
func keyOf(queue string, l *Letter) Planned {
	return Planned{DLQ: queue, ID: l.ID, Hash: bodyHash(l), Replays: l.Replays, Target: l.Queue}
}

func bodyHash(l *Letter) string {
	sum := sha256.Sum256(l.Body)
	return hex.EncodeToString(sum[:])
}

// MakePlan plans to replay what j chooses, and does nothing. The Run is what was found.
func MakePlan(ctx context.Context, b *broker.Broker, j Job) (Plan, Run, error) {
	plan := Plan{Version: planVersion, ID: uuid.New(), MadeAt: time.Now().UTC().Truncate(time.Second), Order: j.Order, Force: j.Force, Messages: []Planned{}}
	j.Do, j.DryRun = Replay(), true
	j.See = func(queue string, l Letter, _ broker.Message, o Outcome) {
		p := keyOf(queue, &l)
		p.Type, p.OrderID, p.Verdict = l.Type, l.CorrelationID, o.Verdict
		plan.Messages = append(plan.Messages, p)
	}
	run, err := Do(ctx, b, j)
	return plan, run, err
}

// Write writes a plan, a message a line, so that people can read it.
func (p Plan) Write(w io.Writer) error {
	messages := p.Messages
	p.Messages = nil
	head, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return err
	}
	out := bufio.NewWriter(w)
	out.Write(bytes.TrimSuffix(head, []byte("null\n}"))) // of messages, the last field
	separator := "[\n    "
	for _, m := range messages {
		line, err := json.Marshal(m)
		if err != nil {
			return err
		}
		out.WriteString(separator)
		out.Write(line)
		separator = ",\n    "
	}
	if len(messages) == 0 {
		out.WriteString("[")
	}
	out.WriteString("\n  ]\n}\n")
	return out.Flush()
}

// ReadPlan reads a plan, and refuses what is none.
func ReadPlan(in io.Reader) (Plan, error) {
	p, err := readPlan(json.NewDecoder(in))
	switch {
	case errors.Is(err, errVersion):
		return p, err
	case err != nil:
		return p, fmt.Errorf("it is no plan: %w", err)
	}
	return p, nil
}

var errVersion = errors.New("this program reads version " + strconv.Itoa(planVersion))

// readPlan reads one message after the other, since there may be very many.
func readPlan(in *json.Decoder) (p Plan, err error) {
	if err := expect(in, json.Delim('{')); err != nil {
		return p, err
	}
	head := map[string]json.RawMessage{}
	for in.More() {
		name, err := in.Token()
		if err != nil {
			return p, err
		}
		if name == "messages" {
			err = readMessages(in, &p)
		} else {
			var value json.RawMessage
			err = in.Decode(&value)
			head[name.(string)] = value
		}
		if err != nil {
			return p, err
		}
	}
	if err := expect(in, json.Delim('}')); err != nil {
		return p, err
	}
	if _, err := in.Token(); !errors.Is(err, io.EOF) {
		return p, errors.New("something follows it")
	}
	messages := p.Messages
	text, err := json.Marshal(head)
	if err != nil {
		return p, err
	}
	if err := strictly(text, &p); err != nil {
		return p, err
	}
	if p.Messages = messages; p.Version != planVersion {
		return p, fmt.Errorf("it is a plan of version %d, %w", p.Version, errVersion)
	}
	if p.ID == uuid.Nil {
		return p, errors.New("it has no plan_id")
	}
	return p, nil
}

func expect(in *json.Decoder, want json.Delim) error {
	got, err := in.Token()
	if err == nil && got != want {
		err = fmt.Errorf("%v where %v belongs", got, want)
	}
	return err
}

func readMessages(in *json.Decoder, p *Plan) error {
	if err := expect(in, json.Delim('[')); err != nil {
		return err
	}
	same := map[string]string{} // most messages have these texts in common
	for in.More() {
		var m Planned
		if err := in.Decode(&m); err != nil {
			return err
		}
		if hash, err := hex.DecodeString(m.Hash); m.DLQ == "" || err != nil || len(hash) != sha256.Size {
			return fmt.Errorf("message %d has no queue, or no SHA-256 of its body", len(p.Messages)+1)
		}
		for _, text := range []*string{&m.DLQ, &m.Target, &m.Type} {
			if known, ok := same[*text]; ok {
				*text = known
			} else if len(same) < maxSame {
				same[*text] = *text
			}
		}
		p.Messages = append(p.Messages, m)
	}
	return expect(in, json.Delim(']'))
}

// Queues are the dead-letter queues that a plan touches.
func (p Plan) Queues() (queues []string) {
	for _, m := range p.Messages {
		if !slices.Contains(queues, m.DLQ) {
			queues = append(queues, m.DLQ)
		}
	}
	return queues
}

// Applied is what became of a plan's messages. Each is in one of these states, or in one of the Run's.
type Applied struct {
	Run
	Before  int       // they were replayed by an earlier Apply of the plan
	Changed []Planned // what is there under their ids has another body or target than was planned
	Missing []Planned // they are not there, and no Apply of the plan has replayed them
}

// Apply does what a plan says to do, of which a part may have been done by an earlier Apply that did not come to its end. j says how, and
// has p.Queues as its sources.
func Apply(ctx context.Context, b *broker.Broker, p Plan, j Job) (Applied, error) {
	open := newOpenPlan(p)
	j.Do, j.plan, j.Order, j.Force = Replay(), open, p.Order, j.Force || p.Force
	run, err := Do(ctx, b, j)
	applied := Applied{Run: run}
	if err != nil {
		return applied, err
	}
	left := open.left(p)
	if len(left) == 0 {
		return applied, nil
	}
	done, err := j.History.applied(ctx, p.ID, run.ID)
	if err != nil {
		return applied, err
	}
	for _, m := range left {
		switch {
		case done[keyInHistory(m)] > 0:
			done[keyInHistory(m)]--
			applied.Before++
		case open.others[m.place()]:
			applied.Changed = append(applied.Changed, m)
		default:
			applied.Missing = append(applied.Missing, m)
		}
	}
	return applied, nil
}

// openPlan is what of a plan was not met yet. There may be very many messages, so they are known by fingerprints.
type openPlan struct {
	open   map[fingerprint]int32 // by all that a message is found by
	queues map[string]int
	kin    map[fingerprint]kin  // by all but how often it was replayed
	others map[fingerprint]bool // by queue and id; true where there is a message with another body or target
}

// fingerprint stands for some texts. That two of them have the same does not happen.
type fingerprint [16]byte

func fingerprintOf(texts ...string) fingerprint {
	sum := sha256.New()
	for _, text := range texts {
		fmt.Fprintf(sum, "%d %s", len(text), text)
	}
	return fingerprint(sum.Sum(nil)[:16])
}

func (p Planned) whole() fingerprint {
	return fingerprintOf(p.DLQ, p.ID, p.Hash, p.Target, strconv.FormatInt(p.Replays, 10))
}
func (p Planned) family() fingerprint { return fingerprintOf(p.DLQ, p.ID, p.Hash, p.Target) }
func (p Planned) place() fingerprint  { return fingerprintOf(p.DLQ, p.ID) }

// kin is messages that differ in nothing but how often they were replayed.
type kin struct {
	open    int32
	again   int32 // so many have died again since
	replays int64 // how often they had been replayed when they were planned, at least
}

func newOpenPlan(p Plan) *openPlan {
	n := len(p.Messages)
	o := &openPlan{
		open: make(map[fingerprint]int32, n), queues: map[string]int{}, kin: make(map[fingerprint]kin, n), others: make(map[fingerprint]bool, n),
	}
	for _, m := range p.Messages {
		o.open[m.whole()]++
		o.queues[m.DLQ]++
		if m.ID != "" {
			o.others[m.place()] = false
		}
		k, known := o.kin[m.family()]
		if !known || m.Replays < k.replays {
			k.replays = m.Replays
		}
		k.open++
		o.kin[m.family()] = k
	}
	return o
}

// take tells whether a letter is one of those that are still open, which it is not any more then: Replayed is what is to be done with it.
func (o *openPlan) take(queue string, l *Letter) Fate {
	m := keyOf(queue, l)
	k, related := o.kin[m.family()]
	switch {
	case o.open[m.whole()] > 0:
		o.open[m.whole()]--
		o.queues[queue]--
		k.open--
		o.kin[m.family()] = k
		return Replayed
	case related && l.Replays > k.replays && k.again < k.open:
		k.again++
		o.kin[m.family()] = k
		return DiedAgain
	}
	if _, planned := o.others[m.place()]; planned && !related {
		o.others[m.place()] = true
	}
	return Unmatched
}

// done tells whether everything that was planned of a queue was met.
func (o *openPlan) done(queue string) bool { return o.queues[queue] == 0 }

// left lists what was not met, and has not died again either.
func (o *openPlan) left(p Plan) (left []Planned) {
	for _, m := range slices.Backward(p.Messages) {
		if o.open[m.whole()] == 0 {
			continue
		}
		o.open[m.whole()]--
		if k := o.kin[m.family()]; k.again > 0 {
			k.again--
			o.kin[m.family()] = k
			continue
		}
		left = append(left, m)
	}
	slices.Reverse(left)
	return left
}

// keyInHistory is a planned message as the history knows it.
func keyInHistory(p Planned) Planned {
	return Planned{DLQ: p.DLQ, ID: storable(p.ID), Hash: p.Hash, Target: storable(p.Target)}
}

// undefinedTable is Postgres's code for a table that is not there.
const undefinedTable = "42P01"

// applied counts what was done of a plan, by other runs than this one.
func (h *History) applied(ctx context.Context, plan uuid.UUID, but string) (map[Planned]int, error) {
	if h == nil || h.DB == nil {
		return nil, nil
	}
	rows, err := h.DB.Query(ctx, `
		SELECT from_queue, message_id, encode(body_hash, 'hex'), to_queue, count(*)
		FROM history WHERE plan_id = $1 AND outcome = $2 AND run_id::text <> $3
		GROUP BY from_queue, message_id, body_hash, to_queue`, plan, Replayed, but)
	if err != nil {
		return nil, fmt.Errorf("read the history: %w", err)
	}
	done := map[Planned]int{}
	for rows.Next() {
		var p Planned
		var n int
		if err := rows.Scan(&p.DLQ, &p.ID, &p.Hash, &p.Target, &n); err != nil {
			return nil, fmt.Errorf("read the history: %w", err)
		}
		done[p] = n
	}
	if refused, ok := errors.AsType[*pgconn.PgError](rows.Err()); ok && refused.Code == undefinedTable {
		return nil, nil // nothing was done yet
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read the history: %w", err)
	}
	return done, nil
}
