package flow

import "github.com/prometheus/client_golang/prometheus"

// Metrics is what the runtime counts, for all services of a process.
type Metrics struct {
	events      *prometheus.CounterVec
	reaction    *prometheus.HistogramVec
	batchSize   *prometheus.HistogramVec
	pending     *prometheus.GaugeVec
	oldest      *prometheus.GaugeVec
	lag         *prometheus.HistogramVec
	retries     *prometheus.CounterVec
	deadLetters *prometheus.CounterVec
	breaker     *prometheus.GaugeVec
}

// NewMetrics makes the runtime's metrics and registers them.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "orderflow_events_total", Help: "Events that a subscription has finished, by what became of them.",
		}, []string{"service", "queue", "outcome"}),
		reaction: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "orderflow_reaction_seconds", Help: "How long the transaction of a batch took.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 14),
		}, []string{"queue"}),
		batchSize: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "orderflow_batch_size", Help: "How many events a batch had.", Buckets: prometheus.ExponentialBuckets(1, 2, 10),
		}, []string{"queue"}),
		pending: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "orderflow_outbox_pending", Help: "Events in the outbox, committed and not confirmed by the broker.",
		}, []string{"service"}),
		oldest: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "orderflow_outbox_oldest_seconds", Help: "Age of the oldest event in the outbox.",
		}, []string{"service"}),
		lag: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "orderflow_event_lag_seconds", Help: "Time from when an event happened to when it was handled.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 20),
		}, []string{"queue"}),
		retries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "orderflow_retries_total", Help: "Messages that were sent to a delay queue.",
		}, []string{"queue"}),
		deadLetters: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "orderflow_dead_letters_total", Help: "Messages that were given up, by reason.",
		}, []string{"queue", "reason"}),
		breaker: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "orderflow_breaker_state", Help: "Circuit breaker of an external system: 0 closed, 1 half open, 2 open.",
		}, []string{"dependency"}),
	}
	r.MustRegister(m.events, m.reaction, m.batchSize, m.pending, m.oldest, m.lag, m.retries, m.deadLetters, m.breaker)
	return m
}

// What becomes of an event in a subscription.
const (
	outcomeHandled      = "handled"
	outcomeDuplicate    = "duplicate" // it was handled before
	outcomeRetried      = "retried"
	outcomeDeadLettered = "dead_lettered"
)

// expect makes the series of a subscription before there is anything to count: what appears with a 1 has not increased.
func (m *Metrics) expect(service, queue string) {
	for _, outcome := range []string{outcomeHandled, outcomeDuplicate, outcomeRetried, outcomeDeadLettered} {
		m.events.WithLabelValues(service, queue, outcome)
	}
	for _, reason := range []string{ReasonInvalid, ReasonUnsupported, ReasonRejected, ReasonExhausted} {
		m.deadLetters.WithLabelValues(queue, reason)
	}
	m.retries.WithLabelValues(queue)
	for _, histogram := range []*prometheus.HistogramVec{m.reaction, m.batchSize, m.lag} {
		histogram.WithLabelValues(queue)
	}
}
