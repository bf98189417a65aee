package event

import (
	"errors"
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Kind describes one type of event.
type Kind struct {
	Type       Type
	Version    int
	RoutingKey string
	Source     string // the service that sends it
	// Expected says that a queue is bound to it whenever the workflow is deployed: an event that no queue takes is then a
	// failure, to be published again until one does. Events that are only there for others may go to nobody.
	Expected bool

	schema string // its dataschema
	decode func([]byte) (Payload, error)
	known  func([]byte) error
}

// Catalog is the set of events of one workflow, and the exchange that they travel through.
type Catalog struct {
	Exchange string
	kinds    map[Type]*Kind
	order    []*Kind
}

// NewCatalog makes a catalog. It panics on a type that is listed twice: catalogs are package variables.
func NewCatalog(exchange string, kinds ...*Kind) *Catalog {
	c := &Catalog{Exchange: exchange, kinds: make(map[Type]*Kind, len(kinds)), order: kinds}
	for _, k := range kinds {
		if _, twice := c.kinds[k.Type]; twice {
			panic(fmt.Sprintf("event: %s is in the catalog twice", k.Type))
		}
		c.kinds[k.Type] = k
	}
	return c
}

// Kind returns the description of a type, or nil where the catalog does not have it.
func (c *Catalog) Kind(t Type) *Kind { return c.kinds[t] }

// Kinds returns all types, in the order in which the catalog lists them.
func (c *Catalog) Kinds() []*Kind { return c.order }

func (c *Catalog) find(t Type, schema string) (*Kind, error) {
	kind, ok := c.kinds[t]
	if !ok {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, fieldErrorf("/type", "%q is not an event of this workflow", t))
	}
	if schema == kind.schema {
		return kind, nil
	}
	name, version, err := parseSchema(schema)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if name != t {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, fieldErrorf("/dataschema", "is of %s, but the type is %s", name, t))
	}
	if version != kind.Version {
		return nil, fmt.Errorf("%w: %s version %d, this program reads version %d", ErrUnsupportedVersion, t, version, kind.Version)
	}
	return kind, nil
}

// checked spares the decoder what it has seen to already, when it read the envelope around the data.
var checked = json.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))

// strict refuses fields that are not known.
var strict = json.RejectUnknownMembers(true)

// unknown is err where that is about a field that is not known, and nil otherwise.
func unknown(parent string, err error) error {
	if errors.Is(err, json.ErrUnknownName) {
		return JSONError(parent, err)
	}
	return nil
}

// kindOf describes an event type whose data is a P.
func kindOf[P any, PP interface {
	*P
	Payload
}](version int, source, routingKey string, expected bool) *Kind {
	name := PP(new(P)).Type()
	return &Kind{
		Type: name, Version: version, RoutingKey: routingKey, Source: source, Expected: expected,
		schema: fmt.Sprintf("%s%s:%d", schemaPrefix, name, version),
		decode: func(data []byte) (Payload, error) {
			p := PP(new(P))
			if err := json.Unmarshal(data, p, checked); err != nil {
				return nil, JSONError("/data", err)
			}
			return p, below("/data", p.Validate())
		},
		known: func(data []byte) error { return unknown("/data", json.Unmarshal(data, new(P), checked, strict)) },
	}
}
