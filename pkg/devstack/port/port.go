// Package port picks free TCP ports on the loopback interface for servers that are about to start.
package port

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
)

// Ports are taken from below the ranges that Linux (32768 and up) and macOS (49152 and up) give to outgoing
// connections. A port from those ranges is lost easily while its server is down: any connection may take it as its own
// end, and a client that dials it in a loop can even get connected to itself, which blocks the server's return.
const (
	lowest  = 20000
	highest = 31999
)

// Free returns n different ports on which nothing listens at 127.0.0.1, and which nobody else gets from Free as long as this process
// lives: a server takes seconds before it listens.
func Free(n int) ([]int, error) { return free(n, rand.IntN(highest-lowest+1)) }

// free looks from lowest + offset on.
func free(n, offset int) ([]int, error) {
	var ports []int
	for i := 0; i <= highest-lowest && len(ports) < n; i++ {
		p := lowest + (offset+i)%(highest-lowest+1)
		if reserve(p) {
			ports = append(ports, p)
		}
	}
	if len(ports) < n {
		return nil, fmt.Errorf("only %d of %d ports between %d and %d are free on 127.0.0.1", len(ports), n, lowest, highest)
	}
	return ports, nil
}

// IsFree tells whether a server could listen on the port at 127.0.0.1 now.
func IsFree(p int) bool {
	l, err := net.Listen("tcp", Address(p))
	if err != nil {
		return false
	}
	return l.Close() == nil
}

// reservations are locked files, kept open; the end of the process unlocks them.
var reservations struct {
	sync.Mutex
	files []*os.File
}

// reserve tells whether the port is free and nobody has reserved it, and does so. Where files cannot be made, nothing is reserved. A
// port that is reserved is not tried out: whoever has reserved it may be about to listen.
func reserve(p int) bool {
	dir := filepath.Join(os.TempDir(), "orderflow-ports")
	if os.Mkdir(dir, 0o777) == nil {
		os.Chmod(dir, 0o777|os.ModeSticky) // for other users
	}
	f, err := os.OpenFile(filepath.Join(dir, strconv.Itoa(p)), os.O_CREATE|os.O_RDONLY, 0o644)
	if err != nil {
		return IsFree(p)
	}
	if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil || !IsFree(p) {
		f.Close()
		return false
	}
	reservations.Lock()
	defer reservations.Unlock()
	reservations.files = append(reservations.files, f)
	return true
}

// Address is the loopback address of a port, "127.0.0.1:20000".
func Address(p int) string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(p))
}
