package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"orderflow/pkg/broker"
	"orderflow/pkg/dlq"
)

func newDLQReplay() *cobra.Command {
	r := &replayCommand{}
	cmd := &cobra.Command{
		Use:   "replay QUEUE…",
		Short: "Put dead letters back onto the queue that each of them died in",
		Long: `Put dead letters back onto the queue that each of them died in, and onto no other. A dead letter is removed when RabbitMQ
has confirmed its copy in that queue: a replay that is stopped, killed or cut off loses nothing, and to go on is to run it again.
It does not touch what was not there when it began.

Asks before it acts. Exit code: 1 where a dead letter cannot be replayed; it stays where it is.`,
		Example: `  orderflow dlq replay payment.order-placed --dry-run
  orderflow dlq replay payment.order-placed inventory.payment-processed --limit 10 --yes
  orderflow dlq replay payment.order-placed --where 'reason == "retries_exhausted" and age < duration("12h")'
  orderflow dlq replay payment.order-placed --where 'any(data.items, .product_id == "demo-1") and error contains "timeout"'`,
		Args: usageArgs(cobra.MinimumNArgs(1)),
		RunE: r.run,
	}
	limitFlag(cmd, &r.limit, 0, "replay this many at most, over all queues")
	whereFlag(cmd, &r.where, "replay only those")
	cmd.Flags().BoolVar(&r.dryRun, "dry-run", false, "say what would be done, and change nothing")
	cmd.Flags().BoolVar(&r.yes, "yes", false, "do not ask")
	cmd.Flags().BoolVar(&r.asJSON, "json", false, "print JSON")
	return cmd
}

// replayCommand is one call of dlq replay.
type replayCommand struct {
	limit               int
	where               where
	dryRun, yes, asJSON bool
}

func (r *replayCommand) run(cmd *cobra.Command, args []string) error {
	if err := checkLimit(r.limit); err != nil {
		return err
	}
	if !r.yes && !r.dryRun && !isTerminal(cmd.InOrStdin()) {
		return usagef("nobody is there to be asked, standard input is not a terminal: use --yes, or --dry-run to see what would be done")
	}
	return withBroker(cmd, func(b *broker.Broker) error {
		queues, err := findQueues(cmd.Context(), b, args)
		if err != nil {
			return err
		}
		options := dlq.Options{Where: r.where.Filter, Max: r.limit, DryRun: r.dryRun}
		for _, queue := range queues {
			options.From = append(options.From, dlq.Source{Queue: broker.DeadLetterQueue(queue)})
		}
		run, err := r.replay(cmd, b, options)
		if errors.Is(err, errDeclined) {
			return err
		}
		return errors.Join(r.print(cmd.OutOrStdout(), run, err), verdict(run, err))
	})
}

func (r *replayCommand) replay(cmd *cobra.Command, b *broker.Broker, options dlq.Options) (dlq.Run, error) {
	if r.yes || r.dryRun {
		return dlq.Replay(cmd.Context(), b, options)
	}
	options.DryRun = true
	plan, err := dlq.Replay(cmd.Context(), b, options)
	if err != nil || plan.Count(dlq.Replayed) == 0 {
		return plan, err // there is nothing to ask for
	}
	if err := ask(cmd, plan); err != nil {
		return dlq.Run{}, err
	}
	options.DryRun, options.From = false, plan.Planned() // no more than was shown
	return dlq.Replay(cmd.Context(), b, options)
}

var errDeclined = errors.New("nothing was replayed")

