// Package cpu reads from /proc how much CPU time the processes of this machine have used. It is of Linux alone.
package cpu

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of times in /proc: USER_HZ, which is 100 on every architecture that Go runs on.
const tick = 10 * time.Millisecond

// Times are the CPU times that processes, each with its children and all that they have waited for, have used until now.
func Times(pids ...int) ([]time.Duration, error) {
	all, err := processes()
	if err != nil {
		return nil, err
	}
	times := make([]time.Duration, len(pids))
	for i, pid := range pids {
		if _, runs := all[pid]; !runs {
			return nil, fmt.Errorf("there is no process %d", pid)
		}
		for id, p := range all {
			if descends(all, id, pid) {
				times[i] += time.Duration(p.ticks) * tick
			}
		}
	}
	return times, nil
}

// process is what matters of a process: its parent, and what it and the children that it has waited for have used.
type process struct {
	parent int
	ticks  int64
}

func processes() (map[int]process, error) {
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil || len(files) == 0 {
		return nil, errors.Join(errors.New("CPU time is read from /proc, which is not there"), err)
	}
	all := map[int]process{}
	for _, file := range files {
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil {
			return nil, err
		}
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended meanwhile
		}
		if all[pid], err = parse(text); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
	}
	return all, nil
}

// parse reads a line of /proc/PID/stat, see proc(5). The name of the program may have anything in it, so what counts begins after it.
func parse(stat []byte) (p process, err error) {
	const parent, times = 1, 11 // after the name: the state is 0; utime, stime, cutime, cstime
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < times+4 {
		return p, fmt.Errorf("unexpected %q", stat)
	}
	if p.parent, err = strconv.Atoi(fields[parent]); err != nil {
		return p, err
	}
	for _, field := range fields[times : times+4] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return p, err
		}
		p.ticks += n
	}
	return p, nil
}

func descends(all map[int]process, pid, from int) bool {
	for ; pid > 0; pid = all[pid].parent {
		if pid == from {
			return true
		}
	}
	return false
}

// Listener finds the process of this machine that listens on a TCP port.
func Listener(port int) (pid int, err error) {
	sockets, err := listening(port)
	if err != nil {
		return 0, err
	}
	// What cannot be read is another user's, or has ended meanwhile.
	links, err := filepath.Glob("/proc/[0-9]*/fd/*")
	if err != nil {
		return 0, err
	}
	for _, link := range links {
		if to, err := os.Readlink(link); err == nil && sockets[to] {
			return strconv.Atoi(strings.Split(link, "/")[2])
		}
	}
	return 0, fmt.Errorf("no process that this user may see listens on port %d of this machine", port)
}

// listening are the sockets on which somebody listens on a port, as links to them are spelled.
func listening(port int) (map[string]bool, error) {
	sockets := map[string]bool{}
	for _, file := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		table, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue // a machine without IPv6
		}
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(string(table)) {
			const local, state, inode = 1, 3, 9
			f := strings.Fields(line)
			if len(f) > inode && f[state] == "0A" && strings.HasSuffix(f[local], fmt.Sprintf(":%04X", port)) {
				sockets["socket:["+f[inode]+"]"] = true
			}
		}
	}
	return sockets, nil
}
