// Package contract makes JSON Schemas of the events of a catalog, and tells whether a change of them breaks those who build on them.
//
// A schema ([Schema]) describes the whole message, the envelope with its data, as it is sent. It says what every reader may rely on: the
// fields that are always there, what a text, an amount or an id looks like, and, as x-orderflow, where the message is published. Readers ignore
// what they do not know, so objects are open; [schema.Closed] makes of it what a sender must keep to.
//
// # What is a break
//
// Both sides of an event are deployed at different times, and messages wait in queues, outboxes and dead-letter queues meanwhile. So a
// change must be right for those who read the new message with what was released ([Breaks] calls such a change wider), and for those who
// read a released message with what is new (narrower):
//
//   - A field that is removed, renamed, or no longer always there breaks readers that need it. One that is new and optional breaks nobody; one
//     that is new and required is missing in what was sent before.
//   - A value that is new in an enumeration is one that readers have no branch for. One that is removed is still under way.
//   - Another type, constant, format or pattern breaks one side or both.
//   - A limit may be widened, as nobody has to understand anything new, but not tightened: what is under way would be refused. A program of the
//     release before refuses what is beyond its own limits, and dead-letters it, so readers are deployed first.
//   - A changed routing key, exchange or source, and an event that is no longer one that is always taken by a queue, goes past those who
//     subscribed to what was said.
//   - A type or version that was released and is no longer read leaves its messages without a reader.
//
// What breaks is a new version of the event, beside the old one: see package event.
package contract
