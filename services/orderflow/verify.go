package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/spf13/cobra"

	"orderflow/pkg/broker"
	"orderflow/pkg/postgres"
	"orderflow/services/inventory"
	"orderflow/services/order"
	"orderflow/services/payment"
	"orderflow/services/shipping"
	"orderflow/services/verify"
)

// verified is what verify prints as JSON.
type verified struct {
	*verify.Report
	DeadLetters []deadLetterQueue `json:"dead_letters,omitempty"` // of each queue; none with --tables-only
	// DeadLettersError is why they could not be counted. What the tables tell stands without them.
	DeadLettersError string `json:"dead_letters_error,omitempty"`
}

const (
	countLimit   = 10 * time.Second // for counting the dead letters
	openPatience = time.Second      // a server gets this much of --wait, even where another has used it up
)

// deadLetterQueue is how many messages wait in a dead-letter queue.
type deadLetterQueue struct {
	DLQ    string `json:"dlq"`
	Exists bool   `json:"exists"`
	Depth  int    `json:"depth"`
}

func newVerify() *cobra.Command {
	var proof verify.Config
	var tablesOnly, asJSON bool
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Prove from the services' tables that every promise holds",
		Long: `Prove from the services' tables that every promise holds: every order ends, every effect happens once, money and goods add up,
nothing waits in an outbox. It only reads, needs no service, and may be run while they work: what looks broken is looked at again for
two seconds, or until --wait is over. Dead letters are listed; they break no promise, but an order that one of them holds up does.

The database is found by DATABASE_URL, RabbitMQ by AMQP_URL. The user has to be able to read all schemas.

JSON is one object:
  ok             whether every promise holds
  taken_at       when the tables were looked at, and seconds, how long everything took
  lines          the promises: line, promise, checked, broken (how many)
  orders         how many orders there are, by status; under_way, how many of them have not ended
  money          by currency: charged - refunded = shipped, of orders that have ended; held, for those under way
  broken         of each line, up to --limit: line, id (of an order, or of what the line is about), reason
  dead_letters   dlq, exists, depth; dead_letters_error instead, where they could not be counted

Exit code: 3 where a promise is broken.`,
		Example: `  orderflow verify
  orderflow verify --wait 30s          # after a test: everything has to have ended by then
  orderflow verify --json --limit 0    # for programs, with every id`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkVerify(proof); err != nil {
				return err
			}
			result, err := runVerify(cmd, proof, tablesOnly)
			if err != nil {
				return err
			}
			if asJSON {
				err = printJSON(cmd.OutOrStdout(), result)
			} else {
				printVerified(cmd.OutOrStdout(), result)
			}
			switch {
			case err != nil:
				return err
			case !result.OK:
				return &exitError{code: exitFound}
			case result.DeadLettersError != "":
				return fmt.Errorf("dead letters were not counted: %s", result.DeadLettersError)
			}
			return nil
		},
	}
	flags := cmd.Flags()
	flags.DurationVar(&proof.Wait, "wait", 0, "wait this long, at most, for what was begun until now; what has not ended then is broken")
	flags.DurationVar(&proof.Deadline, "deadline", 10*time.Minute, "how old an order may be that has not ended; where it is not given, ORDER_DEADLINE counts")
	limitFlag(cmd, &proof.Limit, 20, "show this much of what breaks each promise")
	flags.BoolVar(&tablesOnly, "tables-only", false, "do not ask RabbitMQ for dead letters")
	flags.BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func checkVerify(proof verify.Config) error {
	if proof.Wait < 0 {
		return usagef("--wait %s is less than 0", proof.Wait)
	}
	if proof.Deadline <= 0 {
		return usagef("--deadline %s is not more than 0", proof.Deadline)
	}
	return checkLimit(proof.Limit)
}

