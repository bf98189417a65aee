package event

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Kind describes one type of event.
type Kind struct {
	Type       Type
	Version    int // that is sent
	RoutingKey string
	Source     string // the service that sends it
	// Expected says that a queue is bound to it whenever the workflow is deployed: an event that no queue takes is then a
	// failure, to be published again until one does. Events that are only there for others may go to nobody.
	Expected bool

	versions   []*Version
	catalogued bool
}

// Versions returns those that can be read, the one that is sent first.
func (k *Kind) Versions() []*Version { return k.versions }

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
		c.kinds[k.Type], k.catalogued = k, true
	}
	return c
}

// Against makes Decode refuse what does not keep to the JSON Schemas in files, of which there is one for each type and version, and
// returns the catalog. Decode panics where the schema that it needs is not there, or is none.
func (c *Catalog) Against(files fs.FS) *Catalog {
	for _, k := range c.order {
		for _, v := range k.versions {
			v.check = checker(files, v)
		}
	}
	return c
}

// Kind returns the description of a type, or nil where the catalog does not have it.
func (c *Catalog) Kind(t Type) *Kind { return c.kinds[t] }

// Kinds returns all types, in the order in which the catalog lists them.
func (c *Catalog) Kinds() []*Kind { return c.order }

func (c *Catalog) find(t Type, schema string) (*Version, error) {
	kind, ok := c.kinds[t]
	if !ok {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, fieldErrorf("/type", "%q is not an event of this workflow", t))
	}
	for _, v := range kind.versions {
		if schema == v.Schema {
			return v, nil
		}
	}
	name, number, err := parseSchema(schema)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if name != t {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, fieldErrorf("/dataschema", "is of %s, but the type is %s", name, t))
	}
	for _, v := range kind.versions {
		if number == v.Number {
			return v, nil
		}
	}
	return nil, fmt.Errorf("%w: %s version %d, this program reads %s", ErrUnsupportedVersion, t, number, kind.readable())
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

// NewKind describes an event type whose data is a P.
func NewKind[P any, PP payload[P]](version int, source, routingKey string, expected bool) *Kind {
	return &Kind{
		Type: PP(new(P)).Type(), Version: version, RoutingKey: routingKey, Source: source, Expected: expected,
		versions: []*Version{newVersion(version, func(p PP) (Payload, error) { return p, nil })},
	}
}
