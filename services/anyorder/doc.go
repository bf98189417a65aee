// Package anyorder proves, by trying all of them, that the order in which events arrive does not matter.
//
// It has tests only. They join the rules of the four services by an exchange in memory, take one order, and run it through every
// interleaving of what can happen to it: each message delivered at any time and in any order, one of them twice, a service
// crashing between its transactions or before its ack, the customer cancelling at any moment. There is no broker, no database,
// no clock: a [world] is a value, a step makes the next one, and worlds that were seen before are not walked through again.
//
//	world ─▶ every step that is possible now ─▶ worlds ─▶ … ─▶ no message left: does it keep the promises?
//
// The parts, from the inside out: gateway, carrier and stock (outside_test.go), the services' subscriptions, which do with rows in
// memory what the real ones do with rows in Postgres (protocol_test.go), the world with its messages and steps (world_test.go),
// what must hold always and at the end (promises_test.go), the search, which reports the shortest way to a broken promise
// (explore_test.go), and the kinds of orders (scenarios_test.go). Mutants (mutants_test.go) are protocols with a well-known
// mistake; each shows that the search would find it.
package anyorder
