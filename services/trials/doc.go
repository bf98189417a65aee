// Command trials measures how orderflow's speed depends on what is around it. In each trial it runs as it should and beside that with one
// thing changed, on the same servers in the same minutes, and what counts is the ratio.
//
//	task trials                            # all of them, half an hour
//	task trials -- overload                # one
//
//	growth      with millions of ended orders in the tables, to none; and old partitions are dropped meanwhile
//	overload    at three times the orders that it can end, and after it
//	backlog     orders that have piled up while payment and shipping were stopped, to a burst
//	gateway     a payment gateway that takes 200 ms and fails for one order in a hundred, to one that answers at once
//	instances   two, four and eight processes, to one
//	traces      one order in a hundred traced, to none
//
// It starts a RabbitMQ and a Postgres of its own, prints an object of JSON for each trial, and ends with exit code 3 where a promise is
// broken, an order has not ended as it should, or a bound is missed. Figures that are no ratios are of this machine and this hour.
//
//	main.go     which trials, and their results     field.go    servers, databases, orderflow, bench
//	growth.go, overload.go, backlog.go, gateway.go, instances.go, traces.go
package main
