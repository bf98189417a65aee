package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/aymanbagabas/go-udiff"
	"github.com/spf13/cobra"

	"orderflow/pkg/broker"
	"orderflow/pkg/dlq"
	"orderflow/pkg/event"
)

// diffsShown is how many diffs are shown. They mostly look alike.
const diffsShown = 5

func newDLQEdit() *cobra.Command {
	c := &change{what: editing}
	keep, patchFile, newID := &keepFlags{}, "", false
	cmd := &cobra.Command{
		Use:   "edit QUEUE… --patch FILE --to FILE",
		Short: "Send patched copies of dead letters to the queue that each of them died in",
		Long: `Send patched copies of dead letters to the queue that each of them died in, as replay does, and keep the originals in a file.
The patch is a JSON Patch (RFC 6902, a list) or a merge patch (RFC 7396, an object) of the whole event, data and all. A copy that is no
valid event is not sent. It keeps the event's id, unless --new-id is given: a consumer that has handled the one does nothing about the
other.

Shows what it would change, and asks before it acts.`,
		Example: `  orderflow dlq edit payment.order-placed --patch fix.json --to originals.jsonl --dry-run
  echo '{"data":{"shipping_address":{"country":"DE"}}}' | orderflow dlq edit payment.order-placed --patch - --to originals.jsonl --yes`,
		Args: cobra.ArbitraryArgs,
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		if patchFile == "" || keep.to == "" {
			return usagef("an edit needs --patch, and --to for the originals")
		}
		if err := errors.Join(c.check(cmd, args), keep.check()); err != nil {
			return err
		}
		patch, err := readPatch(cmd.InOrStdin(), patchFile)
		if err != nil {
			return usagef("--patch %s: %w", patchFile, err)
		}
		defer func() { err = errors.Join(err, keep.close()) }()
		return withDesk(cmd, c.withoutDB, func(d *desk) error {
			queues, err := c.queuesOf(cmd, d, args)
			if err != nil {
				return err
			}
			edit := func() (dlq.Action, error) {
				store, err := keep.store()
				return dlq.Edit(event.Orders, patch, newID, store), err
			}
			j := c.job(cmd, d, queues)
			if !c.asJSON {
				j.See = showDiffs(cmd.ErrOrStderr())
			}
			return c.run(cmd, d, j, act{dlq.Edit(event.Orders, patch, newID, nil), edit, doJob})
		})
	}
	c.chooseFlags(cmd, "edit")
	cmd.Flags().StringVar(&patchFile, "patch", "", "the `FILE` with the patch; - is standard input")
	cmd.Flags().BoolVar(&newID, "new-id", false, "give the copies ids of their own, so that they are handled even where the originals were")
	keep.add(cmd)
	c.actFlags(cmd)
	return cmd
}

func readPatch(stdin io.Reader, file string) (*dlq.Patch, error) {
	text, err := []byte(nil), error(nil)
	if file == "-" {
		text, err = io.ReadAll(stdin)
	} else {
		text, err = os.ReadFile(file)
	}
	if err != nil {
		return nil, err
	}
	return dlq.ParsePatch(text)
}

// showDiffs shows what the first messages would be changed in; the same ones once, also where they are looked at twice.
func showDiffs(w io.Writer) func(string, dlq.Letter, broker.Message, dlq.Outcome) {
	shown := map[string]bool{}
	return func(queue string, l dlq.Letter, instead broker.Message, _ dlq.Outcome) {
		if len(shown) > diffsShown || shown[l.ID] {
			return
		}
		if shown[l.ID] = true; len(shown) > diffsShown {
			fmt.Fprintln(w, "and so on; what differs further is not shown")
			return
		}
		fmt.Fprintln(w, printable(udiff.Unified(queue+" "+l.ID, instead.RoutingKey+" "+instead.ID, indented(l.Body), indented(instead.Body))))
	}
}

func indented(body []byte) string {
	var text bytes.Buffer
	if json.Indent(&text, body, "", "  ") != nil {
		return string(body)
	}
	return text.String() + "\n"
}
