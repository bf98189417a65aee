// Package order is the service that takes orders over REST and follows them to their end.
//
// An order's status is a function of the set of facts that are known of it (order.go), so that it does not matter in which order
// they come in. The service decides nothing but whether a customer's words make an order: charging, reserving and shipping are
// other services' business, and whether a cancellation comes in time is decided by shipping.
package order
