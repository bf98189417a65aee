package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
)

// rounds are n rounds of which each is as much faster on both sides as its number says.
func rounds(n int) []round {
	all := make([]round, n)
	for i := range all {
		k := float64(i + 1)
		all[i] = round{
			orderflow: orderflowTurn{
				figures: figures{
					AcceptedPerS: 900 * k, EndedPerS: 600 * k, LatencyMs: percentiles{10 / k, 30 / k},
					CPU: map[string]float64{"broker": 100, "postgres": 200, "orderflow": 300, "bench": 150},
				},
				ReadyS: 0.1 * k, fastP99: 50, memory: 100 + k,
				Burst: json.RawMessage(`{"said":"burst"}`), Steady: json.RawMessage(`{}`), Fast: json.RawMessage(`{}`),
			},
			peer: peerTurn{
				figures: figures{
					AcceptedPerS: 300 * k, EndedPerS: 100 * k, LatencyMs: percentiles{40 / k, 60 / k},
					CPU: map[string]float64{"broker": 1000, "postgres": 1000, "client": 1000},
				},
				said: json.RawMessage(`{"said":"peer"}`),
			},
			peerHTTP: peerTurn{
				figures: figures{
					AcceptedPerS: 90 * k, EndedPerS: 60 * k, LatencyMs: percentiles{100 / k, 300 / k},
					CPU: map[string]float64{"broker": 1000, "postgres": 1000, "client": 5500},
				},
				said: json.RawMessage(`{"said":"peer by HTTP"}`),
			},
		}
	}
	return all
}

// TestRatiosAreOfTheSameRound would not come out even if rounds were mixed, or sums divided.
func TestRatiosAreOfTheSameRound(t *testing.T) {
	r := newResult(rounds(5))
	for name, c := range map[string]struct {
		got  series
		want float64
	}{
		"ended": {r.Ended, 6}, "accepted": {r.Accepted, 3}, "p50": {r.P50, 0.25}, "p99": {r.P99, 0.5}, "CPU": {r.CPU, 0.25},
		"CPU without bench": {r.CPUWithoutBench, 0.2}, "by HTTP: ended": {r.ToPeerHTTP.Ended, 10}, "by HTTP: p50": {r.ToPeerHTTP.P50, 0.1},
		"by HTTP: CPU": {r.ToPeerHTTP.CPU, 0.1},
	} {
		if len(c.got.Rounds) != 5 || math.Abs(c.got.Median-c.want) > 1e-9 {
			t.Errorf("%s: %v, want %v in each round", name, c.got, c.want)
		}
		for _, v := range c.got.Rounds {
			if math.Abs(v-c.want) > 1e-9 {
				t.Errorf("%s: %v in a round, want %v", name, v, c.want)
			}
		}
	}
	if r.Memory.Median != 103 || math.Abs(r.Ready.Median-0.3) > 1e-9 || r.P99Fast.Median != 50 {
		t.Errorf("memory %v, ready %v, p99 %v", r.Memory, r.Ready, r.P99Fast)
	}
}

// TestResultAsJSON looks for the names that others read.
func TestResultAsJSON(t *testing.T) {
	text, err := json.Marshal(newResult(rounds(5)))
	if err != nil {
		t.Fatal(err)
	}
	var r map[string]any
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"ended_per_s_ratio", "accepted_per_s_ratio", "p50_ratio", "p99_ratio", "cpu_ratio", "cpu_without_bench_ratio",
		"p99_at_1000_ms", "memory_peak_mib", "ready_s"} {
		s, _ := r[name].(map[string]any)
		if values, _ := s["rounds"].([]any); len(values) != 5 || s["median"] == nil {
			t.Errorf("%s is %v", name, r[name])
		}
	}
	if r["rounds"] != 5.0 || r["remark"] != nil {
		t.Errorf("rounds %v, remark %v", r["rounds"], r["remark"])
	}
	for _, said := range []string{`"orderflow":{"rounds":[{"ready_s":0.1,"burst":{"said":"burst"}`, `"peer":{"rounds":[{"said":"peer"},`,
		`"peer_http":{"rounds":[{"said":"peer by HTTP"},`, `"to_peer_http":{"ended_per_s_ratio"`} {
		if !strings.Contains(string(text), said) {
			t.Errorf("%s is not in %s", said, text)
		}
	}
	if few := newResult(rounds(4)); few.Remark != "no result: 4 of at least 5 rounds" {
		t.Errorf("4 rounds are remarked by %q", few.Remark)
	}
}

