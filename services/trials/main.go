package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"orderflow/services/stand"
)

// The exit codes, as orderflow's own.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
	exitFound  = 3 // a promise is broken, or a bound is missed
)

// trial is one that can be held.
type trial struct {
	name string
	hold func(context.Context, *field) (*result, error)
}

var trials = []trial{
	{"growth", growth}, {"overload", overload}, {"backlog", backlog}, {"gateway", gateway}, {"instances", instances},
	{"traces", traces},
}

// result is what came of a trial.
type result struct {
	Trial   string             `json:"trial"`
	Bounds  []bound            `json:"bounds"`
	Figures map[string]float64 `json:"figures,omitempty"` // of this machine and this hour
	Said    []benched          `json:"bench"`             // what orderflow bench said, in the order of the runs

	tooShort float64 // growth: bursts that were over before all was dropped
}

// bound is what is asked for, and what was seen: the median of the rounds.
type bound struct {
	What   string    `json:"what"`
	Least  *float64  `json:"at_least,omitempty"`
	Most   *float64  `json:"at_most,omitempty"`
	Rounds []float64 `json:"rounds"`
	Median float64   `json:"median"`
	OK     bool      `json:"ok"`
}

// least adds a bound that asks for so much or more.
func (r *result) least(what string, least float64, rounds ...float64) {
	m := stand.Median(rounds)
	r.Bounds = append(r.Bounds, bound{What: what, Least: &least, Rounds: rounds, Median: m, OK: m >= least})
}

// most adds a bound that asks for so much or less.
func (r *result) most(what string, most float64, rounds ...float64) {
	m := stand.Median(rounds)
	r.Bounds = append(r.Bounds, bound{What: what, Most: &most, Rounds: rounds, Median: m, OK: m <= most})
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is the whole program; it returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	f := &field{log: stderr}
	chosen, dir, err := f.parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return exitDone
	}
	if err != nil {
		fmt.Fprintln(stderr, "trials:", err)
		return exitUsage
	}
	code, err := f.holdAll(ctx, chosen, dir, stdout)
	if err != nil {
		fmt.Fprintln(stderr, "trials:", err)
	}
	return code
}

// parse reads the flags and the names of trials, and says what is wrong with them.
func (f *field) parse(args []string) (chosen []trial, dir string, err error) {
	flags := flag.NewFlagSet("trials", flag.ContinueOnError)
	flags.SetOutput(f.log)
	flags.StringVar(&f.binary, "orderflow", "bin/orderflow", "the program orderflow")
	flags.StringVar(&dir, "dir", ".orderflow/trials", "where the servers' data is kept meanwhile; on a disk, not in memory")
	flags.IntVar(&f.rounds, "rounds", 3, "how often each run is repeated")
	flags.IntVar(&f.orders, "orders", 10_000, "orders of a burst")
	flags.IntVar(&f.old, "old", 3_000_000, "growth: ended orders in the tables")
	flags.IntVar(&f.backlog, "backlog", 100_000, "backlog: orders that pile up")
	flags.DurationVar(&f.duration, "duration", 20*time.Second, "how long orders are placed at a rate; three times as long in overload")
	if err := flags.Parse(args); err != nil {
		return nil, "", err
	}
	names := make([]string, len(trials))
	for i, t := range trials {
		names[i] = t.name
		if flags.NArg() == 0 || slices.Contains(flags.Args(), t.name) {
			chosen = append(chosen, t)
		}
	}
	var wrong []error
	refuse := func(is bool, format string, args ...any) {
		if is {
			wrong = append(wrong, fmt.Errorf(format, args...))
		}
	}
	for _, name := range flags.Args() {
		refuse(!slices.Contains(names, name), "there is no trial %q; there are %s", name, strings.Join(names, ", "))
	}
	refuse(f.rounds < 1 || f.rounds > 1000, "-rounds must be from 1 to 1000, is %d", f.rounds)
	refuse(f.orders < 1 || f.orders > 1_000_000, "-orders must be from 1 to 1000000, is %d", f.orders)
	refuse(f.old < 1 || f.old > 100_000_000, "-old must be from 1 to 100000000, is %d", f.old)
	refuse(f.backlog < 1 || f.backlog > 10_000_000, "-backlog must be from 1 to 10000000, is %d", f.backlog)
	refuse(f.duration < time.Second || f.duration > time.Hour, "-duration must be from 1s to 1h, is %s", f.duration)
	refuse(dir == "", "-dir must not be empty")
	path, err := exec.LookPath(f.binary)
	if f.binary = path; err != nil {
		wrong = append(wrong, fmt.Errorf("%w; task trials builds it", err))
	}
	return chosen, dir, errors.Join(wrong...)
}

// holdAll holds trials one after the other, and prints the result of each.
func (f *field) holdAll(ctx context.Context, chosen []trial, dir string, stdout io.Writer) (code int, err error) {
	f.servers, err = stand.Start(ctx, dir, f.log)
	if err != nil {
		return exitFailed, err
	}
	f.dir = dir
	defer func() {
		if wrong := f.servers.End(); wrong != nil {
			code, err = max(code, exitFailed), errors.Join(err, wrong)
		}
	}()
	for _, t := range chosen {
		f.say("== %s", t.name)
		f.said = nil
		r, err := t.hold(ctx, f)
		if errors.Is(err, stand.ErrBroken) {
			return exitFound, fmt.Errorf("%s: %w", t.name, err)
		}
		if err != nil {
			return exitFailed, fmt.Errorf("%s: %w", t.name, err)
		}
		r.Trial, r.Said = t.name, f.said
		for _, b := range r.Bounds {
			f.say("%s", b)
			if !b.OK {
				code = exitFound
			}
		}
		for name, value := range r.Figures {
			f.say("%-52s %10.4g", name, value)
		}
		if err := json.NewEncoder(stdout).Encode(r); err != nil {
			return exitFailed, err
		}
	}
	return code, nil
}

// String is a line for people.
func (b bound) String() string {
	word, limit, ok := "at least", b.Least, "reached"
	if b.Least == nil {
		word, limit = "at most", b.Most
	}
	if !b.OK {
		ok = "MISSED"
	}
	return fmt.Sprintf("%-52s %10.4g  %s %g: %s  %.3g", b.What, b.Median, word, *limit, ok, b.Rounds)
}
