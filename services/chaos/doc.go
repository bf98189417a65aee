// Command chaos tries to break orderflow's promises, and says whether it could.
//
//	task chaos -- -seed 7 -duration 5m
//
// It builds the program, starts a private RabbitMQ and Postgres and one or two processes of each service, and places orders of all
// kinds at a steady rate. Meanwhile a schedule, which the seed alone decides, does its worst: processes and servers are killed,
// frozen and started again, connections cut in the middle of a message, stalled, slowed and refused, gateway and carrier gone,
// the broker out of memory and disk, messages doubled and held back so that others overtake them.
//
//	shop ──HTTP──▶ services ──proxies──▶ RabbitMQ, Postgres        shop.go      orders, and what was promised to the customer
//	                  │                       │                    schedule.go  what goes wrong, when: a function of the seed
//	                  └──HTTP──▶ bank         └──▶ tap             faults.go    how each of it is done, and undone
//	                    gateway and carrier,    sees every event,  fleet.go     the processes of the services
//	                    with books of their     doubles some,      wire.go      the proxies
//	                    own                     holds some back    bank.go, tap.go
//
// When all of it is over and undone, everything must come right by itself (judge.go): every order that was accepted, 201 on the
// wire, has ended as its kind demands; `orderflow verify` finds nothing; the bank's own books agree with the services'; no event
// was said twice; the dead-letter queues are empty; no goroutine and no connection is left over; every process ends in good order.
// What the customer was never told is asked for again, by the same Idempotency-Key, until there is an answer.
//
// The last line of the output is the report as one line of JSON. Exit codes: 0 nothing found, 1 the run itself failed, 2 wrong use,
// 3 a promise was broken.
//
// A check that finds nothing has to show that it could. With -bug NAME the program is built with a well-known mistake in it (bugs.go),
// by Go's build overlay: the repository and the shipped binary know nothing of it.
package main
