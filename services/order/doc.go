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
package order
