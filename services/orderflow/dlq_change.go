package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"orderflow/pkg/dlq"
)

// change is a call of a command that takes dead letters out of their queues: what they have in common.
type change struct {
	what        verb
	where       where
	limit       int
	order       string
	rate        float64
	canary      dlq.Canary
	dryRun, yes bool
	force       bool
	forceQueue  bool
	withoutDB   bool
	asJSON      bool
	plan        *dlq.Plan // nil but for dlq apply
	applied     dlq.Applied
}

const (
	leastRate         = 0.01 // messages a second
	longestCanaryWait = 20 * time.Minute
)

// verb is what a command does, in words.
type verb struct {
	done   dlq.Fate
	past   string // "3 dead letters replayed"
	cannot string // "3 dead letters cannot be replayed"
}

var (
	replaying = verb{dlq.Replayed, "replayed", "cannot be replayed"}
	editing   = verb{dlq.Edited, "edited", "cannot be edited"}
	dropping  = verb{dlq.Dropped, "dropped", "cannot be dropped"}
)

// chooseFlags adds the flags that choose dead letters.
func (c *change) chooseFlags(cmd *cobra.Command, does string) {
	limitFlag(cmd, &c.limit, 0, does+" this many at most, over all queues")
	whereFlag(cmd, &c.where, does+" only those")
	cmd.Flags().StringVar(&c.order, "order", "", does+" only those of the order with this `ID`, in the order in which their events were made")
}

// actFlags adds the flags that say how something is done.
func (c *change) actFlags(cmd *cobra.Command) {
	cmd.Flags().Float64Var(&c.rate, "rate", 0, "so many a second at most; 0 means as many as go")
	cmd.Flags().BoolVar(&c.dryRun, "dry-run", false, "say what would be done, and change nothing")
	cmd.Flags().BoolVar(&c.yes, "yes", false, "do not ask")
	cmd.Flags().BoolVar(&c.force, "force", false, "also what is older than the inbox of its service remembers, and what may have been handled, therefore")
	forceFlag(cmd, &c.forceQueue)
	cmd.Flags().BoolVar(&c.asJSON, "json", false, "print JSON")
	databaseFlag(cmd, &c.withoutDB)
}

// canaryFlags adds the flags of those that go ahead.
func (c *change) canaryFlags(cmd *cobra.Command) {
	cmd.Flags().IntVar(&c.canary.Send, "canary", 0, "send so many ahead, and the others only when it is known what became of those")
	cmd.Flags().IntVar(&c.canary.MaxFailures, "max-failures", 0, "with --canary: so many of them may die again")
	cmd.Flags().DurationVar(&c.canary.Patience, "canary-wait", 10*time.Minute, "with --canary: wait so long for them; retries take their time")
}

func (c *change) check(cmd *cobra.Command, args []string) error {
	if err := cmp.Or(notEmpty(cmd, "order"), canonical(&c.order, "order")); err != nil {
		return err
	}
	switch {
	case len(args) == 0 && c.order == "" && c.plan == nil:
		return usagef("requires at least 1 arg: the queue, or --order")
	case c.limit < 0:
		return checkLimit(c.limit)
	case c.rate != 0 && !(c.rate >= leastRate):
		return usagef("--rate %v is less than %v messages a second", c.rate, leastRate)
	case c.canary.Send < 0 || c.canary.MaxFailures < 0:
		return usagef("--canary and --max-failures are not less than 0")
	case c.canary.Send > 0 && (c.canary.Patience <= 0 || c.canary.Patience > longestCanaryWait):
		return usagef("--canary-wait %s is not more than 0 and at most %s, while which the others are held", c.canary.Patience, longestCanaryWait)
	case c.canary.Send == 0 && cmd.Flags().Changed("max-failures"):
		return usagef("--max-failures belongs to --canary")
	case c.order != "" && c.limit > 0:
		return usagef("--limit does not go with --order: an order's events belong together")
	case !c.yes && !c.dryRun && !isTerminal(cmd.InOrStdin()):
		return usagef("nobody is there to be asked, standard input is not a terminal: use --yes, or --dry-run to see what would be done")
	}
	return nil
}

// queuesOf finds the dead-letter queues that are meant: those of all services where only an order is named.
func (c *change) queuesOf(cmd *cobra.Command, d *desk, args []string) ([]string, error) {
	if len(args) == 0 {
		args = workQueues()
	}
	return findQueues(cmd.Context(), d.Broker, args)
}

func (c *change) job(cmd *cobra.Command, d *desk, queues []string) dlq.Job {
	return dlq.Job{
		From: sources(cmd, d.Broker, queues, c.forceQueue), Where: c.where.Filter, Order: c.order, Max: c.limit, Force: c.force, Rate: c.rate, Canary: c.canary,
		Inboxes: d.inboxes, Tracer: d.tracer,
	}
}

// act is what is to be done, and how: tried is the action that a dry run needs, real the one that leaves traces.
type act struct {
	tried dlq.Action
	real  func() (dlq.Action, error)
	do    func(ctx context.Context, d *desk, j dlq.Job) (dlq.Run, error)
}

func doJob(ctx context.Context, d *desk, j dlq.Job) (dlq.Run, error) { return dlq.Do(ctx, d.Broker, j) }

