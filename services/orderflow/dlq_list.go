package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"orderflow/pkg/broker"
	"orderflow/pkg/dlq"
)

// listed is one line of dlq list.
type listed struct {
	Queue   string         `json:"queue"`
	DLQ     string         `json:"dlq"`
	Exists  bool           `json:"exists"`
	Depth   int            `json:"depth"`
	Seen    int            `json:"looked_at"`
	Oldest  time.Time      `json:"oldest,omitzero"`
	Newest  time.Time      `json:"newest,omitzero"`
	Counts  map[string]int `json:"reasons"`
	Errors  map[string]int `json:"errors"`           // without what differs from one message to the next
	Foreign bool           `json:"foreign,omitzero"` // it is another program's, and was not looked at
	InUse   bool           `json:"in_use,omitzero"`  // another command is at work on it, and holds what Depth does not count
	Error   string         `json:"error,omitzero"`   // why it could not be looked at
}

func newDLQList() *cobra.Command {
	var limit int
	var failIfAny, asJSON, force bool
	cmd := &cobra.Command{
		Use:   "list [QUEUE…]",
		Short: "List dead-letter queues: depth, oldest, newest, reasons, errors",
		Long: `List dead-letter queues: depth, oldest, newest, reasons, and below them the most frequent errors, without numbers and ids.
Without a QUEUE, those of all services, and where RABBITMQ_MANAGEMENT_URL is set how many are in those of other programs;
what is in them is looked at where they are named.

Exit code: 3 with --fail-if-any where there are dead letters in queues that were looked at, or another command is at work on them.`,
		Example: `  orderflow dlq list
  orderflow dlq list --fail-if-any --json    # for monitoring`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkLimit(limit); err != nil {
				return err
			}
			return withBroker(cmd, func(b *broker.Broker) error {
				lines, err := listQueues(cmd, b, args, limit, force)
				if err != nil {
					return err
				}
				if err := printList(cmd.OutOrStdout(), lines, asJSON); err != nil {
					return err
				}
				for _, l := range lines {
					if l.Error != "" && !l.Foreign {
						err = errors.Join(err, fmt.Errorf("look at %s: %s", l.DLQ, l.Error))
					}
				}
				if err == nil && failIfAny && slices.ContainsFunc(lines, func(l listed) bool { return (l.Depth > 0 || l.InUse) && !l.Foreign }) {
					return &exitError{code: exitFound}
				}
				return err
			})
		},
	}
	limitFlag(cmd, &limit, 0, "look at this many messages of each queue at most")
	forceFlag(cmd, &force)
	cmd.Flags().BoolVar(&failIfAny, "fail-if-any", false, "exit with code 3 where there are dead letters")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// listQueues looks at the queues that args name, or at those of the services, and counts those of others, as far as somebody can be asked for
// them. It looks at those only where they are named: it is not known what a look does to them.
func listQueues(cmd *cobra.Command, b *broker.Broker, args []string, limit int, force bool) (lines []listed, err error) {
	foreign := []string(nil)
	if len(args) == 0 {
		args, foreign = workQueues(), deadLetterQueuesOfOthers(managedQueues(cmd, b))
	}
	queues, err := findQueues(cmd.Context(), b, args)
	if err != nil {
		return nil, err
	}
	for _, from := range sources(cmd, b, queues, force) {
		from.Take, from.Wait = limit, listWait
		lines = append(lines, lookAt(cmd.Context(), b, from))
	}
	for _, name := range foreign {
		line := listed{Queue: workQueue(name), DLQ: name, Exists: true, Counts: map[string]int{}, Errors: map[string]int{}, Foreign: true}
		if line.Depth, err = b.Depth(cmd.Context(), name); err != nil {
			line.Error = err.Error()
		}
		lines = append(lines, line)
	}
	return lines, cmd.Context().Err()
}

func lookAt(ctx context.Context, b *broker.Broker, from dlq.Source) listed {
	summary, err := dlq.Summarize(ctx, b, from)
	line := listed{
		Queue: workQueue(from.Queue), DLQ: from.Queue, Exists: true, Depth: summary.Depth, Seen: summary.Seen, Oldest: summary.Oldest,
		Newest: summary.Newest, Counts: named(summary.Reasons), Errors: summary.Errors,
	}
	switch {
	case errors.Is(err, broker.ErrNoQueue):
		line.Exists = false
	case errors.Is(err, broker.ErrClaimed):
		line.InUse = true
		line.Depth, err = b.Depth(ctx, from.Queue)
		if errors.Is(err, broker.ErrNoQueue) {
			line.Exists, line.InUse = false, false
		} else if err != nil {
			line.Error = err.Error()
		}
	case err != nil:
		line.Error = err.Error()
	}
	return line
}

// named gives a name to the reason that nothing tells.
func named(reasons map[string]int) map[string]int {
	if n, ok := reasons[""]; ok {
		delete(reasons, "")
		reasons["unknown"] += n
	}
	return reasons
}

func printList(w io.Writer, lines []listed, asJSON bool) error {
	if asJSON {
		return printJSON(w, map[string]any{"queues": lines})
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "DEAD-LETTER QUEUE\tDEPTH\tOLDEST\tNEWEST\tREASONS")
	for _, l := range lines {
		if !l.Exists {
			fmt.Fprintf(table, "%s\tabsent\t-\t-\t-\n", l.DLQ)
			continue
		}
		if l.Error != "" {
			fmt.Fprintf(table, "%s\t?\t-\t-\t%s\n", l.DLQ, plain(l.Error))
			continue
		}
		if l.InUse {
			fmt.Fprintf(table, "%s\t%d or more\t-\t-\tanother command is at work on it\n", l.DLQ, l.Depth)
			continue
		}
		if l.Foreign {
			fmt.Fprintf(table, "%s\t%d\t-\t-\tnot looked at: another program's\n", l.DLQ, l.Depth)
			continue
		}
		fmt.Fprintf(table, "%s\t%d\t%s\t%s\t%s\n", l.DLQ, l.Depth, moment(l.Oldest), moment(l.Newest), mostFirst(l.Counts))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	printErrors(w, lines)
	for _, l := range lines {
		if l.Seen < l.Depth && !l.Foreign && !l.InUse && l.Error == "" {
			fmt.Fprintf(w, "%s: only the first %d of %d were looked at, see --limit\n", l.DLQ, l.Seen, l.Depth)
		}
	}
	return nil
}

// listWait is how long a list waits for another command that is at work on a queue. It can do without a look.
const listWait = 2 * time.Second

// errorsShown is how many errors of a queue people are shown. Programs get all.
const errorsShown = 5

func printErrors(w io.Writer, lines []listed) {
	for _, l := range lines {
		names := byCount(l.Errors)
		if len(names) > 0 {
			fmt.Fprintf(w, "\n%s: errors\n", l.DLQ)
		}
		for i, name := range names {
			if i == errorsShown {
				fmt.Fprintf(w, "         and %d others, see --json\n", len(names)-i)
				break
			}
			fmt.Fprintf(w, "%7d  %s\n", l.Errors[name], plain(name))
		}
	}
}

// byCount is the names of what was counted, the most frequent first.
func byCount(counts map[string]int) []string {
	return slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(counts[b]-counts[a], cmp.Compare(a, b))
	})
}

// mostFirst is a histogram on one line.
func mostFirst(counts map[string]int) string {
	if len(counts) == 0 {
		return "-"
	}
	names := byCount(counts)
	for i, name := range names {
		names[i] = fmt.Sprintf("%s %d", plain(name), counts[name])
	}
	return strings.Join(names, ", ")
}