func runVerify(cmd *cobra.Command, proof verify.Config, tablesOnly bool) (result verified, err error) {
	ctx := cmd.Context()
	cfg, err := loadConfig()
	if err != nil {
		return result, err
	}
	if !cmd.Flags().Changed("deadline") {
		proof.Deadline = cfg.OrderDeadline
	}
	over := time.Now().Add(proof.Wait) // of everything together
	patience := func() time.Duration { return max(time.Until(over), min(proof.Wait, openPatience)) }
	var b *broker.Broker
	if !tablesOnly {
		log := slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelWarn}))
		b, err = broker.Open(ctx, broker.Config{URLs: cfg.AMQPURLs, Name: "orderflow verify", Log: log, Patience: patience()})
		if err != nil {
			return result, fmt.Errorf("%w; --tables-only does without RabbitMQ", err)
		}
		defer b.Close()
	}
	for _, s := range []struct {
		schema string
		db     **pgxpool.Pool
	}{
		{order.Schema, &proof.Databases.Order}, {payment.Schema, &proof.Databases.Payment},
		{inventory.Schema, &proof.Databases.Inventory}, {shipping.Schema, &proof.Databases.Shipping},
	} {
		*s.db, err = postgres.Open(ctx, postgres.Config{
			URL: cfg.DatabaseURL, Schema: s.schema, Name: "orderflow verify", MaxConns: 2, Patience: patience(),
		})
		if err != nil {
			return result, err
		}
		defer (*s.db).Close()
	}
	if proof.Wait > 0 {
		proof.Wait = max(time.Until(over), time.Nanosecond) // 0 would be another question
	}
	if result.Report, err = verify.Run(ctx, proof); err != nil {
		return result, fmt.Errorf("%w%s", err, aboutTables(err))
	}
	if b != nil {
		if result.DeadLetters, err = countDeadLetters(ctx, b); err != nil {
			result.DeadLettersError = err.Error()
		}
	}
	return result, nil
}

// aboutTables tells what to do where a table cannot be read, or "".
func aboutTables(err error) string {
	var refused *pgconn.PgError
	if !errors.As(err, &refused) {
		return ""
	}
	switch refused.Code {
	case "42P01", "42703": // there is no such table, or column
		return "; bring the schemas up to date with orderflow migrate"
	case "42501":
		return "; name a user in DATABASE_URL who may read the schemas of all services"
	}
	return ""
}

// countDeadLetters asks for a limited time: where RabbitMQ has gone meanwhile, it would be dialled until ctx ends.
func countDeadLetters(ctx context.Context, b *broker.Broker) (all []deadLetterQueue, err error) {
	ctx, stop := context.WithTimeout(ctx, countLimit)
	defer stop()
	for _, queue := range workQueues() {
		name := broker.DeadLetterQueue(queue)
		depth, err := b.Depth(ctx, name)
		absent := errors.Is(err, broker.ErrNoQueue)
		if err != nil && !absent {
			return nil, err
		}
		all = append(all, deadLetterQueue{name, !absent, depth})
	}
	return all, nil
}

func printVerified(w io.Writer, v verified) {
	fmt.Fprintf(w, "%9s  %7s  PROMISE\n", "CHECKED", "BROKEN")
	for _, l := range v.Lines {
		fmt.Fprintf(w, "%9d  %7d  %s\n", l.Checked, l.Broken, l.Promise)
	}
	fmt.Fprintln(w)
	printTotals(w, v)
	broken := 0
	for _, l := range v.Lines {
		if l.Broken == 0 {
			continue
		}
		broken++
		fmt.Fprintf(w, "\nbroken: %s\n", l.Promise)
		shown := 0
		for _, f := range v.Broken {
			if f.Line == l.Line {
				fmt.Fprintf(w, "  %s  %s\n", plain(f.ID), plain(f.Reason))
				shown++
			}
		}
		if shown < l.Broken {
			fmt.Fprintf(w, "  … and %d more, see --limit\n", l.Broken-shown)
		}
	}
	switch broken {
	case 0:
		fmt.Fprintln(w, "every promise holds")
	case 1:
		fmt.Fprintln(w, "\n1 promise is broken")
	default:
		fmt.Fprintf(w, "\n%d promises are broken\n", broken)
	}
}

// printTotals prints what there is, one line for each sort of thing.
func printTotals(w io.Writer, v verified) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	var orders []string
	for _, status := range slices.Sorted(maps.Keys(v.Orders)) {
		if n := v.Orders[status]; n > 0 {
			orders = append(orders, fmt.Sprintf("%d %s", n, plain(string(status))))
		}
	}
	fmt.Fprintf(table, "orders\t%s\n", cmp.Or(strings.Join(orders, ", "), "none"))
	for _, currency := range slices.Sorted(maps.Keys(v.Money)) {
		m := v.Money[currency]
		fmt.Fprintf(table, "%s\tcharged %s, refunded %s, shipped %s; held for orders under way %s\n",
			plain(currency), m.Charged, m.Refunded, m.Shipped, m.Held)
	}
	var letters []string
	for _, l := range v.DeadLetters {
		if !l.Exists {
			letters = append(letters, l.DLQ+" does not exist")
		} else if l.Depth > 0 {
			letters = append(letters, fmt.Sprintf("%d in %s", l.Depth, l.DLQ))
		}
	}
	if v.DeadLetters != nil {
		fmt.Fprintf(table, "dead letters\t%s\n", cmp.Or(strings.Join(letters, ", "), "none"))
	}
	if v.DeadLettersError != "" {
		fmt.Fprintf(table, "dead letters\tnot counted: %s\n", plain(v.DeadLettersError))
	}
	table.Flush()
}
