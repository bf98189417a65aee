// Package doctor looks at an installation and says what is wrong with it, and what to do: RabbitMQ, Postgres and the processes that use
// them, compared with what the services need.
//
//	AMQP ────────────┐
//	management API ──┤  facts   judges   ┌ ok
//	Postgres ────────┼────────▶──────────┤ warning    a line each: check, what was seen, what to do
//	REST API ────────┘                   │ wrong
//	                                     └ not known
//
// What is seen is gathered first (files named after whom they ask), and then judged by functions that know no server (judge_*.go). Each
// server gets a few seconds, all at the same time. One that does not answer is one line; what would need it is not known.
//
// Nothing is changed. AMQP is used for passive declarations alone, the management API for GET, and Postgres in read-only transactions.
package doctor
