package order

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"orderflow/pkg/telemetry"
)

// Metrics is what the service counts.
type Metrics struct {
	orders  *prometheus.CounterVec
	seconds prometheus.Histogram
	refused prometheus.Counter

	open, overdue prometheus.Gauge

	watchers prometheus.Gauge
	cut      prometheus.Counter
}

// NewMetrics makes the service's metrics and registers them.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		orders: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "orderflow_orders_total", Help: "Orders that were placed, and that have ended, by status.",
		}, []string{"status"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "orderflow_order_seconds", Help: "Time from placing an order to its end.",
			Buckets: prometheus.ExponentialBuckets(0.005, 2, 20),
		}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "orderflow_orders_refused_total", Help: "Orders that were not taken because too many were under way, or waiting to be stored.",
		}),
		open: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "orderflow_orders_open", Help: "Orders that have not ended, of all processes of the service.",
		}),
		overdue: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "orderflow_orders_overdue", Help: "Orders that have not ended by their deadline, of all processes of the service.",
		}),
		watchers: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "orderflow_order_watchers", Help: "Requests that wait for the end of an order, or listen to its timeline.",
		}),
		cut: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "orderflow_timeline_streams_cut_total", Help: "Timelines whose reader did not read and was cut off.",
		}),
	}
	for _, status := range []Status{Placed, Shipped, Cancelled} {
		m.orders.WithLabelValues(string(status)) // so that it is there before the first one
	}
	r.MustRegister(m.orders, m.seconds, m.refused, m.open, m.overdue, m.watchers, m.cut)
	return m
}

func (m *Metrics) placed(n int) { m.orders.WithLabelValues(string(Placed)).Add(float64(n)) }

func (m *Metrics) ended(status Status, took time.Duration, traceParent string) {
	m.orders.WithLabelValues(string(status)).Inc()
	telemetry.Observe(m.seconds, took.Seconds(), traceParent)
}
