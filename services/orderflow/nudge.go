package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"orderflow/pkg/telemetry"
	"orderflow/services/stuck"
)

func newNudge() *cobra.Command {
	n := &nudging{}
	cmd := &cobra.Command{
		Use:   "nudge [ID…]",
		Short: "Publish again what is lost, so that orders go on that would wait for ever",
		Long: `Publish again what is lost: events that a queue should have got, and that are in no queue, outbox or dead-letter queue any more, because
somebody has purged or deleted a queue, or the broker was restored from a backup. Without an ID, for all orders past their deadline, and those that
have shipped though the stock has not heard of it. The service that said an event publishes it, with its old id, so who has handled it drops it.
What is done is written into the history, which "orderflow dlq history --order ID" shows.

Nothing does this by itself. With --every it goes on until it is stopped, beside the services, and logs what it does.

What cannot be shown to be lost is left alone, and told with what to do instead; so is a dead letter that somebody has dropped. --force publishes the
events of the orders that are named wherever they are. What is published is what was said when the order was placed: so the events of an order of
which a dead letter was edited (orderflow dlq edit) are left alone, too, unless they are forced. A dead letter that was dropped or edited with
--no-database is in no history, and is taken for lost. Events that are older than INBOX_RETENTION cannot be published again: nobody could tell
whether they were handled, so they would be refused.

JSON is one object, or one for each round: run_id (in the history), looked_at (orders), nudged, left and rest: order_id, queue, service, event_id,
event_type, said_by, said_at, place, since, told, next. left is what orders wait for that are stuck, and for which nothing was done; rest is
what orders wait for that were named and go on by themselves, or that nothing is to be done for.

Exit code: 3 where orders are left that it cannot help.`,
		Example: `  orderflow nudge --dry-run
  orderflow nudge 019a8f3e-5b7c-7d21-9a55-3f6f1c2b7a10
  orderflow nudge --older-than 1h --every 1m`,
		RunE: n.run,
	}
	n.flags(cmd)
	cmd.Flags().BoolVar(&n.dry, "dry-run", false, "only tell what would be done")
	cmd.Flags().BoolVar(&n.force, "force", false, "publish also what is not shown to be lost, of the orders that are named")
	cmd.Flags().DurationVar(&n.every, "every", 0, "go on until it is stopped, and look so often")
	return cmd
}

// nudging is one call of nudge.
type nudging struct {
	search
	dry, force bool
	every      time.Duration
	ids        []uuid.UUID
	deadline   time.Duration
	log        *slog.Logger // with --every
	stderr     io.Writer
	done       map[uuid.UUID]time.Time // when events were published again
}

func (n *nudging) run(cmd *cobra.Command, args []string) (err error) {
	if n.ids, err = orderIDs(args); err != nil {
		return err
	}
	cfg, err := loadConfig()
	if err != nil {
		return err
	}
	switch err := n.check(cmd, cfg); {
	case err != nil:
		return err
	case n.force && len(n.ids) == 0:
		return usagef("--force needs the ids of the orders")
	case cmd.Flags().Changed("every") && n.every < time.Second:
		return usagef("--every %s is less than 1s", n.every)
	case n.every > 0 && (n.dry || n.force || len(n.ids) > 0):
		return usagef("--every looks for orders by itself: leave out the ids, --dry-run and --force")
	}
	n.deadline, n.done, n.stderr = cfg.OrderDeadline, map[uuid.UUID]time.Time{}, cmd.ErrOrStderr()
	return withLooker(cmd, cfg, !n.dry, func(l *stuck.Looker) error {
		if n.every > 0 {
			n.log = telemetry.NewLogger(cmd.ErrOrStderr(), cfg.LogLevel, cfg.LogFormat)
			return n.goOn(cmd, l)
		}
		report, err := n.round(cmd.Context(), l)
		if err != nil {
			return err
		}
		if n.asJSON {
			err = printJSON(cmd.OutOrStdout(), report)
		} else {
			err = report.print(cmd.OutOrStdout(), n.dry)
		}
		if err == nil && len(report.Left) > 0 {
			return &exitError{code: exitFound}
		}
		return err
	})
}

