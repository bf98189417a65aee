package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"orderflow/pkg/broker"
	"orderflow/pkg/dlq"
)

func newDLQShow() *cobra.Command {
	var limit int
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "show QUEUE",
		Short: "Show the dead letters of a queue, oldest first",
		Long:  `Show the dead letters of a queue, oldest first. With --json they are whole: with all properties, headers and the body.`,
		Args:  usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkLimit(limit); err != nil {
				return err
			}
			return withBroker(cmd, func(b *broker.Broker) error {
				queues, err := findQueues(cmd.Context(), b, args)
				if err != nil {
					return err
				}
				if asJSON {
					return showJSON(cmd, b, queues[0], limit)
				}
				return showText(cmd, b, queues[0], limit)
			})
		},
	}
	limitFlag(cmd, &limit, 20, "show this many at most")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func showText(cmd *cobra.Command, b *broker.Broker, queue string, limit int) error {
	name, w, shown := broker.DeadLetterQueue(queue), cmd.OutOrStdout(), 0
	depth, err := dlq.Look(cmd.Context(), b, name, limit, func(l dlq.Letter) error {
		shown++
		return printLetter(w, shown, l)
	})
	if errors.Is(err, broker.ErrNoQueue) {
		_, err = fmt.Fprintf(w, "%s does not exist yet: the service that owns it has never run here\n", name)
		return err
	}
	if err != nil {
		return fmt.Errorf("look at %s: %w", name, err)
	}
	if shown < depth {
		_, err = fmt.Fprintf(w, "%s: %d of %s shown, see --limit\n", name, shown, count(depth))
	} else {
		_, err = fmt.Fprintf(w, "%s: %s\n", name, count(depth))
	}
	return err
}

func printLetter(w io.Writer, n int, l dlq.Letter) error {
	or := func(s string) string {
		if s = plain(s); s == "" {
			return "-"
		}
		return s
	}
	_, err := fmt.Fprintf(w, `%d. %s: %s
   id        %s
   order     %s
   died in   %s
   attempts  %d, replayed %d times
   failed    %s first, dead %s
   error     %s

`, n, or(l.Type), or(l.Reason), or(l.ID), or(l.CorrelationID), or(l.Queue), l.Attempts, l.Replays,
		moment(l.FirstFailedAt), moment(l.DeadAt), or(l.Error))
	return err
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

func showJSON(cmd *cobra.Command, b *broker.Broker, queue string, limit int) error {
	name, letters := broker.DeadLetterQueue(queue), []letter{}
	depth, err := dlq.Look(cmd.Context(), b, name, limit, func(l dlq.Letter) error {
		letters = append(letters, whole(l))
		return nil
	})
	absent := errors.Is(err, broker.ErrNoQueue)
	if err != nil && !absent {
		return fmt.Errorf("look at %s: %w", name, err)
	}
	return printJSON(cmd.OutOrStdout(), map[string]any{
		"queue": queue, "dlq": name, "exists": !absent, "depth": depth, "messages": letters,
	})
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
