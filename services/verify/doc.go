// Package verify proves the promises of the workflow from the tables of its four services: what each of them says of an order has
// to fit what the others say, to the unit and to the cent.
//
//	orders     ─┐
//	timelines  ─┤  sorted by   ┌ one order's ┐   rules   ┌ holds: added up
//	payments   ─┼─ order id ──▶│   record    │──────────▶┤
//	reservat.  ─┤              └─────────────┘           └ broken: looked at again ─▶ holds, or is reported
//	shipments  ─┘
//
// The services may keep their tables on different servers, so nothing is joined by the database. Each service is read in one
// snapshot, as streams sorted by order id, which are merged order by order (merge.go) and judged by rules that know nothing of
// databases (rules.go). Memory does not grow with the number of orders; of one that looks broken its id is kept.
//
// # A system that works meanwhile
//
// Services commit one after the other, so a look at a living system sees half-done orders. Three things keep them out of the report:
//
//   - The orders are read first: what has ended in their snapshot is done in the later ones.
//   - What takes its time by nature is given time: an order to end, its goods to leave the house, an event to leave an outbox.
//   - What is broken is looked at again, until it holds or has stayed broken for a while. Only the last look counts.
//
// The hosts of the services and of the databases have clocks of their own. What is to be waited for is therefore a set of ids, and how
// long something has lasted is asked of the database that has it.
package verify
