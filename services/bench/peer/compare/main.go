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
	"syscall"
	"time"

	"orderflow/services/stand"
)

// The exit codes, as orderflow's own.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
	exitFound  = 3 // a promise does not hold, so there is no result; or the guard sees a loss
)

// comparison is what is asked for.
type comparison struct {
	rounds                  int
	orders, placers, warmup int
	duration, fastDuration  time.Duration
	orderflowPath, peerPath string
	dir, picture            string
	guard                   bool
}

// round is one turn of each.
type round struct {
	orderflow      orderflowTurn
	peer, peerHTTP peerTurn
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is the whole program; it returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	c, err := parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return exitDone
	}
	if err != nil {
		fmt.Fprintln(stderr, "compare:", err)
		return exitUsage
	}
	if err := c.run(ctx, stdout, stderr); err != nil {
		fmt.Fprintln(stderr, "compare:", err)
		if errors.Is(err, stand.ErrBroken) || errors.Is(err, errLoss) {
			return exitFound
		}
		return exitFailed
	}
	return exitDone
}

// parse reads the flags, and says what is wrong with them.
func parse(args []string, stderr io.Writer) (c comparison, err error) {
	f := flag.NewFlagSet("compare", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.IntVar(&c.rounds, "rounds", leastRounds, "how often each gets a turn; fewer than 5 make no result, and no picture")
	f.IntVar(&c.orders, "orders", 10_000, "orders of a burst")
	f.IntVar(&c.placers, "placers", 32, "who place them, at the same time")
	f.IntVar(&c.warmup, "warmup", 500, "orders before it, that do not count")
	f.DurationVar(&c.duration, "duration", 20*time.Second, fmt.Sprintf("how long orders are placed at %d/s", gentleRate))
	f.DurationVar(&c.fastDuration, "fast-duration", 10*time.Second, fmt.Sprintf("how long orders are placed at %d/s, by orderflow alone", fastRate))
	f.StringVar(&c.orderflowPath, "orderflow", "bin/orderflow", "the program orderflow")
	f.StringVar(&c.peerPath, "peer", "bin/peer", "the program peer")
	f.StringVar(&c.dir, "dir", ".orderflow/bench-peer", "where the servers' data is kept meanwhile; on a disk, not in memory")
	f.StringVar(&c.picture, "picture", "", "file for the picture, .svg or .png")
	f.BoolVar(&c.guard, "guard", false, "exit code 3 where about a third of the speed is lost; any number of rounds will do")
	if err := f.Parse(args); err != nil {
		return c, err
	}
	if f.NArg() > 0 {
		return c, fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	return c, c.check()
}

func (c *comparison) check() error {
	var wrong []error
	refuse := func(is bool, format string, args ...any) {
		if is {
			wrong = append(wrong, fmt.Errorf(format, args...))
		}
	}
	refuse(c.rounds < 1 || c.rounds > 1000, "-rounds must be from 1 to 1000, is %d", c.rounds)
	refuse(c.orders < 1 || c.orders > 10_000_000, "-orders must be from 1 to 10000000, is %d", c.orders)
	refuse(c.placers < 1 || c.placers > 1000, "-placers must be from 1 to 1000, is %d", c.placers)
	refuse(c.warmup < 0 || c.warmup > 1_000_000, "-warmup must be from 0 to 1000000, is %d", c.warmup)
	refuse(c.duration < time.Second, "-duration must be 1s or more, is %s", c.duration)
	refuse(c.fastDuration < time.Second, "-fast-duration must be 1s or more, is %s", c.fastDuration)
	refuse(c.dir == "", "-dir must not be empty")
	refuse(c.picture != "" && format(c.picture) == "", "-picture %s: its name must end in .svg or .png", c.picture)
	for _, path := range []*string{&c.orderflowPath, &c.peerPath} {
		found, err := exec.LookPath(*path)
		if err != nil {
			wrong = append(wrong, fmt.Errorf("%w; task bench:peer builds it", err))
		}
		*path = found
	}
	return errors.Join(wrong...)
}

// run does all rounds, and prints the result.
func (c *comparison) run(ctx context.Context, stdout, stderr io.Writer) (err error) {
	started, err := stand.Start(ctx, c.dir, stderr)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, started.End()) }()
	s := &servers{started}
	if c.rounds < leastRounds {
		fmt.Fprintf(stderr, "%d of at least %d rounds: this makes no result\n", c.rounds, leastRounds)
	}
	var rounds []round
	for n := range c.rounds {
		one, err := c.round(ctx, s, n, stderr)
		if err != nil {
			return fmt.Errorf("round %d: %w", n+1, err)
		}
		rounds = append(rounds, one)
		printRound(stderr, one)
	}
	r := newResult(rounds)
	printResult(stderr, r)
	if c.picture != "" && r.Remark == "" {
		if err := drawResult(r, c.picture); err != nil {
			return err
		}
	}
	if err := json.NewEncoder(stdout).Encode(r); err != nil || !c.guard {
		return err
	}
	return r.loss()
}

// round gives each a turn, every other time in reverse order.
func (c *comparison) round(ctx context.Context, s *servers, n int, stderr io.Writer) (r round, err error) {
	turns := []struct {
		name string
		take func() error
	}{
		{"orderflow", func() (err error) { r.orderflow, err = c.orderflow(ctx, s); return err }},
		{"the peer", func() (err error) { r.peer, err = c.peer(ctx, s, false); return err }},
		{"the peer by HTTP", func() (err error) { r.peerHTTP, err = c.peer(ctx, s, true); return err }},
	}
	for i := range turns {
		turn := turns[i]
		if n%2 == 1 {
			turn = turns[len(turns)-1-i]
		}
		if err := s.settle(ctx); err != nil {
			return r, err
		}
		fmt.Fprintf(stderr, "round %d of %d: %s\n", n+1, c.rounds, turn.name)
		if err := turn.take(); err != nil {
			return r, fmt.Errorf("%s: %w", turn.name, err)
		}
	}
	return r, nil
}