// ask shows what would be done; it returns nil where that is to be done.
func ask(cmd *cobra.Command, plan dlq.Run) error {
	if err := printRun(cmd.ErrOrStderr(), plan, true); err != nil {
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
func verdict(run dlq.Run, err error) error {
	replayed := run.Count(dlq.Replayed)
	advice := "what was not replayed is where it was; run it again to go on"
	if unsure := run.Count(dlq.Unknown); unsure > 0 {
		advice += fmt.Sprintf(" (%s may have arrived as well; consumers know what they have handled)", count(unsure))
	}
	switch {
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("stopped after %s; %s", count(replayed), advice)
	case err != nil:
		return fmt.Errorf("%w; %s replayed; %s", err, count(replayed), advice)
	}
	if left := run.Total() - replayed - run.Count(dlq.Unmatched); left > 0 {
		return fmt.Errorf("%s cannot be replayed", count(left))
	}
	return nil
}

func (r *replayCommand) print(w io.Writer, run dlq.Run, err error) error {
	if r.asJSON {
		return printJSON(w, runReport(run, r.dryRun, err))
	}
	return printRun(w, run, r.dryRun)
}

// reported is a run for programs.
type reported struct {
	ReplayID string          `json:"replay_id,omitzero"`
	DryRun   bool            `json:"dry_run"`
	Replayed int             `json:"replayed"` // or would be
	Queues   []reportedQueue `json:"queues"`
	Error    string          `json:"error,omitzero"`
}

type reportedQueue struct {
	Queue    string            `json:"queue"`
	DLQ      string            `json:"dlq"`
	Exists   bool              `json:"exists"`
	Depth    int               `json:"depth"` // when it began
	Outcomes []reportedOutcome `json:"outcomes"`
	Doubt    string            `json:"where_error,omitzero"` // of the first message that --where could not be applied to
}

type reportedOutcome struct {
	Fate     dlq.Fate `json:"fate"`
	Target   string   `json:"target,omitzero"`
	Messages int      `json:"messages"`
}

func runReport(run dlq.Run, dry bool, err error) reported {
	report := reported{ReplayID: run.ID, DryRun: dry, Replayed: run.Count(dlq.Replayed), Queues: []reportedQueue{}}
	if err != nil {
		report.Error = err.Error()
	}
	for _, tally := range run.Tallies {
		q := reportedQueue{workQueue(tally.Queue), tally.Queue, !tally.Absent, tally.Depth, []reportedOutcome{}, ""}
		if tally.Doubt != nil {
			q.Doubt = tally.Doubt.Error()
		}
		for _, o := range outcomes(tally) {
			q.Outcomes = append(q.Outcomes, reportedOutcome{o.Fate, o.Target, tally.Counts[o]})
		}
		report.Queues = append(report.Queues, q)
	}
	return report
}

func printRun(w io.Writer, run dlq.Run, dry bool) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, tally := range run.Tallies {
		switch {
		case tally.Absent:
			fmt.Fprintf(table, "%s\t0\tdoes not exist yet\n", tally.Queue)
		case tally.Depth == 0:
			fmt.Fprintf(table, "%s\t0\tempty\n", tally.Queue)
		}
		for _, o := range outcomes(tally) {
			fmt.Fprintf(table, "%s\t%d\t%s\n", tally.Queue, tally.Counts[o], inWords(o, dry))
		}
		if untouched := tally.Depth - tally.Total(); untouched > 0 {
			fmt.Fprintf(table, "%s\t%d\tnot touched\n", tally.Queue, untouched)
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, tally := range run.Tallies {
		if err := printDoubt(w, tally.Queue, tally.Doubt); err != nil {
			return err
		}
	}
	how := "replayed"
	if dry {
		how = "would be replayed"
	}
	_, err := fmt.Fprintf(w, "%s %s\n", count(run.Count(dlq.Replayed)), how)
	return err
}

func inWords(o dlq.Outcome, dry bool) string {
	target := plain(o.Target)
	switch o.Fate {
	case dlq.Replayed:
		if dry {
			return "would go to " + target
		}
		return "replayed to " + target
	case dlq.NoTarget:
		return "left: nothing tells in which queue they died"
	case dlq.TargetGone:
		return "left: there is no queue " + target
	case dlq.Unmatched:
		return "left: not chosen by --where"
	case dlq.Refused:
		return "left: refused by " + target + ", which is probably full"
	}
	return "left: sent and not confirmed, may have arrived as well"
}

// outcomes are those of a tally, the most frequent first.
func outcomes(t dlq.Tally) []dlq.Outcome {
	return slices.SortedFunc(maps.Keys(t.Counts), func(a, b dlq.Outcome) int {
		return cmp.Or(t.Counts[b]-t.Counts[a], cmp.Compare(a.Fate, b.Fate), cmp.Compare(a.Target, b.Target))
	})
}
