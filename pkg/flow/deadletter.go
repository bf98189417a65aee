package flow

import (
	"errors"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"orderflow/pkg/broker"
	"orderflow/pkg/telemetry"
)

// The headers of a message that was sent to a delay queue or to a dead-letter queue.
const (
	HeaderQueue         = "orderflow-queue"           // the queue in which it failed
	HeaderService       = "orderflow-service"         // the service whose queue that is
	HeaderReason        = "orderflow-reason"          // why it was given up
	HeaderError         = "orderflow-error"           // what went wrong last
	HeaderAttempts      = "orderflow-attempts"        // how often it was handled
	HeaderFirstFailedAt = "orderflow-first-failed-at" // RFC 3339
	HeaderDeadAt        = "orderflow-dead-at"         // RFC 3339
	HeaderReplays       = "orderflow-replays"         // how often it was replayed
	HeaderReplayID      = "orderflow-replay-id"       // the last replay
)

// maxError is how much of an error's text goes into a header, in bytes.
const maxError = 1000

// passOn sends copies of failed messages to a delay queue or to the dead-letter exchange and returns the originals whose copies
// the broker has in a queue. Only those may be settled.
func (w *worker) passOn(jobs []*job) (settled []*broker.Delivery) {
	copies := make([]broker.Message, len(jobs))
	for i, j := range jobs {
		copies[i] = w.failedCopy(j, time.Now().UTC())
	}
	for attempt := 1; ; attempt++ {
		var leftJobs []*job
		var leftCopies []broker.Message
		var last error
		for i, err := range w.service.publisher.PublishAll(w.hard, copies) {
			if errors.Is(err, broker.ErrTooLarge) {
				keepOwn(copies[i].Headers)
			}
			if err != nil {
				leftJobs, leftCopies, last = append(leftJobs, jobs[i]), append(leftCopies, copies[i]), err
				continue
			}
			w.passedOn(jobs[i], copies[i])
			settled = append(settled, jobs[i].delivery)
		}
		jobs, copies = leftJobs, leftCopies
		if len(jobs) == 0 {
			return settled
		}
		w.service.cfg.Log.Warn("failed messages cannot be passed on yet", "queue", w.Queue, "messages", len(jobs),
			"to", copies[0].Exchange, "error", last)
		if errors.Is(last, broker.ErrUnroutable) { // somebody has deleted the queue
			if err := w.service.cfg.Broker.Redeclare(w.hard); err != nil {
				w.service.cfg.Log.Error("cannot declare the queues again", "error", err)
			}
		}
		if !sleep(w.soft, backoff(attempt)) {
			endPassing(jobs, last)
			return settled
		}
	}
}

// failedCopy is the message that takes the place of a failed one: with the next delay if there is one and it may help, and else
// as a dead letter.
func (w *worker) failedCopy(j *job, now time.Time) broker.Message {
	m := j.delivery.Copy()
	m.Mandatory = true
	attempts := Attempts(m.Headers) + 1
	m.Headers[HeaderQueue] = w.Queue
	m.Headers[HeaderService] = w.service.cfg.Service
	m.Headers[HeaderAttempts] = attempts
	m.Headers[HeaderError] = errorText(j.err)
	if _, ok := m.Headers[HeaderFirstFailedAt].(string); !ok {
		m.Headers[HeaderFirstFailedAt] = now.Format(time.RFC3339Nano)
	}
	if delays := w.service.cfg.RetryDelays; Classify(j.err) != Permanent && attempts <= int64(len(delays)) {
		m.Exchange, m.RoutingKey = broker.DelayQueue(w.service.cfg.Catalog.Exchange, delays[attempts-1]), w.Queue
		delete(m.Headers, HeaderReason) // who wrote it did not mean this time, or is nobody that we know
		delete(m.Headers, HeaderDeadAt)
		w.beginPassing(j, &m)
		return m
	}
	m.Headers[HeaderReason] = reason(j.err)
	m.Headers[HeaderDeadAt] = now.Format(time.RFC3339Nano)
	m.Exchange = broker.DeadLetterExchange(w.Queue)
	w.beginPassing(j, &m)
	return m
}

// keepOwn drops all headers but those of the runtime. It is for a message whose headers leave no room for these.
func keepOwn(headers map[string]any) {
	own := []string{telemetry.HeaderTraceParent, HeaderQueue, HeaderService, HeaderReason, HeaderError, HeaderAttempts, HeaderFirstFailedAt, HeaderDeadAt, HeaderReplays}
	maps.DeleteFunc(headers, func(name string, value any) bool {
		text, isText := value.(string)
		return !slices.Contains(own, name) || isText && len(text) > maxError
	})
}

// maxCount is as far as attempts are counted. A header that says more comes from somebody else, and must not overflow.
const maxCount = math.MaxInt32

// Attempts reads how often a message was handled and failed.
func Attempts(headers map[string]any) int64 {
	n, _ := headers[HeaderAttempts].(int64)
	return min(max(n, 0), maxCount)
}

func (w *worker) passedOn(j *job, copied broker.Message) {
	metrics := w.service.cfg.Metrics
	log := w.service.cfg.Log.With("queue", w.Queue, "event_id", j.delivery.ID, "order_id", j.subject(),
		"trace_id", telemetry.TraceID(j.traceParent()), "attempts", copied.Headers[HeaderAttempts], "error", fitting(telemetry.Redact(j.err)))
	telemetry.End(j.passing, nil)
	if cause, dead := copied.Headers[HeaderReason].(string); dead {
		metrics.deadLetters.WithLabelValues(w.Queue, cause).Inc()
		w.count(outcomeDeadLettered, 1)
		log.Error("dead-lettered", "reason", cause)
		return
	}
	metrics.retries.WithLabelValues(w.Queue).Inc()
	w.count(outcomeRetried, 1)
	log.Warn("failed, will be tried again", "by", copied.Exchange)
}

// subject is the id of what the job's event is about, as far as it can be told.
func (j *job) subject() string {
	if j.event != nil {
		return j.event.Subject().String()
	}
	return j.delivery.CorrelationID
}

// errorText is an error as a header can carry it.
func errorText(err error) string { return fitting(err.Error()) }

// fitting is a text that is not too long for a header, or a line of the log.
func fitting(text string) string {
	return strings.ToValidUTF8(text[:min(len(text), maxError)], "\uFFFD")
}
