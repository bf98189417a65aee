package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"

	"orderflow/pkg/dlq"
)

// reported is a run for programs.
type reported struct {
	ReplayID string          `json:"replay_id,omitzero"`
	DryRun   bool            `json:"dry_run"`
	Replayed int             `json:"replayed"` // or would be
	Edited   int             `json:"edited,omitzero"`
	Dropped  int             `json:"dropped,omitzero"`
	Queues   []reportedQueue `json:"queues"`
	Canary   *dlq.Canaries   `json:"canary,omitempty"`
	Before   int             `json:"replayed_before,omitzero"` // by an earlier apply of the plan
	Changed  []dlq.Planned   `json:"changed,omitempty"`        // of the plan: there, with another body or target
	Missing  []dlq.Planned   `json:"missing,omitempty"`        // of the plan: not there
	Error    string          `json:"error,omitzero"`
}

type reportedQueue struct {
	Queue    string            `json:"queue"`
	DLQ      string            `json:"dlq"`
	Exists   bool              `json:"exists"`
	Depth    int               `json:"depth"`           // when it began
	Unread   bool              `json:"unread,omitzero"` // it could not be read, and nothing is known of it
	Outcomes []reportedOutcome `json:"outcomes"`
	Doubt    string            `json:"where_error,omitzero"` // of the first message that --where could not be applied to
	Unfit    string            `json:"unfit,omitzero"`       // what is wrong with the first message that cannot be sent
}

type reportedOutcome struct {
	Fate     dlq.Fate    `json:"fate"`
	Target   string      `json:"target,omitzero"`
	Verdict  dlq.Verdict `json:"verdict,omitzero"` // of the inbox of the target
	Messages int         `json:"messages"`
}

func (c *change) report(run dlq.Run, dry bool, err error) reported {
	report := reported{
		ReplayID: run.ID, DryRun: dry, Replayed: run.Count(dlq.Replayed), Edited: run.Count(dlq.Edited), Dropped: run.Count(dlq.Dropped),
		Queues: []reportedQueue{}, Canary: run.Canary, Before: c.applied.Before, Changed: c.applied.Changed, Missing: c.applied.Missing,
	}
	if err != nil {
		report.Error = err.Error()
	}
	for _, tally := range run.Tallies {
		q := reportedQueue{workQueue(tally.Queue), tally.Queue, !tally.Absent, tally.Depth, tally.Unread, []reportedOutcome{}, "", ""}
		if tally.Doubt != nil {
			q.Doubt = tally.Doubt.Error()
		}
		if tally.Unfit != nil {
			q.Unfit = tally.Unfit.Error()
		}
		for _, o := range outcomes(tally) {
			q.Outcomes = append(q.Outcomes, reportedOutcome{o.Fate, o.Target, o.Verdict, tally.Counts[o]})
		}
		report.Queues = append(report.Queues, q)
	}
	return report
}

// printRun prints what a run has done, or would do.
func printRun(w io.Writer, run dlq.Run, what verb, dry bool) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, tally := range run.Tallies {
		switch {
		case tally.Absent:
			fmt.Fprintf(table, "%s\t0\tdoes not exist yet\n", tally.Queue)
		case tally.Unread:
			fmt.Fprintf(table, "%s\t?\tcould not be read\n", tally.Queue)
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
		if err := printDoubt(w, tally.Queue, tally.Doubts, tally.Doubt); err != nil {
			return err
		}
		if tally.Unfit != nil {
			fmt.Fprintf(w, "%s: some cannot be sent: %s\n", tally.Queue, plain(tally.Unfit.Error()))
		}
	}
	if c := run.Canary; c != nil {
		fmt.Fprintf(w, "sent ahead: %d, of which %d were handled, %d died again, and of %d nothing is known\n", c.Sent, c.Handled, c.Died, c.Waiting)
	}
	how := what.past
	if dry {
		how = "would be " + how
	}
	if run.ID != "" && run.Count(what.done) > 0 {
		how += ", run " + run.ID
	}
	_, err := fmt.Fprintf(w, "%s %s\n", count(run.Count(what.done)), how)
	return err
}

func inWords(o dlq.Outcome, dry bool) string {
	target := plain(o.Target)
	switch o.Fate {
	case dlq.Replayed:
		return goes(dry, "would go", "replayed") + " to " + target + foreseen(o.Verdict)
	case dlq.Edited:
		return goes(dry, "would be edited and go", "edited and sent") + " to " + target + foreseen(o.Verdict)
	case dlq.Dropped:
		return goes(dry, "would go to the file only", "moved to the file")
	case dlq.NoTarget:
		return "left: nothing tells in which queue they died"
	case dlq.TargetGone:
		return "left: there is no queue " + target
	case dlq.Unmatched:
		return "left: not chosen"
	case dlq.Refused:
		return "left: refused by " + target + ", which is probably full"
	case dlq.Unfit:
		return "left: cannot be sent as it would be"
	case dlq.DiedAgain:
		return "left: replayed since they were planned, and dead again"
	case dlq.Unsettled:
		return "dealt with, and still here as well"
	case dlq.Held:
		return "left: older than the inbox of " + target + " remembers, which would refuse them (INBOX_RETENTION); see --force"
	}
	return "left: sent and not confirmed, may have arrived as well"
}

func goes(dry bool, would, did string) string {
	if dry {
		return would
	}
	return did
}

// foreseen is a verdict in words.
func foreseen(v dlq.Verdict) string {
	switch v {
	case dlq.New:
		return ", which has not handled them yet"
	case dlq.Handled:
		return ", which has handled them before: no effect"
	case dlq.Forgotten:
		return ", which may refuse them, being older than its inbox remembers"
	}
	return ""
}

// outcomes are those of a tally, the most frequent first.
func outcomes(t dlq.Tally) []dlq.Outcome {
	return slices.SortedFunc(maps.Keys(t.Counts), func(a, b dlq.Outcome) int {
		return cmp.Or(t.Counts[b]-t.Counts[a], cmp.Compare(a.Fate, b.Fate), cmp.Compare(a.Target, b.Target), cmp.Compare(a.Verdict, b.Verdict))
	})
}
