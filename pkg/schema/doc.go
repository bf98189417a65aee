// Package schema describes Go types by JSON Schemas (2020-12), so that a contract is written down once: as the Go types that keep to it.
//
// What reflection does not know comes from the source: the comments of types and fields are descriptions, and the constants of a type
// of strings are all values that it has. So it works where the source is, in a generator and in its tests, and nowhere else.
package schema
