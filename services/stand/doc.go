// Package stand is the test stand for those who measure orderflow: servers of their own on a disk, orderflow as a process beside them, and
// other programs that print their figures as JSON.
package stand
