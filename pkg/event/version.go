package event

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"

	"github.com/go-json-experiment/json"
)

// Version is one version of a type of event that can be read.
type Version struct {
	Number int
	Schema string       // its dataschema: "urn:orderflow:event:PaymentProcessed:1"
	Data   reflect.Type // what its data is in Go, a struct

	decode func([]byte) (Payload, error)
	known  func([]byte) error
	check  func(data []byte) error // against its JSON Schema, or nil
}

// File is the name of the version's JSON Schema: "PaymentProcessed.v1.json".
func (v *Version) File() string {
	name, number, _ := strings.Cut(strings.TrimPrefix(v.Schema, schemaPrefix), ":")
	return fmt.Sprintf("%s.v%s.json", name, number)
}

// conform checks data against the version's schema, unless it is byte for byte what Encode would make of the payload that was read from it. That keeps
// to the schema: Encode says nothing else, and asks Validate, as the one who has read it did. To write it again takes a tenth of the time.
func (v *Version) conform(data []byte, p Payload) error {
	if v.check == nil {
		return nil
	}
	if again, err := json.Marshal(p); err == nil && bytes.Equal(again, data) {
		return nil
	}
	return v.check(data)
}

// payload is a pointer to a P that is a Payload.
type payload[P any] interface {
	*P
	Payload
}

// newVersion describes a version whose data is a P, and which lift makes what the program works with.
func newVersion[P any, PP payload[P]](number int, lift func(PP) (Payload, error)) *Version {
	return &Version{
		Number: number, Schema: fmt.Sprintf("%s%s:%d", schemaPrefix, PP(new(P)).Type(), number), Data: reflect.TypeFor[P](),
		decode: func(data []byte) (Payload, error) {
			p := PP(new(P))
			if err := json.Unmarshal(data, p, checked); err != nil {
				return nil, JSONError("/data", err)
			}
			if err := p.Validate(); err != nil {
				return nil, below("/data", err)
			}
			return lift(p)
		},
		known: func(data []byte) error { return unknown("/data", json.Unmarshal(data, new(P), checked, strict)) },
	}
}

// Lift describes an older version of a type, whose data was a P, and how what it says is said today, for [Kind.Reading].
func Lift[P any, PP payload[P]](number int, lift func(PP) Payload) *Version {
	return newVersion(number, func(p PP) (Payload, error) {
		lifted := lift(p)
		return lifted, below("/data", lifted.Validate())
	})
}

// Reading makes a catalog read older versions of k, too, and returns k. Nobody who handles the event sees which version it came in.
// Reading panics on a version of another type, or that k has already, and on a k that is in a catalog.
func (k *Kind) Reading(older ...*Version) *Kind {
	if k.catalogued {
		panic(fmt.Sprintf("event: %s is in a catalog already, which would not check its older versions", k.Type))
	}
	for _, v := range older {
		if name, _, err := parseSchema(v.Schema); err != nil || name != k.Type {
			panic(fmt.Sprintf("event: %s is no version of %s", v.Schema, k.Type))
		}
		for _, other := range k.versions {
			if other.Number == v.Number {
				panic(fmt.Sprintf("event: %s has version %d twice", k.Type, v.Number))
			}
		}
		k.versions = append(k.versions, v)
	}
	return k
}

// readable lists the versions that can be read: "version 2", "versions 2 and 1".
func (k *Kind) readable() string {
	if len(k.versions) == 1 {
		return fmt.Sprintf("version %d", k.versions[0].Number)
	}
	var numbers []string
	for _, v := range k.versions {
		numbers = append(numbers, fmt.Sprint(v.Number))
	}
	last := len(numbers) - 1
	return fmt.Sprintf("versions %s and %s", strings.Join(numbers[:last], ", "), numbers[last])
}
