//go:build !linux

package bench

import "github.com/shirou/gopsutil/v4/process"

// memoryOf tells how many bytes of a process are in memory. What it shares with others is not known here, and counts for each.
func memoryOf(p *process.Process) (resident, shared uint64, err error) {
	m, err := p.MemoryInfo()
	if err != nil {
		return 0, 0, err
	}
	return m.RSS, 0, nil
}

const knowsEnded = false

// endedChildren is not known here: what a child has used that has ended is missing.
func endedChildren(*process.Process) float64 { return 0 }
