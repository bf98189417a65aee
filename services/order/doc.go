// Package order is the service that takes orders over REST and follows them to their end.
//
// An order's status is a function of the set of facts that are known of it (order.go), so that it does not matter in which order
// they come in. The service decides nothing but whether a customer's words make an order: charging, reserving and shipping are
// other services' business, and whether a cancellation comes in time is decided by shipping.
//
// # Idempotency keys
//
// The answer to an order with an Idempotency-Key is committed together with the order, so who repeats the request gets it, whatever
// became of the process and of the first reply. Of several at the same moment the others wait for the first, for half a second, and get its
// answer; draft-ietf-httpapi-idempotency-key-header would let them be refused with 409. The draft's fingerprint is a hash of the request in
// canonical form: another order under the same key is refused with 422. Keys are their callers' own, and free again after 24 hours.
//
// # Who waits and who listens
//
// Clients may wait for an order's end (live_wait.go), and listen to its timeline (live_stream.go), at any process of the service, whichever
// works on the order. Each process has one hub for all of them (live.go). While somebody watches, it overhears the events of all services; they
// say nothing but where to look, so what is told is what is committed:
//
//	exchange ─▶ hear: is the order watched? ─▶ one query for all such orders, every 20 ms at most ─▶ those who watch
//	                                            ▲ again after 20 ms, 40 ms, … while an event that was heard is not there yet
//	                                            ▲ everything that is watched: every 10 s, or 2 s while nothing is heard
//
// Nobody waits for a client that does not read: the hub only says that there is something new. A client that has lost its stream comes back
// with a cursor, which names the events that it has, and gets the others.
package order
