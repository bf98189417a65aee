package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// printRound prints the figures of a round, and orderflow's ratios to them.
func printRound(w io.Writer, r round) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "\tended/s\taccepted/s\tp50 ms\tp99 ms\tCPU µs/order\t")
	row := func(name string, f figures) {
		fmt.Fprintf(t, "%s\t%.0f\t%.0f\t%.1f\t%.1f\t%.0f\t\n", name, f.EndedPerS, f.AcceptedPerS, f.LatencyMs.P50, f.LatencyMs.P99, f.cpu())
	}
	ours := r.orderflow.figures
	ratio := func(to figures) {
		fmt.Fprintf(t, "×\t%.2f\t%.2f\t%.2f\t%.2f\t%.2f\t\n", ours.EndedPerS/to.EndedPerS, ours.AcceptedPerS/to.AcceptedPerS,
			ours.LatencyMs.P50/to.LatencyMs.P50, ours.LatencyMs.P99/to.LatencyMs.P99, ours.cpu()/to.cpu())
	}
	row("orderflow", ours)
	row("peer", r.peer.figures)
	ratio(r.peer.figures)
	row("peer by HTTP", r.peerHTTP.figures)
	ratio(r.peerHTTP.figures)
	t.Flush()
	fmt.Fprintf(w, "orderflow: p99 at %d/s %.1f ms, %.0f MiB, ready after %.2f s\n\n", fastRate, r.orderflow.fastP99, r.orderflow.memory, r.orderflow.ReadyS)
}

// printResult prints the medians, and what was aimed at.
func printResult(w io.Writer, r result) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "of %d rounds\tmedian\tlowest … highest\tmust\tgoal\treached\n", r.Rounds)
	for _, target := range targets {
		s := target.values(r)
		fmt.Fprintf(t, "%s\t%s %s\t%s\t%s\t%s\t%s\n", target.name, number(s.Median), target.unit, span(s), target.limit(target.must), target.limit(target.goal),
			target.reached(s.Median))
	}
	t.Flush()
	fmt.Fprintf(w, "without bench, CPU time per order is × %s; to the peer by HTTP: ended × %s, accepted × %s, p50 × %s, p99 × %s, CPU × %s\n",
		number(r.CPUWithoutBench.Median), number(r.ToPeerHTTP.Ended.Median), number(r.ToPeerHTTP.Accepted.Median), number(r.ToPeerHTTP.P50.Median),
		number(r.ToPeerHTTP.P99.Median), number(r.ToPeerHTTP.CPU.Median))
	if r.Remark != "" {
		fmt.Fprintln(w, r.Remark)
	}
}

// span is from the lowest to the highest value.
func span(s series) string {
	low, high := s.ends()
	return number(low) + " … " + number(high)
}

// limit is "≥ 4" or "≤ 0.3".
func (t target) limit(aim float64) string {
	sign := "≤ "
	if t.more {
		sign = "≥ "
	}
	return sign + number(aim)
}

// number has three significant digits at least, and no zeros at its end.
func number(f float64) string {
	if f >= 100 {
		return fmt.Sprintf("%.0f", f)
	}
	if f == 0 {
		return "0"
	}
	text := fmt.Sprintf("%#.3g", f)
	return strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
}
