package event

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"
)

const (
	// ContentType is the media type of an encoded event: CloudEvents 1.0, structured mode.
	ContentType = "application/cloudevents+json"
	// MaxSize is the largest encoded event that Decode accepts, in bytes. An order of 500 items stays well below it.
	MaxSize = 1 << 20

	// MaxForeign is how many characters an id that others make may have.
	MaxForeign = 1000

	specVersion  = "1.0"
	dataType     = "application/json"
	schemaPrefix = "urn:orderflow:event:"
)

var (
	// ErrInvalid marks a message that is not an event of the catalog; it stays so however often it is delivered.
	ErrInvalid = errors.New("invalid event")
	// ErrUnsupportedVersion marks an event of a known type in a version that this program cannot read.
	ErrUnsupportedVersion = errors.New("unsupported event version")
)

// Type names what happened, in the past tense: "OrderPlaced".
type Type string

// Payload is the data of one type of event.
type Payload interface {
	// Type is the type of event that carries this payload.
	Type() Type
	// Subject is the id of what the event is about.
	Subject() uuid.UUID
	// Validate reports the first thing that is wrong with the payload, as a *FieldError.
	Validate() error
}

// Event is a fact: an envelope and its payload. It is immutable once made.
type Event struct {
	ID            uuid.UUID // UUIDv7, the key of every inbox
	Source        string    // the service that says it, "payment"
	Time          time.Time // when it happened, UTC
	CorrelationID string    // the same for everything that one request set off
	CausationID   string    // the id of the event that this one answers, or ""
	TraceParent   string    // W3C trace context, or ""
	Data          Payload
}

// New makes an event that answers no other.
func New(source string, now time.Time, correlationID string, data Payload) *Event {
	return &Event{ID: NewID(), Source: source, Time: now.UTC(), CorrelationID: correlationID, Data: data}
}

// Follow makes an event that answers e: it keeps the correlation and the trace, and names e as its cause.
func (e *Event) Follow(source string, now time.Time, data Payload) *Event {
	f := New(source, now, e.CorrelationID, data)
	f.CausationID, f.TraceParent = e.ID.String(), e.TraceParent
	return f
}

// Type is the type of e's payload.
func (e *Event) Type() Type { return e.Data.Type() }

// Subject is what e is about: the order's id.
func (e *Event) Subject() uuid.UUID { return e.Data.Subject() }

// NewID returns a new UUIDv7: ids that are made later sort later, which keeps indexes and partitions by id cheap.
func NewID() uuid.UUID { return uuid.Must(uuid.NewV7()) }

// IDTime tells when a UUIDv7 was made, to the millisecond.
func IDTime(id uuid.UUID) time.Time {
	ms := int64(id[0])<<40 | int64(id[1])<<32 | int64(id[2])<<24 | int64(id[3])<<16 | int64(id[4])<<8 | int64(id[5])
	return time.UnixMilli(ms).UTC()
}

// FirstID is below every UUIDv7 that is made from a moment on, and above those that were made before, to the millisecond.
func FirstID(at time.Time) (id uuid.UUID) {
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(at.UnixMilli()))
	copy(id[:6], ms[2:])
	return id
}

// envelope is the JSON shape of an event, whose data is a D.
type envelope[D any] struct {
	SpecVersion     string `json:"specversion"`
	ID              string `json:"id"`
	Source          string `json:"source"`
	Type            Type   `json:"type"`
	Subject         string `json:"subject"`
	Time            string `json:"time"`
	DataContentType string `json:"datacontenttype"`
	DataSchema      string `json:"dataschema"`
	CorrelationID   string `json:"correlationid,omitempty"`
	CausationID     string `json:"causationid,omitempty"`
	TraceParent     string `json:"traceparent,omitempty"`
	Data            D      `json:"data"`
}

// Encode returns e as JSON. It fails where e's type is not in the catalog, or where its payload is not valid: what consumers would
// refuse is not sent.
func (c *Catalog) Encode(e *Event) ([]byte, error) {
	if err := e.Data.Validate(); err != nil {
		return nil, fmt.Errorf("encode %s: %w", e.Type(), below("/data", err))
	}
	return c.encode(e)
}

func (c *Catalog) encode(e *Event) ([]byte, error) {
	kind, ok := c.kinds[e.Type()]
	if !ok {
		return nil, fmt.Errorf("encode event: type %q is not in the catalog", e.Type())
	}
	body, err := json.Marshal(&envelope[Payload]{
		SpecVersion:     specVersion,
		ID:              e.ID.String(),
		Source:          "/" + e.Source,
		Type:            kind.Type,
		Subject:         e.Subject().String(),
		Time:            e.Time.UTC().Format(time.RFC3339Nano),
		DataContentType: dataType,
		DataSchema:      kind.versions[0].Schema,
		CorrelationID:   e.CorrelationID,
		CausationID:     e.CausationID,
		TraceParent:     e.TraceParent,
		Data:            e.Data,
	})
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", e.Type(), err)
	}
	return body, nil
}

