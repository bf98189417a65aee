package dlq

import (
	"context"
	"encoding/json"

	"github.com/google/uuid"

	"orderflow/pkg/broker"
	"orderflow/pkg/flow"
)

// Verdict is what the inbox of a queue says about an event that would be sent to it.
type Verdict string

const (
	New       Verdict = "new"     // it will be handled
	Handled   Verdict = "done"    // it was handled before: sending it again has no effect
	Forgotten Verdict = "unknown" // it is older than the inbox remembers: nobody can tell whether it was handled, and the service refuses it
	NoVerdict Verdict = ""        // the queue has no inbox that could be asked
)

// Inboxes are those that can be asked, by the names of their queues.
type Inboxes map[string]*flow.Memory

// ask finds the verdicts, of each queue at once.
func (w *task) ask(ctx context.Context, some []*held) error {
	byQueue := map[string][]*held{}
	for _, h := range some {
		h.eventID = eventID(h.copy)
		if w.Inboxes[h.outcome.Target] != nil {
			byQueue[h.outcome.Target] = append(byQueue[h.outcome.Target], h)
		}
	}
	for queue, mine := range byQueue {
		if err := judge(ctx, w.Inboxes[queue], queue, mine); err != nil {
			return err
		}
	}
	return nil
}

// judge finds the verdicts of one inbox. What has no id of an event is new to the service, which will refuse it.
func judge(ctx context.Context, inbox *flow.Memory, queue string, some []*held) error {
	ids := make([]uuid.UUID, 0, len(some))
	for _, h := range some {
		switch {
		case h.eventID == uuid.Nil:
			h.outcome.Verdict = New
		case !inbox.Remembers(h.eventID):
			h.outcome.Verdict = Forgotten
		default:
			ids = append(ids, h.eventID)
		}
	}
	handled, err := inbox.Handled(ctx, queue, ids)
	if err != nil {
		return err
	}
	for _, h := range some {
		if h.outcome.Verdict != NoVerdict {
			continue
		}
		h.outcome.Verdict = New
		if handled[h.eventID] {
			h.outcome.Verdict = Handled
		}
	}
	return nil
}

// eventID is the id by which a service will remember a message: that in the event. Where the body has none, the service takes no note of it.
func eventID(m broker.Message) uuid.UUID {
	var envelope struct {
		ID uuid.UUID `json:"id"`
	}
	if json.Unmarshal(m.Body, &envelope) != nil || envelope.ID.Version() != 7 {
		return uuid.Nil
	}
	return envelope.ID
}
