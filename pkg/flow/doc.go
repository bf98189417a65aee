// Package flow is the runtime of reactions: the one place that turns "at least once" into "once in effect".
//
// A service is a set of subscriptions. A [Subscription] is a durable queue and a reaction, a function of a batch of events that
// reads rows, decides, writes rows and returns new events. The runtime does the rest:
//
//	deliveries ─▶ decode ─▶ ┌ one transaction ─────────────────────┐ ─▶ publish ─▶ confirm ─▶ delete from the outbox
//	                        │ inbox ─▶ reaction ─▶ rows ─▶ outbox  │ ─▶ ack
//	                        └──────────────────────────────────────┘
//
// The inbox tells which events of the batch are new; what is not is left out. Outgoing events are written to the outbox in the
// same transaction, so they exist exactly if the rows do. After the commit they are published from memory, many at a time, and
// deleted when the broker has confirmed them; what a crash or a lost connection leaves behind is published by whoever runs the
// service next. A crash at any point leaves something that is done again and comes out the same.
//
// # External calls
//
// A reaction made by [CallOut] talks to another system between two transactions. It commits what it intends, calls for all events
// of the batch in parallel, and commits what came of it. Calls that take long do not hold up the others: their events go on by
// themselves. A crash in between is followed by a redelivery, and the same call with the same key.
//
// # Failures
//
// A failed batch is halved until the culprits are alone; the others commit. What a failure means is decided in one table,
// [Classify]: the world's failures are waited out and cost the message nothing, a message's own failures are tried again after
// the delays of [Config.RetryDelays], by way of delay queues, and then dead-lettered; permanent ones are dead-lettered at once.
// Both are done by publishing a copy, waiting until the broker has it in a queue, and only then settling the original.
//
// # Retention
//
// Event ids are UUIDv7, so the inbox is partitioned by day of the event. Days older than [Config.InboxRetention] are dropped
// whole, unless a dead letter of the service is as old. An event from outside the window of the inbox is refused, because nobody
// could tell any more whether it was handled.
package flow
