// Package stuck finds out what an order waits for and where the message is, and publishes again what is lost.
//
// Every row that an order has in a service tells what that service has last said of it (Said, beside the rules), and by which event. An event
// that a queue is to get and that its inbox does not know is what the order waits for. Its message is in one of few places:
//
//	row ─▶ outbox ─▶ exchange ─▶ queue Q ─▶ a consumer's hands ─▶ inbox
//	                              ▲  │              │
//	                              │  │              ├─▶ delay queue ─▶ Q
//	                              │  └─ died ─▶ Q.dlq ◀─┘
//	                              └─ replayed ──┘  └─ dropped, to a file
//
// Outboxes, inboxes and the history of dead letters are asked; dead-letter queues and delay queues are looked through, which does their
// messages no harm. Of a work queue only the counts are taken: to look at a message there counts as a delivery, of which it has few.
//
// # When an event is lost
//
// A message moves while it is looked for, so one look proves nothing. An event is lost where two looks, some seconds apart, have found it in no
// outbox, in no dead-letter queue and in no delay queue, and it cannot be in Q either: because Q was empty both times, with nothing in anybody's
// hands, or does not exist; or because Q, which hands out messages in their order, has handled one that was made after the first look, and so
// published after this one, and nothing is in anybody's hands, or that was found a minute ago already. The inbox is asked last. Where that cannot be
// shown, nobody is told that something is lost.
//
// A message that RabbitMQ itself has just taken out of one queue for another, since it has expired or was delivered too often, is in no count for a
// moment; where the other queue does not exist, until it does. It may be taken for lost then.
//
// To be wrong about it does no harm: what is published again has its old id, and who has handled it drops it. But it is made of what the rows
// have, which is what the order was placed with. Where somebody has edited a dead letter of the order, later events may say otherwise; so these are
// left for somebody to decide about.
//
// That what is published for any two losses in the story of an order gets it to its end is shown, by trying all of them, in package anyorder. Ids are
// none of that: there an event is its type. That the words have the right ids is tested here, and with real servers.
//
// The parts: what was said (record.go), which is pure, read from the services' tables (read.go); what is seen in the broker and the outboxes
// (sight.go); what follows from that (judge.go), which is pure again; the two looks (look.go); and the mending (nudge.go).
package stuck