// run finds out what would be done, asks, does it, and tells what was done.
func (c *change) run(cmd *cobra.Command, d *desk, j dlq.Job, a act) error {
	run, dry, err := c.carryOut(cmd, d, j, a)
	if errors.Is(err, errDeclined) {
		return err
	}
	if c.order != "" { // where there is nothing is of no interest
		run.Tallies = slices.DeleteFunc(run.Tallies, func(t dlq.Tally) bool { return t.Total() == 0 })
	}
	if c.asJSON {
		return errors.Join(printJSON(cmd.OutOrStdout(), c.report(run, dry, err)), c.verdict(run, dry, err))
	}
	return errors.Join(printRun(cmd.OutOrStdout(), run, c.what, dry), c.verdict(run, dry, err))
}

// carryOut tells also whether it is only foretold what would be done.
func (c *change) carryOut(cmd *cobra.Command, d *desk, j dlq.Job, a act) (run dlq.Run, dry bool, err error) {
	if c.dryRun || !c.yes {
		try := j
		try.Do, try.DryRun, try.Canary = a.tried, true, dlq.Canary{}
		run, err := a.do(cmd.Context(), d, try)
		if c.dryRun || err != nil {
			return run, true, err
		}
		if run.Count(c.what.done) == 0 {
			return run, false, nil // there is nothing to ask for
		}
		if err := ask(cmd, run, c.what); err != nil {
			return dlq.Run{}, false, err
		}
		if c.plan == nil {
			j.From = run.Planned(j.From, c.what.done) // no more than was shown
		}
	}
	run, err = c.really(cmd, d, j, a)
	return run, false, err
}

// really does it.
func (c *change) really(cmd *cobra.Command, d *desk, j dlq.Job, a act) (run dlq.Run, err error) {
	if j.Do, err = a.real(); err != nil {
		return run, err
	}
	if err := d.openHistory(cmd.Context(), uuid.Nil, true); err != nil {
		return run, err
	}
	j.History = d.history
	m := newMeter(cmd.ErrOrStderr(), c.what.past, c.expected(cmd.Context(), d, j))
	defer m.end()
	j.Progress, j.Canary.Tell = m.set, m.canaries
	run, err = a.do(cmd.Context(), d, j)
	if d.history == nil && run.Count(c.what.done) > 0 {
		m.end()
		fmt.Fprintln(cmd.ErrOrStderr(), "without a database: not written into the history")
	}
	return run, err
}

// expected is how many may have to be touched, at most.
func (c *change) expected(ctx context.Context, d *desk, j dlq.Job) (n int) {
	for _, from := range j.From {
		depth, err := d.Depth(ctx, from.Queue)
		if err != nil {
			continue
		}
		if from.Take > 0 {
			depth = min(depth, from.Touch)
		}
		n += depth
	}
	if c.plan != nil {
		n = len(c.plan.Messages)
	}
	if c.limit > 0 {
		n = min(n, c.limit)
	}
	return n
}

var errDeclined = errors.New("nothing was changed")

// ask shows what would be done; it returns nil where that is to be done.
func ask(cmd *cobra.Command, plan dlq.Run, what verb) error {
	if err := printRun(cmd.ErrOrStderr(), plan, what, true); err != nil {
		return err
	}
	fmt.Fprint(cmd.ErrOrStderr(), "Do it? [y/N] ")
	answer, err := readLine(cmd.Context(), cmd.InOrStdin())
	if err == nil && answer != "y" && answer != "yes" {
		err = errDeclined
	}
	return err
}

// readLine waits for an answer until ctx ends. A read from a terminal cannot be called off: then it is left to the end of the
// process, which is near.
func readLine(ctx context.Context, in io.Reader) (string, error) {
	lines := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(in).ReadString('\n') // an end without an answer is a no
		lines <- strings.ToLower(strings.TrimSpace(line))
	}()
	select {
	case line := <-lines:
		return line, nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// verdict is the error that the command ends with.
func (c *change) verdict(run dlq.Run, dry bool, err error) error {
	done := run.Count(c.what.done)
	if dry {
		done = 0
	}
	advice := fmt.Sprintf("what was not %s is where it was; run it again to go on", c.what.past)
	if unsure := run.Count(dlq.Unknown) + run.Count(dlq.Unsettled); unsure > 0 {
		advice += fmt.Sprintf(" (%s may have arrived as well; consumers know what they have handled)", count(unsure))
	}
	var died *dlq.CanaryError
	switch {
	case errors.As(err, &died):
		return died
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("stopped after %s; %s", count(done), advice)
	case err != nil:
		return fmt.Errorf("%w; %s %s; %s", err, count(done), c.what.past, advice)
	}
	if err := c.mistaken(run); err != nil {
		return err
	}
	if left := run.Total() - run.Count(c.what.done) - run.Count(dlq.Unmatched); left > 0 {
		return fmt.Errorf("%s %s", count(left), c.what.cannot)
	}
	return nil
}

// mistaken is an error where what was to choose dead letters cannot have been meant so.
func (c *change) mistaken(run dlq.Run) error {
	var doubts int
	var doubt error
	for _, tally := range run.Tallies {
		doubts, doubt = doubts+tally.Doubts, cmp.Or(doubt, tally.Doubt)
	}
	if doubts > 0 && doubts == run.Total() {
		return usagef("--where can be applied to none of the %s: %s", count(doubts), plain(doubt.Error()))
	}
	if c.order != "" && c.plan == nil && run.Total() == run.Count(dlq.Unmatched) {
		return fmt.Errorf("no dead letter is of order %s", c.order)
	}
	return nil
}
