// Package event is the contract between the services: what is said on the wire, by whom, and how it may change.
//
// An [Event] is a CloudEvents 1.0 event in structured JSON: an envelope that every consumer understands, and a typed [Payload].
// A [Catalog] lists the types of one workflow: name, version, routing key, who sends it, and the Go type of its data.
// [Orders] is the catalog of the order workflow. Encoding and decoding go through a catalog, so a message that does not keep to
// the contract is refused in one place, with an error that says which field is wrong.
//
// # Evolution
//
// A consumer ignores fields that it does not know. A producer only ever adds optional fields. A change that would break a
// consumer is a new version in dataschema ("urn:orderflow:event:PaymentProcessed:2"); a version that a consumer cannot read
// is [ErrUnsupportedVersion], which sends the message to the dead-letter queue as such.
//
// # Money
//
// An [Amount] is a whole number of a currency's smallest unit together with its number of decimals: "39.98" on the wire,
// 3998 inside and in the database. There are no floats.
package event
