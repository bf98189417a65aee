package dlq

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/google/uuid"

	"orderflow/pkg/broker"
	"orderflow/pkg/event"
)

// Patch is a change of a body: a JSON Patch (RFC 6902) or a merge patch (RFC 7396).
type Patch struct {
	text  []byte
	apply func(body []byte) ([]byte, error)
}

// ParsePatch reads a patch: a list is a JSON Patch, an object a merge patch.
func ParsePatch(text []byte) (*Patch, error) {
	text = bytes.TrimSpace(text)
	if !json.Valid(text) {
		return nil, errors.New("the patch is no JSON")
	}
	switch text[0] {
	case '[':
		patch, err := jsonpatch.DecodePatch(text)
		if err != nil {
			return nil, fmt.Errorf("the JSON Patch cannot be read: %w", err)
		}
		if len(patch) == 0 {
			return nil, errors.New("the JSON Patch has no operations")
		}
		options := jsonpatch.NewApplyOptions()
		options.EscapeHTML = false
		return &Patch{text, func(body []byte) ([]byte, error) { return patch.ApplyWithOptions(body, options) }}, nil
	case '{':
		return &Patch{text, func(body []byte) ([]byte, error) { return jsonpatch.MergePatch(body, text) }}, nil
	}
	return nil, errors.New("a patch is a list of operations (JSON Patch) or an object (merge patch)")
}

// Edit is the action that sends patched copies of dead letters to the queues that they died in, as if they had never failed; keep takes the
// letters as they were. A copy is one of catalog's events, or it is not sent. It has the id of the letter, so that a queue that has handled
// one of them does not handle the other, or, with newID, another one, which is the same however often the letter is edited in the same way.
func Edit(catalog *event.Catalog, patch *Patch, newID bool, keep *Store) Action {
	return Action{Name: "edit", Done: Edited, Keep: keep, Send: func(l *Letter, run string) (broker.Message, error) {
		m := l.again(run)
		if !isObject(l.Body) {
			return m, errors.New("its body is no JSON object")
		}
		body, err := patch.apply(l.Body)
		switch {
		case err != nil:
			return m, fmt.Errorf("the patch cannot be applied: %w", err)
		case !isObject(body):
			return m, errors.New("patched, it is no JSON object")
		case jsonpatch.Equal(l.Body, body):
			return m, errors.New("the patch changes nothing")
		}
		if newID {
			if body, err = renamed(l, patch, body); err != nil {
				return m, err
			}
		}
		e, err := catalog.Decode(body)
		switch {
		case err != nil:
			return m, fmt.Errorf("patched, it is no valid event: %w", err)
		case catalog.Known(body) != nil && catalog.Known(l.Body) == nil:
			return m, fmt.Errorf("patched, it has a field that no event has: %w", catalog.Known(body))
		case !newID && l.ID != "" && e.ID.String() != l.ID:
			return m, fmt.Errorf("patched, it has the id %s, which is not its own; leave it, or use --new-id", e.ID)
		}
		m.ID, m.Type, m.CorrelationID, m.Body = e.ID.String(), string(e.Data.Type()), e.CorrelationID, body
		return m, nil
	}}
}

// isObject tells whether a body is what a patch can be applied to.
func isObject(body []byte) bool {
	return bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n"), []byte("{")) && json.Valid(body)
}

// renamed gives a patched body an id that follows from the letter and the patch. It keeps the time of the old one, by which inboxes remember,
// or takes that of the death where the old one was none of an event.
func renamed(l *Letter, patch *Patch, body []byte) ([]byte, error) {
	old, err := uuid.Parse(l.ID)
	if err != nil || old.Version() != 7 {
		if l.DeadAt.IsZero() {
			return nil, fmt.Errorf("its id %q is none of an event, and nothing tells when it died, so that no id can be made for it", l.ID)
		}
		old = event.FirstID(l.DeadAt)
	}
	sum := sha256.New()
	fmt.Fprintf(sum, "%d %s", len(l.ID), l.ID)
	sum.Write(l.Body)
	sum.Write(patch.text)
	id := uuid.UUID(sum.Sum(nil)[:16])
	copy(id[:6], old[:6])
	id[6], id[8] = 0x70|id[6]&0x0f, 0x80|id[8]&0x3f // version 7, and the variant of RFC 9562
	return jsonpatch.MergePatch(body, fmt.Appendf(nil, `{"id":%q}`, id))
}
