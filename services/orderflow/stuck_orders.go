package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"orderflow/services/stuck"
)

func newDoctorOrders() *cobra.Command {
	var s search
	cmd := &cobra.Command{
		Use:   "orders",
		Short: "List the orders that are past their deadline, by the step that they wait in",
		Long: `List the orders that are past their deadline and have not ended, and those that have shipped though the stock has not heard of it, by the step
that they wait in: which queue has to handle an event, and where that is. It changes nothing.

JSON is one object: older_than (in seconds), orders (how many), and steps: queue, service, place, orders, oldest (when the oldest was placed),
order_ids (the oldest), told, next. For the places see orderflow doctor order --help.

Exit code: 3 where there are any.`,
		Example: `  orderflow doctor orders
  orderflow doctor orders --older-than 1h --json`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadConfig()
			if err != nil {
				return err
			}
			if err := s.check(cmd, cfg); err != nil {
				return err
			}
			return withLooker(cmd, cfg, false, func(l *stuck.Looker) error {
				ids, err := s.find(cmd.Context(), l)
				if err != nil {
					return err
				}
				cases, err := l.Look(cmd.Context(), ids)
				if err != nil {
					return err
				}
				report := overdue{OlderThan: s.older.Seconds(), Steps: stepsOf(cases)}
				for _, step := range report.Steps {
					report.Orders += step.Orders
				}
				if s.asJSON {
					err = printJSON(cmd.OutOrStdout(), report)
				} else {
					err = report.print(cmd.OutOrStdout(), s.older)
				}
				if err == nil && report.Orders > 0 {
					return &exitError{code: exitFound}
				}
				return err
			})
		},
	}
	s.flags(cmd)
	return cmd
}

// overdue is what doctor orders prints.
type overdue struct {
	OlderThan float64 `json:"older_than"`
	Orders    int     `json:"orders"`
	Steps     []*step `json:"steps"`
}

// step is where some orders wait.
type step struct {
	Queue   string      `json:"queue,omitzero"`
	Service string      `json:"service,omitzero"`
	Place   stuck.Place `json:"place"`
	Orders  int         `json:"orders"`
	Oldest  time.Time   `json:"oldest"`
	IDs     []uuid.UUID `json:"order_ids"`
	Told    string      `json:"told"`
	Next    string      `json:"next"`

	first *stuck.Wait // nil: nothing is found that they wait for
}

// idsShown is how many orders are named of each step.
const idsShown = 3

// stepsOf groups orders, those of the most first. An order that has ended, and for which everybody has done what there was to do, is in none.
func stepsOf(cases []*stuck.Case) []*step {
	type key struct {
		queue string
		place stuck.Place
	}
	steps := map[key]*step{}
	all := []*step{}
	for _, c := range cases {
		k := key{place: stuck.Unknown}
		var w *stuck.Wait
		if len(c.Waits) > 0 {
			w = c.Waits[0]
			k = key{w.Queue, w.Place}
		} else if c.Order.Status.Ended() {
			continue
		}
		s := steps[k]
		if s == nil {
			s = &step{Queue: k.queue, Place: k.place, Oldest: c.Order.PlacedAt.UTC(), first: w}
			if s.Told = "every service has handled what the others have said"; w != nil {
				s.Service, s.Told, s.Next = w.Service, w.Told, next(w, "")
			}
			steps[k], all = s, append(all, s)
		}
		if s.Orders++; c.Order.PlacedAt.Before(s.Oldest) {
			s.Oldest = c.Order.PlacedAt.UTC()
		}
		if len(s.IDs) < idsShown {
			s.IDs = append(s.IDs, c.Order.OrderID)
		}
	}
	slices.SortStableFunc(all, func(a, b *step) int { return cmp.Compare(b.Orders, a.Orders) })
	return all
}

func (o overdue) print(w io.Writer, older time.Duration) error {
	if o.Orders == 0 {
		_, err := fmt.Fprintf(w, "no order waits for longer than %s\n", older)
		return err
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ORDERS\tOLDEST\tWAIT FOR\tMESSAGE")
	for _, s := range o.Steps {
		place := "not known"
		if s.first != nil {
			place = inPlace(s.first)
		}
		fmt.Fprintf(table, "%d\t%s\t%s\t%s\n", s.Orders, moment(s.Oldest), cmp.Or(s.Queue, "-"), place)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, s := range o.Steps {
		fmt.Fprintf(w, "\n%s: %s\n", cmp.Or(s.Queue, "-"), plain(s.Told))
		for _, id := range s.IDs {
			fmt.Fprintf(w, "  %s\n", id)
		}
		if more := s.Orders - len(s.IDs); more > 0 {
			fmt.Fprintf(w, "  and %d more\n", more)
		}
		if s.Next != "" {
			fmt.Fprintf(w, "  next: %s\n", plain(s.Next))
		}
	}
	return nil
}
