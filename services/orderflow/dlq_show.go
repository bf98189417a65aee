package main

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"orderflow/pkg/broker"
	"orderflow/pkg/dlq"
)

func newDLQShow() *cobra.Command {
	s := &showCommand{}
	cmd := &cobra.Command{
		Use:   "show QUEUE",
		Short: "Show the dead letters of a queue, oldest first",
		Long:  `Show the dead letters of a queue, oldest first. With --json they are whole: with all properties, headers and the body.`,
		Example: `  orderflow dlq show payment.order-placed
  orderflow dlq show payment.order-placed --id 019a8f3e-5b7c-7d21-9a55-3f6f1c2b7a10
  orderflow dlq show payment.order-placed --where 'data.customer_id == "customer-1"' --json`,
		Args: usageArgs(cobra.ExactArgs(1)),
		RunE: s.run,
	}
	limitFlag(cmd, &s.limit, 20, "show this many at most")
	whereFlag(cmd, &s.where, "show only those")
	cmd.Flags().StringVar(&s.id, "id", "", "show the messages with this id, whole")
	forceFlag(cmd, &s.force)
	cmd.Flags().BoolVar(&s.asJSON, "json", false, "print JSON")
	return cmd
}

// showCommand is one call of dlq show.
type showCommand struct {
	limit         int
	where         where
	id            string
	asJSON, force bool
}

func (s *showCommand) choice() choice { return choice{where: s.where.Filter, id: s.id, limit: s.limit} }

func (s *showCommand) run(cmd *cobra.Command, args []string) error {
	if err := cmp.Or(checkLimit(s.limit), notEmpty(cmd, "id")); err != nil {
		return err
	}
	return withBroker(cmd, func(b *broker.Broker) error {
		queues, err := findQueues(cmd.Context(), b, args)
		if err != nil {
			return err
		}
		from := sources(cmd, b, queues, s.force)[0]
		if s.asJSON {
			return s.json(cmd, b, from)
		}
		return s.text(cmd, b, from)
	})
}

func (s *showCommand) text(cmd *cobra.Command, b *broker.Broker, from dlq.Source) error {
	name, w := from.Queue, cmd.OutOrStdout()
	seen, err := s.choice().look(cmd.Context(), b, from, func(n int, l dlq.Letter) error {
		if err := printLetter(w, n, l); err != nil || s.id == "" {
			return err
		}
		return printWhole(w, l)
	})
	if errors.Is(err, broker.ErrNoQueue) {
		_, err = fmt.Fprintf(w, "%s does not exist yet: the service that owns it has never run here\n", name)
		return err
	}
	if err != nil {
		return err
	}
	switch {
	case s.missing(seen) != nil:
		return s.missing(seen)
	case seen.full:
		_, err = fmt.Fprintf(w, "%s: %d of %s shown, see --limit\n", name, seen.chosen, count(seen.depth))
	case seen.chosen < seen.depth:
		_, err = fmt.Fprintf(w, "%s: %d of %s match\n", name, seen.chosen, count(seen.depth))
	default:
		_, err = fmt.Fprintf(w, "%s: %s\n", name, count(seen.depth))
	}
	return errors.Join(err, printDoubt(w, name, seen.doubts, seen.doubt))
}

// missing is the error where the message that was asked for is not in the queue.
func (s *showCommand) missing(seen sight) error {
	if s.id == "" || seen.chosen > 0 {
		return nil
	}
	return fmt.Errorf("there is no message with the id %q among %s", s.id, count(seen.depth))
}

func printLetter(w io.Writer, n int, l dlq.Letter) error {
	or := func(s string) string {
		if s = plain(s); s == "" {
			return "-"
		}
		return s
	}
	times := "times"
	if l.Replays == 1 {
		times = "time"
	}
	_, err := fmt.Fprintf(w, `%d. %s: %s
   id        %s
   order     %s
   died in   %s
   attempts  %d, replayed %d %s
   failed    %s first, dead %s
   error     %s

`, n, or(l.Type), or(l.Reason), or(l.ID), or(l.CorrelationID), or(l.Queue), l.Attempts, l.Replays, times,
		moment(l.FirstFailedAt), moment(l.DeadAt), or(l.Error))
	return err
}

