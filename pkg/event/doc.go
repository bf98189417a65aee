// Package event is the contract between the services: what is said on the wire, by whom, and how it may change.
//
// An [Event] is a CloudEvents 1.0 event in structured JSON: an envelope that every consumer understands, and a typed [Payload].
// A [Catalog] lists the types of one workflow: name, version, routing key, who sends it, and the Go type of its data.
// [Orders] is the catalog of the order workflow. Encoding and decoding go through a catalog, so a message that does not keep to
// the contract is refused in one place, with an error that says which field is wrong.
//
// # Schemas
//
// Each version of each type has a JSON Schema (2020-12), the file schemas/<Type>.v<version>.json, made of the Go types by
// "go run ./services/contracts": that is what readers in other languages go by. [Catalog.Decode] checks what comes in against it, after the
// checks in Go, which are quicker and tell more. That takes some 20 µs an event, a fifth of the CPU time of an order that goes through; so
// what is byte for byte as Encode would write it, as nearly all of it is, is known by writing it again, in 2 µs. That is sound because what is sent is not
// checked again, either: the payload's own Validate is at least as strict; tests hold all that goes out to the schemas, and to no field more.
//
// Of the libraries there are, github.com/santhosh-tekuri/jsonschema/v6 takes about half the time of github.com/google/jsonschema-go, and
// tells which value is wrong, where the other names the schema.
//
// # Evolution
//
// A consumer ignores fields that it does not know. A producer only ever adds optional fields. What is a break is told in package contract,
// whose tests compare the schemas with those of the last release, in schemas/released. A release copies the schemas there
// ("cp pkg/event/schemas/*.json pkg/event/schemas/released/") and tells in CHANGES.md what is new.
//
// A change that would break a consumer is a new version in dataschema ("urn:orderflow:event:PaymentProcessed:2"); a version that a consumer
// cannot read is [ErrUnsupportedVersion], which sends the message to the dead-letter queue as such. Nothing is lost by that: replayed when
// the consumer has been updated, it is handled. To change an event so that nothing even waits:
//
//  1. Keep the old payload under another name, and let the catalog read both: the kind gets the new version, and [Kind.Reading] with [Lift]
//     makes of an old payload what would be said today. Handlers see the new payload only.
//
//  2. Deploy that to all consumers first, then to the producer. Both versions are under way for a while. Where producer and consumer are one program,
//     as here with "orderflow serve", take two releases: one that reads both and sends the old, and one that sends the new.
//
//  3. When no message of the old version is left, be it in a queue, an outbox, or a dead-letter queue, and not before, take it away, here and
//     in schemas/released.
//
//     var Orders = NewCatalog("orders.events",
//     NewKind[PaymentProcessed](2, "payment", "payment.processed", true).Reading(
//     Lift(1, func(old *PaymentProcessedV1) Payload { return &PaymentProcessed{…} })),
//
// The tests of package flow do that with an event of theirs, both versions in flight at once.
//
// # Money
//
// An [Amount] is a whole number of a currency's smallest unit together with its number of decimals: "39.98" on the wire,
// 3998 inside and in the database. There are no floats.
package event
