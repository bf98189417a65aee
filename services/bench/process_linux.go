package bench

import (
	"bytes"
	"fmt"
	"os"
	"strconv"

	"github.com/shirou/gopsutil/v4/process"
)

// memoryOf tells how many bytes of a process are in memory, and how many of them it may share with others.
func memoryOf(p *process.Process) (resident, shared uint64, err error) {
	m, err := p.MemoryInfoEx()
	if err != nil {
		return 0, 0, err
	}
	return m.RSS, m.Shared, nil
}

const (
	knowsEnded   = true
	ticksASecond = 100 // of the times that Linux tells, on every machine
)

// endedChildren is the CPU time in seconds of all children of a process that have ended. The library does not tell it.
func endedChildren(p *process.Process) (seconds float64) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.Pid))
	if err != nil {
		return 0
	}
	// The name may have blanks, and ends with the last parenthesis; cutime and cstime are the 14th and 15th field after it.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 15 {
		return 0
	}
	for _, field := range fields[13:15] {
		ticks, _ := strconv.ParseFloat(string(field), 64)
		seconds += ticks / ticksASecond
	}
	return seconds
}
