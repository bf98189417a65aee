// Package anyorder proves, by trying all of them, that the order in which events arrive does not matter.
//
// It has tests only. They join the rules of the four services by an exchange in memory, take one order, and run it through every
// interleaving of what can happen to it: each message delivered at any time and in any order; one of them twice, at the same time to
// another worker, or long after, when the order has ended; a crash at any moment, which is before or after the call to another system,
// between intent and result, or between the last commit and the ack; the customer cancelling at any moment, any number of times. There
// is no broker, no database, no clock: a [world] is a value, a step makes the next one, and worlds that were seen before are not
// walked through again.
//
//	world ─▶ every step that is possible now ─▶ worlds ─▶ … ─▶ no message left: does it keep the promises?
//
// An event that an outbox publishes twice, since it crashed before it noted the confirm, has the same id both times. So it is the same
// as a duplicate, and there is no step of its own for it. Nor is there one for a retry through a delay queue, or a replay of a dead
// letter: each is a delivery that comes late.
//
// In stories of their own, messages vanish while they wait, as when somebody purges a queue; when nothing else is left, what the rows say is
// published again, as orderflow nudge does, by the same rules of what is needed (package stuck). All promises hold at the end of these, too, and
// what the rows say is, at every moment, what was said.
//
// How many worlds there are is told by
//
//	go test ./services/anyorder -v -run Interleaving | grep states
//
// Where more goes wrong there are too many to try all. Random walks go there: two orders at a time that take the last pieces of stock
// from each other, three duplicates and three lost acks for each, up to three workers with the same event. Each run walks elsewhere,
// and says by which seed the same walks can be walked again.
//
// The parts, from the inside out: gateway, carrier and stock (outside_test.go), the services' subscriptions, which do with rows in
// memory what the real ones do with rows in Postgres (protocol_test.go), the world with its messages and steps (world_test.go),
// what must hold always and at the end (promises_test.go), the search, which reports the shortest way to a broken promise
// (explore_test.go), losses and nudges (nudge_test.go), the kinds of orders (scenarios_test.go), and the walks (walk_test.go). Mutants (mutants_test.go) are protocols
// with a well-known mistake; each shows that the search would find it, and the walks, too.
package anyorder
