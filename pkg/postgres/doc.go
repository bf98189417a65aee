// Package postgres is how the services use their database: a pool that sees one schema ([Open]), migrations of that schema
// ([Migrate]), transactions whose statements travel together ([Tx]), and tables of days ([Days]).
//
// # Round trips
//
// A transaction of a batch is short of time, not of work: what costs is waiting for the network between statements. So BEGIN
// travels with the first query, statements that return nothing are queued ([Tx.Queue]) and travel with the next query, and
// what is still queued at the end travels with COMMIT. A typical reaction needs two round trips.
package postgres