// Decode reads an event and checks it: the envelope and what the data says in Go, which is quick, and then the data against its JSON Schema.
// It does not ask who says it, since a reaction to a fact is the same whoever tells it, though each event has one owner. Its errors are ErrInvalid or ErrUnsupportedVersion, and say which field is wrong.
func (c *Catalog) Decode(body []byte) (*Event, error) {
	if len(body) > MaxSize {
		return nil, fmt.Errorf("%w: %d bytes, more than the %d that an event may have", ErrInvalid, len(body), MaxSize)
	}
	var env envelope[jsontext.Value]
	if err := json.Unmarshal(body, &env); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, JSONError("", err))
	}
	e, err := env.header()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if len(env.Data) == 0 || string(env.Data) == "null" {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, fieldErrorf("/data", "is missing"))
	}
	version, err := c.find(env.Type, env.DataSchema)
	if err != nil {
		return nil, err
	}
	if e.Data, err = version.decode(env.Data); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrInvalid, env.Type, err)
	}
	if subject := e.Subject().String(); env.Subject != subject {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, fieldErrorf("/subject", "is %q, but the data is about %s", env.Subject, subject))
	}
	if err := version.conform(env.Data, e.Data); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrInvalid, env.Type, err)
	}
	return e, nil
}

// Known is an error where a message has a field that the catalog's event of its type does not have. Consumers ignore such a field; it may be a
// new one, or misspelt.
func (c *Catalog) Known(body []byte) error {
	var env envelope[jsontext.Value]
	if err := json.Unmarshal(body, &env, strict); err != nil {
		return unknown("", err)
	}
	version, err := c.find(env.Type, env.DataSchema)
	if err != nil {
		return nil // then it is none of the events
	}
	return version.known(env.Data)
}

// header checks everything but the data.
func (env *envelope[D]) header() (*Event, error) {
	if env.SpecVersion != specVersion {
		return nil, fieldErrorf("/specversion", "must be %q, is %q", specVersion, env.SpecVersion)
	}
	id, err := uuid.Parse(env.ID)
	if err != nil || id.Version() != 7 || id.String() != env.ID { // some readers compare ids as texts
		return nil, fieldErrorf("/id", "must be a UUIDv7 in small letters, is %q", env.ID)
	}
	if !strings.HasPrefix(env.Source, "/") || len(env.Source) < 2 {
		return nil, fieldErrorf("/source", "must be a slash and a service's name, is %q", env.Source)
	}
	at, err := time.Parse(time.RFC3339Nano, env.Time)
	odd := err == nil && (env.Time[13] != ':' || strings.Contains(env.Time, ",")) // an hour of one digit and a comma are read by Go alone
	if at = at.UTC(); err != nil || odd || at.Year() < 0 || at.Year() > 9999 {    // what its offset moves out of these years cannot be written again
		return nil, fieldErrorf("/time", "must be an RFC 3339 time, is %q", env.Time)
	}
	if err := firstError(
		text("/source", env.Source, true, MaxText), text("/correlationid", env.CorrelationID, false, MaxForeign),
		text("/causationid", env.CausationID, false, MaxForeign), text("/traceparent", env.TraceParent, false, MaxForeign),
	); err != nil {
		return nil, err
	}
	if env.Type == "" {
		return nil, fieldErrorf("/type", "is missing")
	}
	if env.DataContentType != "" && env.DataContentType != dataType { // CloudEvents may leave it out
		return nil, fieldErrorf("/datacontenttype", "must be %q, is %q", dataType, env.DataContentType)
	}
	return &Event{
		ID: id, Source: env.Source[1:], Time: at,
		CorrelationID: env.CorrelationID, CausationID: env.CausationID, TraceParent: env.TraceParent,
	}, nil
}

// parseSchema takes a dataschema apart: "urn:orderflow:event:PaymentProcessed:1".
func parseSchema(s string) (t Type, version int, err error) {
	name, number, found := strings.Cut(strings.TrimPrefix(s, schemaPrefix), ":")
	version, convErr := strconv.Atoi(number)
	if !strings.HasPrefix(s, schemaPrefix) || !found || convErr != nil || version < 1 {
		return "", 0, fieldErrorf("/dataschema", "must be %q<type>:<version>, is %q", schemaPrefix, s)
	}
	return Type(name), version, nil
}

// RespondAs is Respond with one fact, whose event gets an id that is known before: the row that it tells of names it.
func RespondAs(list []*Event, id uuid.UUID, cause *Event, source string, now time.Time, fact Payload) []*Event {
	if fact == nil {
		return list
	}
	e := cause.Follow(source, now, fact)
	e.ID = id
	return append(list, e)
}

// Respond appends to list the events by which a service answers cause with facts; a fact that is nil is nothing to say.
func Respond(list []*Event, cause *Event, source string, now time.Time, facts ...Payload) []*Event {
	for _, fact := range facts {
		if fact != nil {
			list = append(list, cause.Follow(source, now, fact))
		}
	}
	return list
}
