package bench

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Report is what came out. Its figures are there only if all orders have ended as they were meant to.
type Report struct {
	Mode      string             `json:"mode"` // closed or open
	Orders    int                `json:"orders"`
	Clients   int                `json:"clients"`
	Rate      float64            `json:"rate,omitempty"` // orders a second, as asked for
	Warmup    int                `json:"warmup"`
	Mix       map[string]float64 `json:"mix"`   // percent, as asked for
	Kinds     map[string]int     `json:"kinds"` // accepted orders by what they were meant to come to
	Ends      map[string]int     `json:"ends"`  // what became of them
	Seconds   float64            `json:"seconds"`
	NotSent   int                `json:"not_sent"`              // orders of an open loop for which no client was free until its end
	Refused   map[int]int        `json:"refused"`               // answers other than 201 to requests to place an order, by status
	Cancels   map[int]int        `json:"cancels"`               // answers to requests to cancel one, by status
	Errors    int                `json:"errors"`                // requests without an answer
	FirstFail string             `json:"first_error,omitempty"` // the first answer that was neither right nor a 503
	Found     []string           `json:"found,omitempty"`       // what is wrong
	*Figures
}

// Figures are the measurements.
type Figures struct {
	AcceptedPerS  float64            `json:"accepted_per_s"`
	EndedPerS     float64            `json:"ended_per_s"`
	Latency       *Percentiles       `json:"latency_ms,omitempty"`    // placed to shipped
	HTTP          *Percentiles       `json:"http_ms"`                 // of a request to place an order, which was accepted
	RefusedMs     *Percentiles       `json:"refused_ms,omitempty"`    // of one that was answered 503
	CPU           map[string]float64 `json:"cpu_us_per_order"`        // by group of processes
	MemoryPeak    map[string]float64 `json:"memory_peak_mib"`         // by group of processes
	Written       map[string]float64 `json:"written_bytes_per_order"` // to disks, by group of processes
	NotMeasurable map[string]string  `json:"not_measured,omitempty"`
}

// Percentiles of a latency, in milliseconds.
type Percentiles struct {
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P95  float64 `json:"p95"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p99_9"`
	Max  float64 `json:"max"`
}

// percentiles is nil where nothing was recorded.
func percentiles(h *hdrhistogram.Histogram) *Percentiles {
	if h.TotalCount() == 0 {
		return nil
	}
	at := func(p float64) float64 { return float64(h.ValueAtPercentile(p)) / 1000 }
	return &Percentiles{P50: at(50), P90: at(90), P95: at(95), P99: at(99), P999: at(99.9), Max: float64(h.Max()) / 1000}
}

const someOrders = 5 // that have not ended, by id

func (r *run) report(l *ledger, m *meter, began time.Time) *Report {
	ids, left := l.underWay(someOrders)
	l.mu.Lock()
	defer l.mu.Unlock()
	report := &Report{
		Mode: "closed", Orders: l.acceptedOrders(), Clients: r.Load.Clients, Rate: r.Load.Rate, Warmup: r.Warmup,
		Mix: map[string]float64{}, Kinds: map[string]int{},
		Ends:    map[string]int{"shipped": l.shipped, "cancelled": l.ends - l.shipped},
		Seconds: max(l.accepted.Sub(began), l.ended.Sub(began), 0).Seconds(),
		NotSent: l.unsent, Refused: l.statuses, Cancels: l.cancels, Errors: l.errors, FirstFail: l.first,
	}
	if r.Load.Open() {
		report.Mode = "open"
	}
	for kind := range kindCount {
		report.Mix[kind.String()], report.Kinds[kind.String()] = r.Load.Mix[kind], l.kinds[kind]
	}
	if left > 0 {
		some := make([]string, len(ids))
		for i, id := range ids {
			some[i] = id.String()
		}
		report.Found = append(report.Found, fmt.Sprintf("%d of %d orders have not ended, and none has for %s: %s …",
			left, report.Orders, r.Patience, strings.Join(some, ", ")))
	}
	if l.wrong > 0 {
		report.Found = append(report.Found, fmt.Sprintf("%d orders have ended otherwise than they were meant to", l.wrong))
	}
	if len(report.Found) == 0 && report.Orders > 0 {
		report.Figures = newFigures(l, m, began)
	}
	return report
}

// newFigures is called with the ledger locked.
func newFigures(l *ledger, m *meter, began time.Time) *Figures {
	orders := float64(l.acceptedOrders())
	f := &Figures{
		AcceptedPerS: round(orders / l.accepted.Sub(began).Seconds()), EndedPerS: round(orders / l.ended.Sub(began).Seconds()),
		Latency: percentiles(l.latency), HTTP: percentiles(l.http), RefusedMs: percentiles(l.refused),
		CPU: map[string]float64{}, MemoryPeak: map[string]float64{}, Written: map[string]float64{}, NotMeasurable: m.absent,
	}
	for name, g := range m.groups {
		f.CPU[name], f.MemoryPeak[name] = round(g.used()/orders*1e6), round(float64(g.peak)/(1<<20))
		if bytes, known := g.written(); known {
			f.Written[name] = round(float64(bytes) / orders)
		}
	}
	return f
}

// round keeps one decimal.
func round(x float64) float64 { return math.Round(x*10) / 10 }
