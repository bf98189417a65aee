// Command compare measures orderflow and the peer in turn on the same servers, and says by how much they differ.
//
//	task bench:peer
//
// It starts a private RabbitMQ and a private Postgres for both, and in each round gives each of them a turn, the next round in reverse
// order:
//
//	settle ▸ orderflow serve, orderflow bench ▸ settle ▸ peer ▸ settle ▸ peer by HTTP
//
// In its turn each has the machine to itself: orderflow is started for its turn and stopped after it, and before each turn the servers have
// cleared away what the last one has left (vacuum, checkpoint) and are idle. A turn is a burst of orders and then a gentle rate, for
// the latency; orderflow's has a fast rate, too.
//
// A machine's speed drifts by more than many differences that are of interest, so figures of different rounds are not compared. What
// counts is the ratio of a round, and the median of the ratios. Five rounds are the least that make a result. An order that did not
// end as it should, or a promise that does not hold, on either side, makes the whole result void: exit code 3, and no figures.
//
// With -guard a short comparison fails where about a third of the speed is lost, by the ratios that a machine's speed has little to do with.
//
// The peer's load is placed in process, orderflow's by HTTP from a process of its own, whose CPU time counts as orderflow's; the ratios
// to the peer by HTTP are there, too. An order of the peer has ended when its last commit is done, one of orderflow when the event that
// says so has arrived at bench. Both favour the peer.
//
//	servers.go    the servers, and that they are idle      targets.go  what is compared, with what is aimed at
//	turn.go       one turn of each                         table.go    the result for people
//	main.go       the rounds, the result as JSON           picture.go  the result as a picture
package main
