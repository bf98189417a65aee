package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
)

// What processes log of each other's doings.
const (
	deadlock      = "40P01"
	serialization = "40001"
	tooMany       = "53300" // connections
)

// instances compares several processes of all services with one. Requests go to the first.
func instances(ctx context.Context, f *field) (*result, error) {
	r := &result{Figures: map[string]float64{}}
	database, err := f.database(ctx, "trials_instances")
	if err != nil {
		return nil, err
	}
	numbers := []int{1, 2, 4, 8}
	ended, conflicts := map[int][]float64{}, 0.0
	for round := range f.rounds {
		for i := range numbers {
			n := numbers[i]
			if round%2 == 1 {
				n = numbers[len(numbers)-1-i]
			}
			b, found, err := f.several(ctx, database, n)
			if err != nil {
				return nil, err
			}
			ended[n], conflicts = append(ended[n], b.EndedPerS), conflicts+float64(found)
		}
	}
	deadlocks, err := ask(ctx, database, "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
	if err != nil {
		return nil, err
	}
	for _, n := range numbers[1:] {
		r.least(fmt.Sprintf("ended/s of %d processes, to one", n), 0.9, ratios(ended[n], ended[1])...)
	}
	r.most("deadlocks", 0, deadlocks)
	r.most("deadlocks, serialization failures and refused connections in the logs", 0, conflicts)
	return r, nil
}

// several is a burst with n processes; found is how often one of them logged that it was in another's way.
func (f *field) several(ctx context.Context, database string, n int) (b benched, found int, err error) {
	var sites []*site
	defer func() {
		for _, s := range sites {
			err = errors.Join(err, s.Stop())
			text, wrong := os.ReadFile(s.log)
			err = errors.Join(err, wrong)
			for _, state := range []string{deadlock, serialization, tooMany} {
				found += bytes.Count(text, []byte("SQLSTATE "+state))
			}
		}
	}()
	for range n {
		s, err := f.serve(ctx, database, nil)
		if err != nil {
			return b, 0, err
		}
		sites = append(sites, s)
	}
	b, err = sites[0].burst(ctx, fmt.Sprintf("%d processes", n), f.orders)
	return b, 0, err
}