// goOn nudges until it is stopped. What keeps a round from being made may be over in the next.
func (n *nudging) goOn(cmd *cobra.Command, l *stuck.Looker) error {
	ctx := cmd.Context()
	n.log.Info("looking for lost events", "every", n.every, "older_than", n.older)
	for {
		report, err := n.round(ctx, l)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			n.log.Error("orders could not be looked at", "error", err)
		case n.asJSON:
			err = printJSON(cmd.OutOrStdout(), report)
		default:
			report.tell(n.log)
		}
		if errors.Is(err, io.ErrClosedPipe) {
			return err
		}
		select {
		case <-time.After(n.every):
		case <-ctx.Done():
			return nil
		}
	}
}

// nudged is what one round has done.
type nudged struct {
	RunID    uuid.UUID `json:"run_id"`
	LookedAt int       `json:"looked_at"`
	Nudged   []wait    `json:"nudged"`
	Left     []wait    `json:"left"`
	Rest     []wait    `json:"rest"` // of orders that were named: what needs no nudge
}

// round looks at the orders once and nudges those that can be helped.
func (n *nudging) round(ctx context.Context, l *stuck.Looker) (nudged, error) {
	report := nudged{RunID: uuid.New(), Nudged: []wait{}, Left: []wait{}, Rest: []wait{}}
	cases, err := n.look(ctx, l)
	if err != nil {
		return report, err
	}
	report.LookedAt = len(cases)
	var lost []*stuck.Wait
	helped := map[*stuck.Case][]*stuck.Wait{}
	for _, c := range cases {
		for _, w := range c.Waits {
			if n.helps(w) {
				helped[c] = append(helped[c], w)
			}
		}
		lost = append(lost, helped[c]...)
	}
	n.warn(lost)
	var invalid []*stuck.Wait
	if !n.dry && len(lost) > 0 {
		if invalid, err = l.Nudge(ctx, report.RunID, lost); err != nil {
			return report, err
		}
	}
	now := time.Now()
	for _, c := range cases {
		var failed []*stuck.Wait
		for _, w := range helped[c] {
			if slices.Contains(invalid, w) {
				failed = append(failed, w)
				continue
			}
			report.Nudged = append(report.Nudged, waitOf(w))
			if !n.dry {
				n.done[w.ID] = now
			}
		}
		switch {
		case len(failed) == len(helped[c]) && c.Stuck(n.deadline):
			report.leave(c, c.Waits)
		case len(failed) > 0:
			report.leave(c, failed)
		case len(helped[c]) == 0 && len(n.ids) > 0:
			report.rest(c)
		}
	}
	return report, nil
}

func (n *nudging) look(ctx context.Context, l *stuck.Looker) ([]*stuck.Case, error) {
	maps.DeleteFunc(n.done, func(_ uuid.UUID, at time.Time) bool { return time.Since(at) >= n.patience() })
	if len(n.ids) > 0 {
		return lookAtEach(ctx, l, n.ids)
	}
	ids, err := n.find(ctx, l)
	if err != nil {
		return nil, err
	}
	return l.Look(ctx, ids)
}

// helps tells whether to publish the event of a wait again. What was published a while ago, and is lost again, is not the fault of the message:
// it is left for somebody to look at, and tried again much later.
func (n *nudging) helps(w *stuck.Wait) bool {
	if last, ok := n.done[w.ID]; ok {
		w.Told += fmt.Sprintf("; it was published again at %s", moment(last))
		return false
	}
	return w.Place == stuck.Lost || n.force && w.Place != stuck.Expired && w.Place != stuck.Unnamed
}

