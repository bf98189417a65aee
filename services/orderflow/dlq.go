package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode"

	"github.com/google/uuid"
	"github.com/mattn/go-isatty"
	"github.com/spf13/cobra"

	"orderflow/pkg/dlq"
)

func newDLQ() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dlq",
		Short: "Look at dead letters and get them going again",
		Long: `Look at dead letters and get them going again.

A message that a service gave up on waits in the dead-letter queue of its queue: Q.dlq for Q. Commands take either name, and
that of any other queue of dead letters. Looking changes nothing.

RabbitMQ is found by AMQP_URL (amqp://guest:guest@127.0.0.1:5672/ where it is not set). Where DATABASE_URL is set, the inboxes of the services tell what was handled already, and each change is
written into the history.`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("unknown command %q, see orderflow dlq --help", args[0])
			}
			return cmd.Help()
		},
	}
	cmd.AddCommand(newDLQList(), newDLQShow(), newDLQReplay(), newDLQPlan(), newDLQApply(), newDLQEdit(), newDLQDrop(), newDLQExport(), newDLQImport(),
		newDLQHistory())
	return cmd
}

// limitFlag adds --limit, which checkLimit checks.
func limitFlag(cmd *cobra.Command, limit *int, value int, usage string) {
	cmd.Flags().IntVar(limit, "limit", value, usage+"; 0 means all")
}

func checkLimit(limit int) error {
	if limit < 0 {
		return usagef("--limit %d is less than 0", limit)
	}
	return nil
}

// notEmpty refuses flags that are given, and empty: a variable that is not set would widen the choice.
func notEmpty(cmd *cobra.Command, names ...string) error {
	for _, name := range names {
		if f := cmd.Flags().Lookup(name); f != nil && f.Changed && f.Value.String() == "" {
			return usagef("--%s is empty", name)
		}
	}
	return nil
}

// canonical writes the id of a flag as messages have it.
func canonical(id *string, name string) error {
	if *id == "" {
		return nil
	}
	parsed, err := uuid.Parse(*id)
	if err != nil {
		return usagef("--%s %q is no id of an order", name, *id)
	}
	*id = parsed.String()
	return nil
}

// forceFlag adds --force-queue.
func forceFlag(cmd *cobra.Command, force *bool) {
	cmd.Flags().BoolVar(force, "force-queue", false, "also queues that have consumers, and what RabbitMQ may drop soon because it was looked at so often")
}

// where is the flag --where.
type where struct {
	*dlq.Filter
	text string
}

// whereFlag adds --where. An expression that is wrong is wrong use of the command.
func whereFlag(cmd *cobra.Command, w *where, usage string) {
	cmd.Flags().Var(w, "where", usage+" for which `EXPR` holds")
	cmd.Long += "\n\n--where EXPR chooses messages by what they tell. A field that a message lacks is nil, which equals nothing else: != is\ntrue for it. A message to which EXPR cannot be applied does not match, and stays. EXPR can use:\n" +
		dlq.FilterHelp()
}

// Set implements pflag.Value.
func (w *where) Set(expression string) (err error) {
	w.text = expression
	w.Filter, err = dlq.ParseFilter(expression)
	return err
}

// String and Type implement pflag.Value.
func (w *where) String() string { return "" }
func (w *where) Type() string   { return "expression" }

// printDoubt tells that --where could not be applied to some messages.
func printDoubt(w io.Writer, queue string, doubts int, doubt error) error {
	if doubt == nil {
		return nil
	}
	_, err := fmt.Fprintf(w, "%s: --where cannot be applied to %s, so there is no match; the first: %s\n", queue, count(doubts), plain(doubt.Error()))
	return err
}

// printJSON prints v for programs, and for people who look at what programs get.
func printJSON(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(v)
}

// isTerminal tells whether there is somebody at r to answer a question.
func isTerminal(r io.Reader) bool {
	f, ok := r.(*os.File)
	return ok && isatty.IsTerminal(f.Fd())
}

// moment is a time for people; "-" where it is not known.
func moment(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.RFC3339)
}

// count is "1 dead letter", "2 dead letters".
func count(n int) string {
	if n == 1 {
		return "1 dead letter"
	}
	return fmt.Sprintf("%d dead letters", n)
}

// plain is a text from a message as a terminal can show it on one line, without what would steer the terminal.
func plain(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == ' ' || !unicode.IsPrint(r) }), " ")
}
