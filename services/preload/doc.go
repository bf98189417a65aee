// Package preload gives an orderflow a past: as many ended orders as are asked for, to measure what a service costs that has been in
// use for long.
//
// It copies orders that have really gone through the workflow, in the tables of all services, and knows of the tables only by which
// column they belong to an order. A copy is the same order at an earlier time: every time of its rows is put back, and so is the time
// that begins every id (UUIDv7), which keeps the ids of an order in their order and makes them other ids. The stock is told of the goods
// that have left. So the copies keep every promise that the originals keep, and orderflow verify has to find nothing.
//
// The copies lie in the days for which the inbox has partitions, and are written from the oldest to the youngest, as they would have
// been; but for the last tenth, whose rows are written in the order of their size, after a vacuum. In a table that has been in use for
// long, small rows have filled what room there was at the end of its pages. Without that, they would begin to do so when the measuring
// begins, in pages all over the disk.
package preload
