package main

import (
	"errors"
	"path/filepath"

	"github.com/spf13/cobra"

	"orderflow/pkg/dlq"
)

// keepFlags are those of commands that keep dead letters in a file before they leave their queue.
type keepFlags struct {
	to   string
	more bool
	open *dlq.Store
}

func (k *keepFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&k.to, "to", "", "the `FILE` that takes the dead letters as they were, as JSON lines; orderflow dlq import puts them back")
	cmd.Flags().BoolVar(&k.more, "append", false, "add to the file, if there is something in it already")
}

// check tells what is wrong with the file, before anybody is asked anything.
func (k *keepFlags) check() (err error) {
	if k.to == "-" {
		return usagef("--to - is no file: what is in it has to be on the disk before anything leaves its queue")
	}
	if k.to, err = filepath.Abs(k.to); err != nil { // the history tells it to others, who are elsewhere
		return err
	}
	if err := dlq.CheckStore(k.to, k.more); errors.Is(err, dlq.ErrTaken) {
		return usagef("%w: name another, or use --append", err)
	} else if err != nil {
		return usagef("--to: %w", err)
	}
	return nil
}

func (k *keepFlags) store() (_ *dlq.Store, err error) {
	k.open, err = dlq.OpenStore(k.to, k.more)
	return k.open, err
}

func (k *keepFlags) close() error {
	if k.open == nil {
		return nil
	}
	return k.open.Close()
}

func newDLQDrop() *cobra.Command {
	c := &change{what: dropping}
	keep, all := &keepFlags{}, false
	cmd := &cobra.Command{
		Use:   "drop QUEUE… --to FILE",
		Short: "Take dead letters out of their queues, into a file",
		Long: `Take dead letters out of their queues, into a file. A dead letter is removed when the disk has its line: a drop that is
stopped or killed loses nothing, and to go on is to run it again with --append.

Asks before it acts. What to drop has to be said: by --where, --order or --limit, or by --all.`,
		Example: `  orderflow dlq drop payment.order-placed --where 'reason == "invalid_message"' --to invalid.jsonl
  orderflow dlq import invalid.jsonl      # puts them back`,
		Args: cobra.ArbitraryArgs,
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		switch {
		case keep.to == "":
			return usagef("dead letters are dropped to a file only: name it by --to")
		case c.where.Filter == nil && c.order == "" && c.limit == 0 && !all:
			return usagef("say what to drop: by --where, --order or --limit, or by --all")
		}
		if err := errors.Join(c.check(cmd, args), keep.check()); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, keep.close()) }()
		return withDesk(cmd, c.withoutDB, func(d *desk) error {
			queues, err := c.queuesOf(cmd, d, args)
			if err != nil {
				return err
			}
			drop := func() (dlq.Action, error) {
				store, err := keep.store()
				return dlq.Drop(store), err
			}
			return c.run(cmd, d, c.job(cmd, d, queues), act{dlq.Drop(nil), drop, doJob})
		})
	}
	c.chooseFlags(cmd, "drop")
	cmd.Flags().BoolVar(&all, "all", false, "drop all")
	keep.add(cmd)
	c.actFlags(cmd)
	return cmd
}
