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
// commit, the publishing of the last event and its delivery. In a closed loop (a number of clients, each of which places one order
// after the other) it is counted from the moment at which the request is sent. In an open loop (orders at a fixed rate) it is counted
// from the moment at which the request was to be sent, whether or not a client was free then, so that a system that stalls cannot hide it by
// keeping the clients from asking. There is a fixed number of clients in both; what could not be sent until the end of an open loop is
// counted. A client that is told by 503 and Retry-After to come back later does so in a closed loop; in an open one the order is not placed.
//
// accepted/s is from the first request to the last 201, ended/s from the first request to the last end. CPU time is what the processes
// have used between the first request and the last end, divided by the orders that were accepted.
//
// # What it costs
//
// It runs on the machine that it measures, mostly, so it has to be cheap: the bodies of the requests are made before, answers are read
// and not parsed, an end is told by the properties of the event's message. What it uses nevertheless is in the figures.
package bench
