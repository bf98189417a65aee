// Package dlq reads dead letters and gets them going again. It works over AMQP alone, on any dead-letter queue: those of package
// flow, whose headers tell the whole story, and those of other programs, where the broker's x-death header has to do.
//
//   - [Look] shows what is in a queue and gives everything back, in its order: looking changes nothing. [Summarize] is a look that only
//     counts.
//   - [Do] does something with dead letters: a [Job] says with which ([ParseFilter], an order, a limit), how (a rate, canaries, a dry run),
//     and what: [Replay] sends them back to the queues that they died in, [Edit] sends patched copies, [Drop] keeps them in a file.
//   - [MakePlan] writes down which would be replayed, and [Apply] replays those and no others.
//   - [Import] puts what is in a file back into dead-letter queues.
//   - A [History] is told of each change, in Postgres; an inbox tells what was handled already ([Verdict]).
//
// # Why nothing is lost
//
//	take ─▶ chosen? target there? ─▶ kept in the file ─▶ copy published, ─▶ written into ─▶ ack
//	              │ no               and on the disk      confirmed and     the history
//	              │                                       not returned
//	              └──────────────── held until the end, then given back
//
// A dead letter leaves its queue only after everything else is done. Whatever ends a job, be it SIGKILL or a lost connection, leaves every
// message in at least one place; in its target queue and in the dead-letter queue only if it ended between confirm and ack, and then the
// consumer's inbox knows the second one by its id. So the way to go on is always to do the same again.
//
// What is not chosen stays where it is, and in its order; while the job lasts it is held, like everything that cannot be touched.
//
// A job takes no more messages than there were when it began, and stops at a message that bears the mark of the same run: what dies again
// is not taken up again.
package dlq