// warn tells of what takes back what somebody has mended, which only --force does.
func (n *nudging) warn(waits []*stuck.Wait) {
	for _, w := range waits {
		if w.Edit != nil {
			fmt.Fprintf(n.stderr, "warning: order %s: %s is published as the order was placed, though %s edited its %s in %s at %s\n", w.Data.Subject(), w.Data.Type(),
				plain(w.Edit.Who), plain(w.Edit.Type), plain(w.Edit.From), moment(w.Edit.At))
		}
	}
}

// patience is for how long what was published again is left alone.
func (n *nudging) patience() time.Duration { return max(n.deadline, n.every) }

// leave notes an order that waits, and that nothing was done for.
func (r *nudged) leave(c *stuck.Case, waits []*stuck.Wait) {
	for _, w := range waits {
		r.Left = append(r.Left, waitOf(w))
	}
	if len(waits) == 0 {
		r.Left = append(r.Left, wait{OrderID: c.Order.OrderID, Place: stuck.Unknown, Told: "every service has handled what the others have said"})
	}
}

// rest notes an order that was named, and goes on by itself or has ended.
func (r *nudged) rest(c *stuck.Case) {
	for _, w := range c.Waits {
		r.Rest = append(r.Rest, waitOf(w))
	}
	if len(c.Waits) == 0 {
		r.Rest = append(r.Rest, wait{OrderID: c.Order.OrderID, Told: "it is " + string(c.Order.Status) + ", and every service has handled what the others have said"})
	}
}

// waitsShown is how much people are shown of what was done, and of what was not.
const waitsShown = 20

func (r nudged) print(w io.Writer, dry bool) error {
	how := "published again:"
	if dry {
		how = "would be published again:"
	}
	for i, one := range r.Nudged {
		if i == waitsShown {
			fmt.Fprintf(w, "and %d more, see --json\n", len(r.Nudged)-i)
			break
		}
		fmt.Fprintf(w, "%s: %s %s for %s: %s\n", one.OrderID, how, one.EventType, one.Queue, plain(one.Told))
	}
	for i, one := range r.Left {
		if i == waitsShown {
			fmt.Fprintf(w, "and %d more, see --json\n", len(r.Left)-i)
			break
		}
		fmt.Fprintf(w, "%s: left, waits for %s, %s: %s\n", one.OrderID, one.Queue, one.Place, plain(one.Told))
		if one.Next != "" {
			fmt.Fprintf(w, "  next: %s\n", plain(one.Next))
		}
	}
	for _, one := range r.Rest {
		if one.Queue == "" {
			fmt.Fprintf(w, "%s: nothing to nudge: %s\n", one.OrderID, plain(one.Told))
		} else {
			fmt.Fprintf(w, "%s: not nudged, since nothing is shown to be lost: it waits for %s, %s: %s\n", one.OrderID, one.Queue, one.Place, plain(one.Told))
		}
	}
	orders := func(waits []wait) int {
		ids := map[uuid.UUID]bool{}
		for _, one := range waits {
			ids[one.OrderID] = true
		}
		return len(ids)
	}
	what := "nudged"
	if dry {
		what = "would be nudged"
	}
	_, err := fmt.Fprintf(w, "%d of %d orders %s, %d left that need something else\n", orders(r.Nudged), r.LookedAt, what, orders(r.Left))
	return err
}

// tell logs what was done.
func (r nudged) tell(log *slog.Logger) {
	for _, one := range r.Nudged {
		log.Warn("lost event published again", "order_id", one.OrderID, "event_id", one.EventID, "type", one.EventType, "queue", one.Queue, "run_id", r.RunID)
	}
	if len(r.Left) > 0 {
		log.Warn("orders are left that wait for something else", "waits", len(r.Left), "order_id", r.Left[0].OrderID, "queue", r.Left[0].Queue,
			"place", r.Left[0].Place, "next", r.Left[0].Next)
	}
}
