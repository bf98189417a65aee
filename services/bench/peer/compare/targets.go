package main

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"orderflow/services/stand"
)

// series is a value of each round, and the median.
type series struct {
	Rounds []float64 `json:"rounds"`
	Median float64   `json:"median"`
}

// newSeries keeps three decimals; more would be noise.
func newSeries(values []float64) series {
	for i, v := range values {
		values[i] = math.Round(v*1000) / 1000
	}
	return series{values, stand.Median(values)}
}

// ends are the lowest and the highest value.
func (s series) ends() (low, high float64) { return slices.Min(s.Rounds), slices.Max(s.Rounds) }

// ratios are orderflow's figures, divided by those of a peer in the same round.
type ratios struct {
	Ended           series `json:"ended_per_s_ratio"`
	Accepted        series `json:"accepted_per_s_ratio"`
	P50             series `json:"p50_ratio"`
	P99             series `json:"p99_ratio"`
	CPU             series `json:"cpu_ratio"`               // with the process that places orderflow's orders
	CPUWithoutBench series `json:"cpu_without_bench_ratio"` // and without
}

func newRatios(ours []orderflowTurn, theirs []peerTurn) ratios {
	each := func(ours1 func(figures) float64, theirs1 func(figures) float64) series {
		values := make([]float64, len(ours))
		for i := range ours {
			values[i] = ours1(ours[i].figures) / theirs1(theirs[i].figures)
		}
		return newSeries(values)
	}
	same := func(of func(figures) float64) series { return each(of, of) }
	all := func(f figures) float64 { return f.cpu() }
	return ratios{
		Ended:           same(func(f figures) float64 { return f.EndedPerS }),
		Accepted:        same(func(f figures) float64 { return f.AcceptedPerS }),
		P50:             same(func(f figures) float64 { return f.LatencyMs.P50 }),
		P99:             same(func(f figures) float64 { return f.LatencyMs.P99 }),
		CPU:             same(all),
		CPUWithoutBench: each(func(f figures) float64 { return f.cpu("bench") }, all),
	}
}

// leastRounds are the rounds that make a result.
const leastRounds = 5

// The rates, in orders a second, at which latency is measured; the fast one is too much for the peer.
const (
	gentleRate = 50
	fastRate   = 1000
)

// result is what a comparison has found. The ratios are those to the peer in process.
type result struct {
	Rounds int    `json:"rounds"`
	Remark string `json:"remark,omitempty"`
	ratios
	P99Fast    series              `json:"p99_at_1000_ms"`
	Memory     series              `json:"memory_peak_mib"` // of serve, in the burst
	Ready      series              `json:"ready_s"`
	ToPeerHTTP ratios              `json:"to_peer_http"`
	Orderflow  each[orderflowTurn] `json:"orderflow"`
	Peer       each[peerTurn]      `json:"peer"`
	PeerHTTP   each[peerTurn]      `json:"peer_http"`
}

// each is what the programs said, round by round.
type each[T any] struct {
	Rounds []T `json:"rounds"`
}

func newResult(rounds []round) result {
	var r result
	for _, one := range rounds {
		r.Orderflow.Rounds = append(r.Orderflow.Rounds, one.orderflow)
		r.Peer.Rounds = append(r.Peer.Rounds, one.peer)
		r.PeerHTTP.Rounds = append(r.PeerHTTP.Rounds, one.peerHTTP)
	}
	own := func(of func(orderflowTurn) float64) series {
		values := make([]float64, len(rounds))
		for i, turn := range r.Orderflow.Rounds {
			values[i] = of(turn)
		}
		return newSeries(values)
	}
	r.Rounds = len(rounds)
	if r.Rounds < leastRounds {
		r.Remark = fmt.Sprintf("no result: %d of at least %d rounds", r.Rounds, leastRounds)
	}
	r.ratios, r.ToPeerHTTP = newRatios(r.Orderflow.Rounds, r.Peer.Rounds), newRatios(r.Orderflow.Rounds, r.PeerHTTP.Rounds)
	r.P99Fast = own(func(t orderflowTurn) float64 { return t.fastP99 })
	r.Memory = own(func(t orderflowTurn) float64 { return t.memory })
	r.Ready = own(func(t orderflowTurn) float64 { return t.ReadyS })
	return r
}

// target is what is aimed at.
type target struct {
	name       string
	unit       string // of its values
	more       bool   // is better
	must, goal float64
	values     func(result) series
}

var targets = []target{
	{"ended orders/s, end to end", "× the peer's", true, 4, 6, func(r result) series { return r.Ended }},
	{"accepted orders/s", "× the peer's", true, 1.5, 3, func(r result) series { return r.Accepted }},
	{"p50 placed → shipped, at 50/s", "× the peer's", false, 0.3, 0.2, func(r result) series { return r.P50 }},
	{"p99 placed → shipped, at 50/s", "× the peer's", false, 0.3, 0.2, func(r result) series { return r.P99 }},
	{"CPU time per order, all processes", "× the peer's", false, 0.3, 0.2, func(r result) series { return r.CPU }},
	{"p99 placed → shipped, at 1,000/s", "ms", false, 60, 30, func(r result) series { return r.P99Fast }},
	{"memory of serve in the burst", "MiB", false, 256, 128, func(r result) series { return r.Memory }},
	{"ready after start of serve", "s", false, 2, 0.5, func(r result) series { return r.Ready }},
}

// guards are looser than what the short rounds of task bench:guard have shown, 5.5 and 0.19, by twice as much as such rounds differ; each
// is missed where a third of the speed is lost.
var guards = []target{
	{"ended orders/s, end to end", "× the peer's", true, 4.3, 4.3, func(r result) series { return r.Ended }},
	{"CPU time per order, all processes", "× the peer's", false, 0.235, 0.235, func(r result) series { return r.CPU }},
}

// errLoss says that orderflow has become slow.
var errLoss = errors.New("orderflow has become slower than it was, beside the peer")

// loss reports guards that are missed.
func (r result) loss() (err error) {
	for _, g := range guards {
		if s := g.values(r); g.reached(s.Median) == "missed" {
			err = errors.Join(err, fmt.Errorf("%w: %s %.3g %s, must be %s", errLoss, g.name, s.Median, g.unit, g.limit(g.must)))
		}
	}
	return err
}

// reached says how far a value gets: "goal", "must" or "missed".
func (t target) reached(value float64) string {
	atLeast := func(aim float64) bool { return t.more && value >= aim || !t.more && value <= aim }
	switch {
	case atLeast(t.goal):
		return "goal"
	case atLeast(t.must):
		return "must"
	}
	return "missed"
}