// printWhole prints the headers and the body, indented where it is JSON.
func printWhole(w io.Writer, l dlq.Letter) error {
	fmt.Fprintln(w, "   headers")
	for _, name := range slices.Sorted(maps.Keys(l.Headers)) {
		fmt.Fprintf(w, "     %s: %s\n", plain(name), plain(string(rawJSON(l.Headers[name]))))
	}
	var body bytes.Buffer
	switch {
	case json.Indent(&body, l.Body, "     ", "  ") == nil:
	case utf8.Valid(l.Body):
		body.WriteString(plain(string(l.Body)))
	default:
		body.WriteString(base64.StdEncoding.EncodeToString(l.Body) + " (base64)")
	}
	_, err := fmt.Fprintf(w, "   body, %d bytes\n     %s\n\n", len(l.Body), printable(body.String()))
	return err
}

// printable is a text of many lines as a terminal can show it.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && !unicode.IsPrint(r) {
			return '\uFFFD'
		}
		return r
	}, text)
}

// letter is a dead letter as dlq show prints it for programs.
type letter struct {
	ID              string                     `json:"id,omitzero"`
	Type            string                     `json:"type,omitzero"`
	OrderID         string                     `json:"order_id,omitzero"` // the correlation id
	DiedIn          string                     `json:"died_in,omitzero"`
	Reason          string                     `json:"reason,omitzero"`
	Error           string                     `json:"error,omitzero"`
	Attempts        int64                      `json:"attempts"`
	FirstFailedAt   time.Time                  `json:"first_failed_at,omitzero"`
	DeadAt          time.Time                  `json:"dead_at,omitzero"`
	Replays         int64                      `json:"replays"`
	ReplayID        string                     `json:"replay_id,omitzero"`
	RoutingKey      string                     `json:"routing_key"`
	AppID           string                     `json:"app_id,omitzero"`
	ContentType     string                     `json:"content_type,omitzero"`
	ContentEncoding string                     `json:"content_encoding,omitzero"`
	ReplyTo         string                     `json:"reply_to,omitzero"`
	Priority        uint8                      `json:"priority,omitzero"`
	Timestamp       json.RawMessage            `json:"timestamp,omitempty"`
	Headers         map[string]json.RawMessage `json:"headers"`
	Body            *string                    `json:"body,omitempty"`        // where it is text
	BodyBase64      []byte                     `json:"body_base64,omitempty"` // where it is not
}

func (s *showCommand) json(cmd *cobra.Command, b *broker.Broker, from dlq.Source) error {
	letters := []letter{}
	seen, err := s.choice().look(cmd.Context(), b, from, func(_ int, l dlq.Letter) error {
		letters = append(letters, whole(l))
		return nil
	})
	absent := errors.Is(err, broker.ErrNoQueue)
	if err != nil && !absent {
		return err
	}
	report := map[string]any{"queue": workQueue(from.Queue), "dlq": from.Queue, "exists": !absent, "depth": seen.depth, "messages": letters}
	if seen.doubt != nil {
		report["where_error"] = seen.doubt.Error()
	}
	return errors.Join(printJSON(cmd.OutOrStdout(), report), s.missing(seen))
}

func whole(l dlq.Letter) letter {
	s := letter{
		ID: l.ID, Type: l.Type, OrderID: l.CorrelationID, DiedIn: l.Queue, Reason: l.Reason, Error: l.Error, Attempts: l.Attempts,
		FirstFailedAt: l.FirstFailedAt, DeadAt: l.DeadAt, Replays: l.Replays, ReplayID: l.ReplayID, RoutingKey: l.RoutingKey,
		AppID: l.AppID, ContentType: l.ContentType, ContentEncoding: l.ContentEncoding, ReplyTo: l.ReplyTo, Priority: l.Priority,
		Headers: make(map[string]json.RawMessage, len(l.Headers)),
	}
	if !l.Timestamp.IsZero() {
		s.Timestamp = rawJSON(l.Timestamp)
	}
	for name, value := range l.Headers {
		s.Headers[name] = rawJSON(value)
	}
	if utf8.Valid(l.Body) {
		text := string(l.Body)
		s.Body = &text
	} else {
		s.BodyBase64 = l.Body
	}
	return s
}

// rawJSON is a value that somebody has put on a message. Some have no JSON: a time in milliseconds where seconds belong is in
// the year 50,000.
func rawJSON(value any) json.RawMessage {
	text, err := json.Marshal(value)
	if err != nil {
		text, _ = json.Marshal(fmt.Sprint(value))
	}
	return text
}
