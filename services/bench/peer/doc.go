// Command peer is the order workflow of this repository as a good Go team would write it today with Watermill
// (https://watermill.io), the usual choice for events in Go. It exists to be measured beside orderflow.
//
//	load ──▶ place ──tx──▶ orders + outbox ──forwarder──▶ RabbitMQ ──router──▶ reaction ──tx──▶ inbox + rows + outbox ──▶ …
//
//	order.go     the order, the events                    load.go       the orders that are placed, how fast
//	workflow.go  what the four services do                stopwatch.go  how long each of them takes
//	storage.go   the tables, schema.sql                   verify.go     whether all of it was done, once
//	outbox.go    events committed with their cause        result.go     the figures, as JSON
//	bus.go       Watermill: forwarders, subscriptions
//	edge.go      the HTTP edge, and its client            cpu/          what a process has cost
//
// It promises what orderflow promises of an order that ships: every event is committed in the transaction of its cause and published
// with confirms, persistent, to durable quorum queues; every reaction is done once, by an inbox in its own transaction. What orderflow does
// beyond that is left out, which is in the peer's favour: the way back (refunds, releases), an intent before each call to the gateway and
// the carrier, timeline, Idempotency-Key, retries with delays, dead letters, metrics.
//
// # Settings
//
// They are the best that were found on a machine with two cores, in 23 configurations of 349 to 561 orders/s, with everything on the same
// machine. Each number is a flag, so that another machine can be given others.
//
//   - Two subscriptions per queue: an AMQP subscription of Watermill handles one message at a time, and waits for its commit.
//   - Prefetch 100: with 1, every message waits for the network (349 orders/s).
//   - Six outbox topics per service: a SQL subscriber hands over one message at a time and the publisher waits for each confirm, so
//     parallelism comes from several topics, each with its own forwarder. Several subscribers cannot share a topic.
//   - PostgreSQLQueueSchema that deletes on ack, a hundred rows a query: the schema with offsets did 533 orders/s.
//   - Payloads as BYTEA, which Postgres does not have to parse; what that gains is within the noise.
//   - Polling every 10 ms, which decides the latency at a gentle rate: an event waits for half of it on average, at each of four hops. A busy
//     forwarder does not wait at all.
//   - The forwarders share a pool of channels in confirm mode, one for each of them, so none ever waits for a channel.
//   - Watermill's logger is off but for errors.
//
// The load is placed in process, without HTTP, which is the stricter comparison for orderflow; with -http it goes through an edge as
// orderflow has one: echo, POST /v1/orders, a body that is checked.
//
// It needs AMQP_URL and DATABASE_URL. It makes a schema "peer" and queues "peer.*", and removes them when it ends.
package main
