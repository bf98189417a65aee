package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"orderflow/pkg/event"
	"orderflow/pkg/telemetry"
	"orderflow/services/order"
	"orderflow/services/stuck"
)

func newDoctorOrder() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "order ID",
		Short: "Tell where an order stands, what it waits for, where the message is, and what gets it going",
		Long: `Tell where an order stands: its timeline with the time between the steps, what it waits for, where the message for that is and since when, and
the command that gets it going. It changes nothing. Work queues are not looked into, since RabbitMQ counts each look; RABBITMQ_MANAGEMENT_URL
tells how many messages are in flight. Whether a message is lost takes two looks, some seconds apart.

JSON is one object:
  order_id, status, cancel_reason, placed_at, age_seconds
  trace_id       where somebody said, when it was placed, that it belongs to a trace
  overdue        it has not ended, and is older than ORDER_DEADLINE (10m)
  stuck          somebody has to do something
  parts          the status of payment, reservation and shipment, as far as they are there
  timeline       event_id, type, source, time, seen_at, and after_seconds, the time since the line before
  waits          what it waits for, the most important first: queue and service (who has to handle the event), event_id, event_type, said_by,
                 said_at; place (outbox, queue, in_flight, delay_queue, dead_letter, dropped, lost, edited, expired, not_nameable, not_known), since,
                 told (in words); next (what to do)

Exit code: 3 where it is stuck; 0 where it has ended as it should, or goes on by itself and is not overdue.`,
		Example: `  orderflow doctor order 019a8f3e-5b7c-7d21-9a55-3f6f1c2b7a10`,
		Args:    usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			ids, err := orderIDs(args)
			if err != nil {
				return err
			}
			cfg, err := loadConfig()
			if err != nil {
				return err
			}
			return withLooker(cmd, cfg, false, func(l *stuck.Looker) error {
				cases, err := lookAtEach(cmd.Context(), l, ids)
				if err != nil {
					return err
				}
				report := diagnose(cases[0], cfg.OrderDeadline)
				if asJSON {
					err = printJSON(cmd.OutOrStdout(), report)
				} else {
					err = report.print(cmd.OutOrStdout())
				}
				if err == nil && report.Stuck {
					return &exitError{code: exitFound}
				}
				return err
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// diagnosis is what doctor order prints.
type diagnosis struct {
	OrderID      uuid.UUID          `json:"order_id"`
	Status       order.Status       `json:"status"`
	CancelReason event.CancelReason `json:"cancel_reason,omitzero"`
	PlacedAt     time.Time          `json:"placed_at"`
	TraceID      string             `json:"trace_id,omitempty"`
	Age          float64            `json:"age_seconds"`
	Overdue      bool               `json:"overdue"`
	Stuck        bool               `json:"stuck"`
	Parts        map[string]string  `json:"parts"`
	Timeline     []happening        `json:"timeline"`
	Waits        []wait             `json:"waits"`

	of *stuck.Case
}

type happening struct {
	EventID uuid.UUID  `json:"event_id"`
	Type    event.Type `json:"type"`
	Source  string     `json:"source"`
	Time    time.Time  `json:"time"`
	SeenAt  time.Time  `json:"seen_at"`
	After   float64    `json:"after_seconds"`
}

func diagnose(c *stuck.Case, deadline time.Duration) diagnosis {
	d := diagnosis{
		OrderID: c.Order.OrderID, Status: c.Order.Status, CancelReason: c.Order.CancelReason, PlacedAt: c.Order.PlacedAt.UTC(),
		TraceID: telemetry.TraceID(c.Order.TraceParent), Age: c.Age.Seconds(), Overdue: c.Overdue(deadline), Stuck: c.Stuck(deadline),
		Parts: map[string]string{}, Timeline: []happening{}, Waits: []wait{}, of: c,
	}
	if c.Payment != nil {
		d.Parts["payment"] = string(c.Payment.Status)
	}
	if c.Reservation != nil {
		d.Parts["reservation"] = string(c.Reservation.Status)
	}
	if c.Shipment != nil {
		d.Parts["shipment"] = string(c.Shipment.Status)
	}
	for i, s := range c.Timeline {
		h := happening{EventID: s.EventID, Type: s.Type, Source: s.Source, Time: s.Time.UTC(), SeenAt: s.SeenAt.UTC()}
		if i > 0 {
			h.After = s.Time.Sub(c.Timeline[i-1].Time).Seconds()
		}
		d.Timeline = append(d.Timeline, h)
	}
	for _, w := range c.Waits {
		d.Waits = append(d.Waits, waitOf(w))
	}
	return d
}

func (d diagnosis) print(w io.Writer) error {
	reason := ""
	if d.CancelReason != "" {
		reason = " (" + plain(string(d.CancelReason)) + ")"
	}
	fmt.Fprintf(w, "order %s is %s%s; it was placed %s, %s ago\n\n", d.OrderID, plain(string(d.Status)), reason, moment(d.PlacedAt), ago(d.of.Age))
	if d.TraceID != "" {
		fmt.Fprintf(w, "trace %s\n\n", d.TraceID)
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for i, h := range d.Timeline {
		after := ""
		if i > 0 {
			after = "+" + ago(time.Duration(h.After*float64(time.Second)))
		}
		fmt.Fprintf(table, "  %s\t%s\t%s\t%s\n", h.Time.Format("2006-01-02T15:04:05.000Z"), after, plain(string(h.Type)), h.EventID)
	}
	for _, part := range []string{"payment", "reservation", "shipment"} {
		if status := d.Parts[part]; status != "" {
			fmt.Fprintf(table, "  %s\t%s\n", part, plain(status))
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for i, wait := range d.of.Waits {
		said := ""
		if !wait.At.IsZero() {
			said = fmt.Sprintf(" %s ago", ago(time.Since(wait.At)))
		}
		fmt.Fprintf(w, "\nwaits for %s to handle %s, said by %s%s\n", wait.Queue, wait.Data.Type(), wait.Owner, said)
		since := ""
		if !wait.Since.IsZero() && wait.Place != stuck.Lost {
			since = ", since " + moment(wait.Since)
		}
		fmt.Fprintf(w, "  %s%s: %s\n  next: %s\n", inPlace(wait), since, plain(wait.Told), plain(d.Waits[i].Next))
	}
	switch {
	case len(d.Waits) == 0 && d.Status.Ended():
		fmt.Fprintln(w, "\nit has ended, and everybody has followed")
	case len(d.Waits) == 0:
		fmt.Fprintln(w, "\nnothing is found that it waits for: every service has handled what the others have said")
	}
	if d.Overdue {
		fmt.Fprintln(w, "\nit is past its deadline (ORDER_DEADLINE)")
	}
	return nil
}

// ago is a duration for people.
func ago(d time.Duration) string {
	switch {
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Minute:
		return d.Round(time.Second / 10).String()
	}
	return d.Round(time.Second).String()
}
