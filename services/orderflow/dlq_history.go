package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"text/tabwriter"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/spf13/cobra"

	"orderflow/pkg/dlq"
	"orderflow/pkg/postgres"
)

func newDLQHistory() *cobra.Command {
	var q dlq.HistoryQuery
	var run string
	var since time.Duration
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "history",
		Short: "Show what was done with dead letters, by whom",
		Long: `Show what was done with dead letters, by whom: the newest first, a line for each call of a command and queue, or, with --order, --id
or --run, for each message. Which lost events were published again, by orderflow nudge, is there, too. It is kept in the database's table dlq.history, which is only added to.`,
		Example: `  orderflow dlq history --since 24h
  orderflow dlq history --order 019a8f3e-5b7c-7d21-9a55-3f6f1c2b7a10`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if q.Run, err = uuid.Parse(run); run != "" && err != nil {
				return usagef("--run %q is no id of a run", run)
			}
			if since < 0 {
				return usagef("--since %s is less than 0", since)
			}
			if err := cmp.Or(checkLimit(q.Limit), notEmpty(cmd, "order", "id", "run"), canonical(&q.Order, "order")); err != nil {
				return err
			}
			if q.Limit == 0 {
				q.Limit = math.MaxInt
			}
			if since > 0 {
				q.Since = time.Now().Add(-since)
			}
			if os.Getenv("DATABASE_URL") == "" {
				return usagef("the history is in the database: set DATABASE_URL")
			}
			return showHistory(cmd, q, asJSON)
		},
	}
	cmd.Flags().StringVar(&q.Order, "order", "", "each message of the order with this `ID`")
	cmd.Flags().StringVar(&q.Message, "id", "", "each time that the message with this `ID` was touched")
	cmd.Flags().StringVar(&run, "run", "", "each message of the run with this `ID`, the replay_id of dlq replay")
	cmd.Flags().DurationVar(&since, "since", 0, "not what is older, such as 24h; 0 means all")
	limitFlag(cmd, &q.Limit, 100, "show this many lines at most")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func showHistory(cmd *cobra.Command, q dlq.HistoryQuery, asJSON bool) error {
	cfg, err := loadConfig()
	if err != nil {
		return err
	}
	db, err := postgres.Open(cmd.Context(), postgres.Config{URL: cfg.DatabaseURL, Schema: dlq.HistorySchema, Name: "orderflow dlq", MaxConns: 1})
	if err != nil {
		return err
	}
	defer db.Close()
	history, w := &dlq.History{DB: db}, cmd.OutOrStdout()
	if q.Order != "" || q.Message != "" || q.Run != uuid.Nil {
		entries, err := history.Entries(cmd.Context(), q)
		if err := notYet(err); err != nil {
			return err
		}
		if asJSON {
			return printJSON(w, map[string]any{"messages": append([]dlq.Entry{}, entries...)})
		}
		return printEntries(w, entries)
	}
	acts, err := history.Acts(cmd.Context(), q.Since, q.Limit)
	if err := notYet(err); err != nil {
		return err
	}
	if asJSON {
		return printJSON(w, map[string]any{"runs": append([]dlq.Act{}, acts...)})
	}
	return printActs(w, acts)
}

// notYet is no error where there is no history because nothing was done yet.
func notYet(err error) error {
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok && refused.Code == "42P01" {
		return nil
	}
	return err
}

func printEntries(w io.Writer, entries []dlq.Entry) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "AT\tWHO\tOUTCOME\tMESSAGE\tTYPE\tORDER\tFROM\tTO")
	for _, e := range entries {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", moment(e.At), plain(e.Who), e.Outcome, plain(e.MessageID), plain(e.Type),
			plain(e.OrderID), plain(e.From), whereTo(e.To, e.File))
	}
	return table.Flush()
}

func printActs(w io.Writer, acts []dlq.Act) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "AT\tWHO\tRUN\tOUTCOME\tMESSAGES\tFROM\tTO")
	for _, a := range acts {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%d\t%s\t%s\n", moment(a.At), plain(a.Who), a.RunID, a.Outcome, a.Messages, plain(a.From), whereTo(a.To, a.File))
	}
	return table.Flush()
}

func whereTo(queue, file string) string {
	switch {
	case queue != "" && file != "":
		return plain(queue) + ", originals in " + plain(file)
	case file != "":
		return plain(file)
	}
	return plain(queue)
}
