package bench

import "github.com/shirou/gopsutil/v4/process"

// memoryOf tells how many bytes of a process are in memory, and how many of them it may share with others.
func memoryOf(p *process.Process) (resident, shared uint64, err error) {
	m, err := p.MemoryInfoEx()
	if err != nil {
		return 0, 0, err
	}
	return m.RSS, m.Shared, nil
}
