// Package devstack runs a private RabbitMQ and a private Postgres as local processes, for one program on one machine:
// `orderflow up` and tests. Nothing of a system-wide installation is touched but its binaries.
//
//	Dir/lock            held while the stack runs; a second Start on the same Dir is refused
//	Dir/stack.json      ports and generated secrets, mode 0600; kept, so that URLs stay the same from run to run
//	Dir/log/            rabbitmq.log, postgres.log, initdb.log: what the servers said in the last run
//	Dir/data/postgres/  the cluster
//	Dir/data/rabbitmq/  the node: its configuration, Erlang cookie and messages
//
// Both servers listen on loopback only, on ports of their own, with a generated password. RabbitMQ runs without epmd,
// the daemon that Erlang nodes of a machine share: its node name and cookie are known here alone, so it meets no other node.
//
// # No server outlives the program
//
// However the program ends, its servers end: by Stop, and where the program cannot call that (a panic, a signal that
// nobody handles, SIGKILL) by a watcher. That is a small shell process that reads a pipe of which the program alone
// holds the other end, and so learns of its end from the operating system:
//
//	program ──pipe──▶ watcher     each line: all servers that run now, and the signal that ends each
//	   │                 │        end of file: signal them, wait, kill what is left, release the lock
//	   └──pipe──▶ gate ──┴──▶ server
//
// Each server starts behind a gate, a shell that waits for a line before it becomes the server. The program opens the
// gate after it has told the watcher, so that at no moment a server runs that the watcher doesn't know. The watcher holds
// the lock, too: the next Start waits until it has cleaned up.
//
// # Started as root
//
// Postgres refuses to run as root, so both servers then run as the user postgres, rabbitmq or nobody, whichever exists
// first. Where that user may not reach Dir (a directory below it is closed, as /root is), the data goes to
// /var/lib/orderflow and Dir/data is a symbolic link to it: no permission of a directory that exists is changed.
package devstack
