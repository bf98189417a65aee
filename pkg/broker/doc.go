// Package broker is the one place that speaks AMQP. It gives the rest of the program four things and hides the protocol:
//
//   - [Broker.Declare] asserts a [Topology]: an exchange, work queues with their dead-letter exchanges and queues, delay queues.
//   - [Publisher] streams messages with many confirms in flight and reports each one's fate: confirmed, refused, unroutable, or
//     unknown because the connection was lost.
//   - [Broker.Consume] hands out batches of whatever is waiting, to be settled in any order, at any time.
//   - [Getter] takes single messages from a queue and can give them all back, for tools that look at queues.
//
// # Connections
//
// Publishing and consuming have a connection each, because a broker that blocks publishers must not stall acknowledgements. A
// lost connection is dialled again, over all addresses in random order, with jittered backoff. Nothing survives its connection:
// each session has its own channel object, so that a late acknowledgement meets a closed channel and can never settle another
// session's message. (The recovery that is built into amqp091-go reuses the channel object; a stale delivery tag then settles
// whatever message has that number now.)
//
// # What waiting mends
//
// A broker that is not there, says nothing, hangs up or is full is waited for. A refused login, a missing right, a certificate that
// is not trusted, or something else that listens there is a fault of the setup ([IsSetup]) and told at once, with what to do. While
// a program runs, it outlives these, too: it tries again, slower and slower, and [Broker.Connected], [Broker.Consuming] and
// [Publisher.Refused] tell that something is missing.
//
// # What a confirm means
//
// The broker also confirms messages that no queue took; it returns them first if they were published as mandatory. A message
// that comes back counts as failed, with [ErrUnroutable]. The library drops return and confirm notices that find their channel
// full, so both channels have room for everything in flight.
package broker
