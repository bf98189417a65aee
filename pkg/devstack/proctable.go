package devstack

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// entry is one row of the system's table of processes.
type entry struct {
	pid, parent int
	zombie      bool // has ended, and waits for its parent to take note
	command     string
}

// processTable reads it from /proc, or from ps where there is none (macOS).
func processTable() ([]entry, error) {
	if _, err := os.Stat("/proc/self/stat"); err == nil {
		return procEntries(), nil
	}
	out, err := exec.Command("ps", "-A", "-ww", "-o", "pid=,ppid=,stat=,command=").Output()
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	var table []entry
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		if len(f) < 4 {
			continue
		}
		e := entry{zombie: strings.HasPrefix(f[2], "Z"), command: strings.Join(f[3:], " ")}
		e.pid, _ = strconv.Atoi(f[0])
		e.parent, _ = strconv.Atoi(f[1])
		table = append(table, e)
	}
	return table, nil
}

func procEntries() []entry {
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	var table []entry
	for _, dir := range dirs {
		if e, ok := procEntry(dir); ok {
			table = append(table, e)
		}
	}
	return table
}

// procEntry reads one process; false if it has ended meanwhile.
func procEntry(dir string) (entry, bool) {
	stat, err := os.ReadFile(dir + "/stat")
	if err != nil {
		return entry{}, false
	}
	// "pid (name) state ppid …", where the name may hold anything, even parentheses.
	f := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(f) < 2 {
		return entry{}, false
	}
	command, _ := os.ReadFile(dir + "/cmdline")
	e := entry{zombie: f[0] == "Z", command: string(bytes.ReplaceAll(command, []byte{0}, []byte{' '}))}
	e.pid, _ = strconv.Atoi(filepath.Base(dir))
	e.parent, _ = strconv.Atoi(f[1])
	return e, true
}

// descendants are the processes that the process started, and those that they started.
func descendants(root int) ([]int, error) {
	table, err := processTable()
	if err != nil {
		return nil, err
	}
	children := map[int][]int{}
	for _, e := range table {
		children[e.parent] = append(children[e.parent], e.pid)
	}
	found := children[root]
	for i := 0; i < len(found); i++ {
		found = append(found, children[found[i]]...)
	}
	return found, nil
}

// alive tells whether the process still runs; a zombie doesn't.
func alive(pid int) bool {
	table, err := processTable()
	if err != nil {
		return false
	}
	for _, e := range table {
		if e.pid == pid {
			return !e.zombie
		}
	}
	return false
}
