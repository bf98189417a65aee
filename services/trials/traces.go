package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync/atomic"
)

// traces compares orderflow where one order in a hundred is traced with one without traces, and tells what it costs to trace them all.
func traces(ctx context.Context, f *field) (*result, error) {
	r := &result{Figures: map[string]float64{}}
	database, err := f.database(ctx, "trials_traces")
	if err != nil {
		return nil, err
	}
	sink := new(sink)
	url, stop, err := listen(sink)
	if err != nil {
		return nil, err
	}
	defer stop()
	runs := map[string][]benched{}
	turn := func(run string, env ...string) func(context.Context) error {
		return func(ctx context.Context) (err error) {
			s, err := f.serve(ctx, database, env)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, s.Stop()) }()
			b, err := s.burst(ctx, run, f.orders)
			runs[run] = append(runs[run], b)
			return err
		}
	}
	const none, some, all = "no traces", "1 % of orders traced", "all orders traced"
	to := "OTEL_EXPORTER_OTLP_ENDPOINT=" + url
	err = f.inTurn(ctx, [2]func(context.Context) error{
		turn(none), turn(some, to, "OTEL_TRACES_SAMPLER=traceidratio", "OTEL_TRACES_SAMPLER_ARG=0.01"),
	})
	if err != nil {
		return nil, err
	}
	if sink.bytes.Load() == 0 {
		return nil, errors.New("no span was exported")
	}
	if err := turn(all, to)(ctx); err != nil {
		return nil, err
	}
	of := func(run string, figure func(benched) float64) (figures []float64) {
		for _, b := range runs[run] {
			figures = append(figures, figure(b))
		}
		return figures
	}
	ended := func(b benched) float64 { return b.EndedPerS }
	cpu := func(b benched) float64 { return b.CPU["orderflow"] }
	r.least("ended/s with 1 % of orders traced, to none", 0.97, ratios(of(some, ended), of(none, ended))...)
	r.most("orderflow's CPU time of an order with 1 % traced, to none", 1.03, ratios(of(some, cpu), of(none, cpu))...)
	r.Figures["cpu_of_all_traced_to_none"] = of(all, cpu)[0] / of(none, cpu)[0]
	return r, nil
}

// sink is where spans go, and are not kept.
type sink struct{ bytes atomic.Int64 }

// ServeHTTP takes spans, by OTLP.
func (s *sink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n, _ := io.Copy(io.Discard, r.Body)
	s.bytes.Add(n)
	w.Header().Set("Content-Type", "application/x-protobuf")
}
