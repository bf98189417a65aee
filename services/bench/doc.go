// Package bench measures a running orderflow from outside: it places orders over HTTP and hears of their ends as any other service
// would, from the events.
//
//	clients ──POST /v1/orders──▶ orderflow ──▶ … ──▶ OrderShipped, OrderCancelled
//	   │  201, Location                                        │
//	   └────────────▶ ledger ◀──────────── tap ◀───────────────┘
//	                    │
//	             latency, counts                sampler: CPU time and memory of each process
//
// # What the figures mean
//
// The latency of an order is from its placing until its OrderShipped has arrived here: everything that the services do, the last
// commit, the publishing of the last event and its delivery. In a closed loop, in which each of a number of clients places one order
// after the other, it counts from the moment at which the request is sent. In an open loop, in which orders are due at a fixed
// rate, it counts from the moment at which the order was due, whether or not a client was free then: a system that stalls cannot hide it by
// keeping the clients from asking. The number of clients bounds the requests at a time in both; orders for which none was free
// until the end of an open loop are counted as not sent. A client that is told by 503 and Retry-After to come back later does so in a
// closed loop; in an open one the order is not placed. Latencies are of what was accepted.
//
// Accepted/s is from the first request to the last 201, ended/s from the first request to the last end. CPU time is what the processes
// have used between the first request and the last end, divided by the orders that were accepted; on Linux also what children
// have used that have ended meanwhile, such as Postgres's workers. Memory is what is resident, shared memory counted once.
//
// # What it costs
//
// It runs on the machine that it measures, mostly, so it has to be cheap: requests are encoded before, answers are read and not
// parsed, an end is told by the properties of the event's message. What it uses nevertheless is in the figures.
package bench
