package flow

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.opentelemetry.io/otel/trace"

	"orderflow/pkg/broker"
	"orderflow/pkg/event"
	"orderflow/pkg/postgres"
	"orderflow/pkg/telemetry"
)

const (
	offersQueued = 64                     // transactions whose events wait to be published
	cleanLinger  = 200 * time.Millisecond // confirmed rows are deleted together; after a crash those are published again, to no effect
	lastClean    = 5 * time.Second        // for what is deleted when the service stops
	sweepEvery   = time.Second
	sweepBatch   = 500
	gaugeEvery   = 5 // sweeps
)

// outbox gets the events of committed transactions to the broker.
type outbox struct {
	service   string
	catalog   *event.Catalog
	db        *pgxpool.Pool
	publisher *broker.Publisher
	metrics   *Metrics
	log       *slog.Logger
	tracer    trace.Tracer
	sending   sync.Map // by message id, the spans of what is offered

	offers   chan []broker.Message // committed, to be published from memory
	underway atomic.Int64          // offered and not yet confirmed, refused or given up
	idle     chan struct{}         // gets a token, if there is none, when underway falls to 0

	mu        sync.Mutex
	confirmed []uuid.UUID   // to be deleted
	dirty     chan struct{} // gets a token, if there is none, when confirmed is not empty
}

func newOutbox(cfg Config, publisher *broker.Publisher) *outbox {
	return &outbox{
		service: cfg.Service, catalog: cfg.Catalog, db: cfg.DB, publisher: publisher, metrics: cfg.Metrics, log: cfg.Log, tracer: cfg.Tracer,
		offers: make(chan []broker.Message, offersQueued), idle: make(chan struct{}, 1), dirty: make(chan struct{}, 1),
	}
}

// add writes events to the outbox in tx and returns the messages to offer once it is committed.
func (o *outbox) add(tx *postgres.Tx, events []*event.Event) ([]broker.Message, error) {
	if len(events) == 0 {
		return nil, nil
	}
	n := len(events)
	ids, types, correlations, bodies := make([]uuid.UUID, n), make([]string, n), make([]string, n), make([]string, n)
	messages := make([]broker.Message, n)
	for i, e := range events {
		span := o.beginSpan(e.ID, e.Type(), e.TraceParent)
		if span != nil {
			sent := *e // the transaction may fail, and be tried again
			sent.TraceParent = telemetry.TraceParent(span)
			e = &sent
			tx.OnCommit(func() { o.sending.Store(e.ID.String(), span) })
		}
		body, err := o.catalog.Encode(e)
		if err != nil {
			return nil, err
		}
		ids[i], types[i], correlations[i], bodies[i] = e.ID, string(e.Type()), e.CorrelationID, string(body)
		messages[i] = o.message(e.ID, e.Type(), e.CorrelationID, body)
		messages[i].Headers = traceHeader(span)
	}
	tx.Queue(`
		INSERT INTO outbox (event_id, type, correlation_id, body)
		SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[])`, ids, types, correlations, bodies)
	return messages, nil
}

func (o *outbox) message(id uuid.UUID, t event.Type, correlationID string, body []byte) broker.Message {
	kind := o.catalog.Kind(t)
	return broker.Message{
		Exchange: o.catalog.Exchange, RoutingKey: kind.RoutingKey, Mandatory: kind.Expected,
		ID: id.String(), Type: string(t), CorrelationID: short(correlationID), AppID: o.service,
		ContentType: event.ContentType, Timestamp: event.IDTime(id), Body: body,
	}
}

// short cuts a text to what a property of a message may hold. It is whole in the body.
func short(s string) string { return s[:min(len(s), 255)] }

// offer hands over the events of a transaction that was committed. It does not wait: where too much is under way, the events are
// left to the sweep. It tells whether they were taken.
func (o *outbox) offer(messages []broker.Message) bool {
	if len(messages) == 0 {
		return true
	}
	o.underway.Add(int64(len(messages)))
	select {
	case o.offers <- messages:
		return true
	default:
		o.leave(messages)
		return false
	}
}

