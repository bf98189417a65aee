// Package dlq reads dead letters and gets them going again. It works over AMQP alone, on any dead-letter queue: those of package
// flow, whose headers tell the whole story, and those of other programs, where the broker's x-death header has to do.
//
//   - [Look] shows what is in a queue and gives everything back, in its order: looking changes nothing.
//   - [Summarize] is a look that only counts.
//   - [Replay] sends dead letters back to the queue that each of them died in, and to no other.
//   - [ParseFilter] makes a filter of an expression: which dead letters are meant.
//
// # Why a replay loses nothing
//
//	take ──▶ target known and there? ──▶ publish a copy ──▶ confirmed, not returned ──▶ ack
//	                 │ no                                            │ no
//	                 └────────────── held until the end, then given back
//
// A dead letter leaves its queue only after the broker has confirmed the copy in the target queue. Whatever ends a replay, be it
// SIGKILL or a lost connection, leaves every message in at least one of the two queues; in both only if it ended between confirm
// and ack, and then the consumer's inbox knows the second one by its id. So the way to go on is always to run it again.
//
// What a filter does not choose stays where it is, and in its order; while the replay lasts it is held, like everything that cannot
// be replayed.
//
// A replay takes no more messages than there were when it began, and stops at a message that bears the mark of the same run:
// what dies again is not taken up again.
package dlq
