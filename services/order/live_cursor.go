package order

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"slices"

	"github.com/google/uuid"
)

// cursor names the events of an order that a client has, each by markSize bytes; there are few. So what the client lacks is known without
// an order of the events that clocks would have to keep.
type cursor []byte

const markSize = 8

func markOf(id uuid.UUID) []byte {
	return binary.BigEndian.AppendUint64(nil, binary.BigEndian.Uint64(id[:8])^binary.BigEndian.Uint64(id[8:]))
}

func (c cursor) String() string { return base64.RawURLEncoding.EncodeToString(c) }

// has tells whether the client has an event.
func (c cursor) has(id uuid.UUID) bool {
	mark := markOf(id)
	for one := range slices.Chunk(c, markSize) {
		if bytes.Equal(one, mark) {
			return true
		}
	}
	return false
}

// with is the cursor of a client that gets one more event.
func (c cursor) with(id uuid.UUID) cursor { return append(c, markOf(id)...) }

// hasAll tells whether the client has a whole timeline.
func (c cursor) hasAll(timeline []moment) bool {
	return !slices.ContainsFunc(timeline, func(m moment) bool { return !c.has(m.ID) })
}

// parseCursor reads a cursor that was given out for a timeline; "" is that of a client that has nothing. It is false for everything else.
func parseCursor(given string, timeline []moment) (cursor, bool) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(given)
	if err != nil {
		return nil, false
	}
	var known cursor
	for _, m := range timeline {
		if cursor(raw).has(m.ID) {
			known = known.with(m.ID)
		}
	}
	return known, len(known) == len(raw)
}
