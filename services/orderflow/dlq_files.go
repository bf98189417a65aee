package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"orderflow/pkg/broker"
	"orderflow/pkg/dlq"
)

func newDLQExport() *cobra.Command {
	var limit int
	var w where
	var force bool
	cmd := &cobra.Command{
		Use:   "export QUEUE… > FILE",
		Short: "Write dead letters as JSON lines, and leave them where they are",
		Long: `Write dead letters as JSON lines, whole, and leave them where they are. orderflow dlq import makes the same messages of them, to the
byte. What RabbitMQ counts on a message, its expiration and its user id are left out.`,
		Example: `  orderflow dlq export payment.order-placed > dead.jsonl`,
		Args:    usageArgs(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkLimit(limit); err != nil {
				return err
			}
			return withBroker(cmd, func(b *broker.Broker) error {
				queues, err := findQueues(cmd.Context(), b, args)
				if err != nil {
					return err
				}
				return exportAll(cmd, b, sources(cmd, b, queues, force), limit, w.Filter)
			})
		},
	}
	limitFlag(cmd, &limit, 0, "export this many at most, over all queues")
	whereFlag(cmd, &w, "export only those")
	forceFlag(cmd, &force)
	return cmd
}

func exportAll(cmd *cobra.Command, b *broker.Broker, from []dlq.Source, limit int, where *dlq.Filter) error {
	out, exported := bufio.NewWriter(cmd.OutOrStdout()), 0
	for _, source := range from {
		if limit > 0 && exported == limit {
			break
		}
		left := choice{where: where, limit: max(limit-exported, 0)}
		seen, err := left.look(cmd.Context(), b, source, func(_ int, l dlq.Letter) error {
			return dlq.Stored{DLQ: source.Queue, Message: l.Message}.Write(out)
		})
		if err != nil && !errors.Is(err, broker.ErrNoQueue) {
			return errors.Join(err, out.Flush())
		}
		exported += seen.chosen
		if err := printDoubt(cmd.ErrOrStderr(), source.Queue, seen.doubts, seen.doubt); err != nil {
			return err
		}
	}
	if err := out.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(cmd.ErrOrStderr(), "%s exported\n", count(exported))
	return err
}

func newDLQImport() *cobra.Command {
	var queue string
	var withoutDB, asJSON, force bool
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Put dead letters of a file back into their dead-letter queues",
		Long: `Put dead letters of a file, of orderflow dlq export, drop or edit, into the dead-letter queues that they come from. A message that
is there already, or twice in the file, the same in everything, is left out: an import that was interrupted is run again. Messages without
an id may be alike, so of those there are afterwards as many as in the file. Headers that would send a message to further queues (CC, BCC)
are left out. - is standard input.`,
		Args: usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withDesk(cmd, withoutDB, func(d *desk) error {
				file, done, err := onDisk(cmd.InOrStdin(), args[0])
				if err != nil {
					return err
				}
				defer done()
				queues, err := dlq.StoredQueues(file)
				if err != nil {
					return usagef("%s is no file of dead letters, or a damaged one: %w", args[0], err)
				}
				if queue != "" {
					if queues, err = findQueues(cmd.Context(), d.Broker, []string{queue}); err != nil {
						return err
					}
					queue = queues[0]
				}
				if slices.Contains(queues, "") {
					return usagef("nothing tells which dead-letter queue some of the messages belong to: name one by --queue")
				}
				if err := checkDead(queues...); err != nil {
					return err
				}
				if err := d.openHistory(cmd.Context(), uuid.Nil, true); err != nil {
					return err
				}
				imported, err := dlq.Import(cmd.Context(), d.Broker, file, queue, sources(cmd, d.Broker, queues, force), d.history)
				return errors.Join(printImported(cmd.OutOrStdout(), imported, asJSON), err)
			})
		},
	}
	cmd.Flags().StringVar(&queue, "queue", "", "put all of them into the dead-letter queue of this `QUEUE`")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	forceFlag(cmd, &force)
	databaseFlag(cmd, &withoutDB)
	return cmd
}

// onDisk is the name of a file, which is read twice: standard input is copied to one.
func onDisk(stdin io.Reader, name string) (file string, done func(), err error) {
	if name != "-" {
		return name, func() {}, nil
	}
	copied, err := os.CreateTemp("", "orderflow-import-*.jsonl")
	if err != nil {
		return "", nil, err
	}
	_, err = io.Copy(copied, stdin)
	if err = errors.Join(err, copied.Close()); err != nil {
		os.Remove(copied.Name())
	}
	return copied.Name(), func() { os.Remove(copied.Name()) }, err
}

func printImported(w io.Writer, in dlq.Imported, asJSON bool) error {
	if asJSON {
		return printJSON(w, in)
	}
	all := 0
	for _, queue := range slices.Sorted(maps.Keys(in.Imported)) {
		fmt.Fprintf(w, "%s  %d\n", queue, in.Imported[queue])
		all += in.Imported[queue]
	}
	_, err := fmt.Fprintf(w, "%s imported, %d there already, %d twice in the file\n", count(all), in.There, in.Twice)
	return err
}