// offerWait is offer for those who can wait until ctx ends, which slows them down to the pace of the broker.
func (o *outbox) offerWait(ctx context.Context, messages []broker.Message) {
	if o.offer(messages) {
		return
	}
	o.underway.Add(int64(len(messages)))
	select {
	case o.offers <- messages:
	case <-ctx.Done():
		o.leave(messages)
	}
}

// offerWhileReady is offerWait for those who wait only where the broker takes messages.
func (o *outbox) offerWhileReady(ctx context.Context, messages []broker.Message) {
	if o.publisher.Ready() {
		o.offerWait(ctx, messages)
	} else {
		o.offer(messages)
	}
}

// leave leaves messages that were offered to the sweep.
func (o *outbox) leave(messages []broker.Message) {
	for i := range messages {
		o.endSpan(messages[i].ID, errLeft)
	}
	o.finished(len(messages))
}

func (o *outbox) finished(n int) {
	if o.underway.Add(-int64(n)) == 0 {
		signal(o.idle)
	}
}

// drain waits until nothing that was offered is under way, the broker takes no more, or ctx ends.
func (o *outbox) drain(ctx context.Context) {
	for o.underway.Load() > 0 && o.publisher.Ready() {
		select {
		case <-o.idle:
		case <-time.After(sweepEvery): // to look again whether the publisher is ready
		case <-ctx.Done():
			return
		}
	}
}

// run publishes, cleans and sweeps until ctx ends.
func (o *outbox) run(ctx context.Context) {
	var group sync.WaitGroup
	group.Go(func() { o.publish(ctx) })
	group.Go(func() { o.clean(ctx) })
	group.Go(func() { o.sweep(ctx) })
	group.Wait()
}

// publish sends what is offered. What cannot be sent now stays in the outbox, for the sweep.
func (o *outbox) publish(ctx context.Context) {
	for {
		select {
		case messages := <-o.offers:
			messages = o.gather(messages)
			err := o.publisher.Publish(ctx, messages, func(i int, err error) { o.done(messages[i], err) })
			if err != nil {
				o.leave(messages)
			}
		case <-ctx.Done():
			return
		}
	}
}

// gather adds to messages what else is offered.
func (o *outbox) gather(messages []broker.Message) []broker.Message {
	for {
		select {
		case more := <-o.offers:
			messages = append(messages, more...)
		default:
			return messages
		}
	}
}

func (o *outbox) done(m broker.Message, err error) {
	o.endSpan(m.ID, err)
	if err == nil {
		o.confirm(uuid.MustParse(m.ID))
	} else {
		o.log.Debug("event not published yet", "event_id", m.ID, "type", m.Type, "error", err)
	}
	o.finished(1)
}

func (o *outbox) confirm(ids ...uuid.UUID) {
	o.mu.Lock()
	o.confirmed = append(o.confirmed, ids...)
	o.mu.Unlock()
	signal(o.dirty)
}

// clean deletes what the broker has confirmed. When ctx ends it does so once more, for what was confirmed until then. Deletions
// that are lost only lead to a publication that the inboxes know already, so they need not wait for the disk.
func (o *outbox) clean(ctx context.Context) {
	for {
		select {
		case <-o.dirty:
		case <-ctx.Done():
			last, stop := context.WithTimeout(context.WithoutCancel(ctx), lastClean)
			defer stop()
			if err := o.deleteConfirmed(last); err != nil {
				o.log.Warn("outbox not cleaned, confirmed events will be published again", "error", err)
			}
			return
		}
		sleep(ctx, cleanLinger)
		if err := o.deleteConfirmed(ctx); err != nil && ctx.Err() == nil {
			o.log.Warn("outbox not cleaned yet", "error", err)
			signal(o.dirty)
			sleep(ctx, sweepEvery)
		}
	}
}