func TestReached(t *testing.T) {
	more, less := target{more: true, must: 4, goal: 6}, target{must: 0.3, goal: 0.2}
	for _, c := range []struct {
		target target
		value  float64
		want   string
	}{{more, 3.9, "missed"}, {more, 4, "must"}, {more, 6, "goal"}, {less, 0.31, "missed"}, {less, 0.3, "must"}, {less, 0.1, "goal"}} {
		if got := c.target.reached(c.value); got != c.want {
			t.Errorf("%v reaches %s, want %s", c.value, got, c.want)
		}
	}
}

func TestLoss(t *testing.T) {
	fine := result{ratios: ratios{Ended: newSeries([]float64{5.5}), CPU: newSeries([]float64{0.19})}}
	if err := fine.loss(); err != nil {
		t.Error(err)
	}
	lost := result{ratios: ratios{Ended: newSeries([]float64{5.5 * 2 / 3}), CPU: newSeries([]float64{0.19 * 3 / 2})}}
	if err := lost.loss(); !errors.Is(err, errLoss) || strings.Count(err.Error(), "must be") != len(guards) {
		t.Errorf("a third is lost: %v", err)
	}
}

// TestP99OfWhatWasNotAccepted is not the p99 of the few that were.
func TestP99OfWhatWasNotAccepted(t *testing.T) {
	b := benched{figures: figures{LatencyMs: percentiles{P99: 20}}, Orders: 990, NotSent: 5, Refused: map[string]int{"503": 4}, Errors: 1}
	if got := b.p99(10 * time.Second); got != 20 {
		t.Errorf("one in a hundred missing: %v ms", got)
	}
	b.Errors++
	if got := b.p99(10 * time.Second); got != 10_000 {
		t.Errorf("more than one in a hundred missing: %v ms", got)
	}
}

func TestIncompleteFigures(t *testing.T) {
	good := rounds(1)[0].peer.figures
	if err := good.complete("broker", "postgres", "client"); err != nil {
		t.Error(err)
	}
	if err := good.complete("broker", "orderflow"); err == nil {
		t.Error("CPU time of a process that was not measured is not missed")
	}
	good.LatencyMs.P99 = 0
	if err := good.complete("broker"); err == nil {
		t.Error("latency is not missed")
	}
}

func TestNumber(t *testing.T) {
	for f, want := range map[float64]string{0: "0", 6: "6", 0.3: "0.3", 0.2049: "0.205", 12.34: "12.3", 1234.5: "1234", 100: "100", 60: "60", 10: "10", 0.5: "0.5"} {
		if got := number(f); got != want {
			t.Errorf("%v is printed as %s, want %s", f, got, want)
		}
	}
}

func TestTablesNameEveryTarget(t *testing.T) {
	var said strings.Builder
	all := rounds(2)
	printRound(&said, all[0])
	printResult(&said, newResult(all))
	for _, target := range targets {
		if !strings.Contains(said.String(), target.name) {
			t.Errorf("%q is not in\n%s", target.name, said.String())
		}
	}
	for _, want := range []string{"6.00", "≥ 4", "no result: 2 of at least 5 rounds", fmt.Sprintf("p99 at %d/s 50.0 ms", fastRate)} {
		if !strings.Contains(said.String(), want) {
			t.Errorf("%q is not in\n%s", want, said.String())
		}
	}
}