func (o *outbox) deleteConfirmed(ctx context.Context) error {
	o.mu.Lock()
	ids := o.confirmed
	o.confirmed = nil
	o.mu.Unlock()
	if len(ids) == 0 {
		return nil
	}
	ctx, stop := context.WithTimeout(ctx, statementTimeout)
	defer stop()
	err := postgres.Transact(ctx, o.db, func(tx *postgres.Tx) error {
		tx.Queue("SET LOCAL synchronous_commit = off")
		tx.Queue("DELETE FROM outbox WHERE event_id = ANY($1::uuid[])", ids)
		return nil
	})
	if err != nil {
		o.mu.Lock()
		o.confirmed = append(o.confirmed, ids...)
		o.mu.Unlock()
	}
	return err
}

// sweep publishes, now and then, what is left behind: rows whose writer has crashed, was not connected, or saw them refused.
func (o *outbox) sweep(ctx context.Context) {
	for round := 0; ; round++ {
		if round%gaugeEvery == 0 {
			o.gauge(ctx)
		}
		for o.publisher.Ready() {
			n, err := o.sweepOnce(ctx)
			if err != nil && ctx.Err() == nil {
				o.log.Warn("outbox not swept", "error", err)
			}
			if n < sweepBatch {
				break
			}
		}
		if !sleep(ctx, sweepEvery) {
			return
		}
	}
}

// leftover is a row of the outbox that is due.
type leftover struct {
	ID            uuid.UUID
	Type          event.Type
	CorrelationID string
	Body          []byte
}

// sweepOnce claims some rows that are due, by putting off when they are due next, and publishes them. It returns how many.
func (o *outbox) sweepOnce(ctx context.Context) (int, error) {
	ctx, stop := context.WithTimeout(ctx, statementTimeout)
	defer stop()
	rows, err := o.db.Query(ctx, `
		UPDATE outbox SET attempts = attempts + 1, due_at = now() + least(attempts + 1, 12) * interval '5 seconds'
		WHERE event_id = ANY (ARRAY( -- once, whatever the plan
			SELECT event_id FROM outbox WHERE due_at <= now() ORDER BY event_id LIMIT $1 FOR UPDATE SKIP LOCKED))
		RETURNING event_id, type, correlation_id, convert_to(body, 'UTF8')`, sweepBatch)
	if err != nil {
		return 0, fmt.Errorf("claim rows: %w", err)
	}
	due, err := pgx.CollectRows(rows, pgx.RowToStructByPos[leftover])
	if err != nil || len(due) == 0 {
		return 0, err
	}
	slices.SortFunc(due, func(a, b leftover) int { return compareIDs(a.ID, b.ID) })
	messages := make([]broker.Message, 0, len(due))
	for _, row := range due {
		if o.catalog.Kind(row.Type) == nil {
			o.log.Error("the outbox has an event that this version does not know", "event_id", row.ID, "type", row.Type)
			continue
		}
		m := o.message(row.ID, row.Type, row.CorrelationID, row.Body)
		if span := o.beginSpan(row.ID, row.Type, traceParentIn(row.Body)); span != nil {
			m.Headers = traceHeader(span)
			o.sending.Store(m.ID, span)
		}
		messages = append(messages, m)
	}
	o.underway.Add(int64(len(messages)))
	failed := 0
	var last error
	for i, err := range o.publisher.PublishAll(ctx, messages) {
		o.done(messages[i], err)
		if err != nil {
			failed, last = failed+1, fmt.Errorf("%s %s: %w", messages[i].Type, messages[i].ID, err)
		}
	}
	if failed > 0 {
		o.log.Warn("events stay in the outbox and will be published later", "events", failed, "error", last)
	}
	return len(due), nil
}

// gauge measures what waits.
func (o *outbox) gauge(ctx context.Context) {
	ctx, stop := context.WithTimeout(ctx, statementTimeout)
	defer stop()
	var pending, oldest float64
	err := o.db.QueryRow(ctx, `
		SELECT count(*)::float8, coalesce(extract(epoch FROM now() - min(created_at)), 0)::float8 FROM outbox`).Scan(&pending, &oldest)
	if err == nil {
		o.metrics.pending.WithLabelValues(o.service).Set(pending)
		o.metrics.oldest.WithLabelValues(o.service).Set(oldest)
	}
}
