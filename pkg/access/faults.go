package access

import (
	"fmt"
	"strings"
)

// fault is what is wrong on a line of the file.
type fault struct {
	line int
	err  error
}

// faults are all those of a file.
type faults []fault

// maxFaults is how many faults are told at once.
const maxFaults = 10

// Error tells one fault a line.
func (f faults) Error() string {
	if len(f) == 1 {
		return fmt.Sprintf("line %d: %v", f[0].line, f[0].err)
	}
	var text strings.Builder
	fmt.Fprintf(&text, "%d faults:", len(f))
	for _, one := range f[:min(len(f), maxFaults)] {
		fmt.Fprintf(&text, "\n  line %d: %v", one.line, one.err)
	}
	if more := len(f) - maxFaults; more > 0 {
		fmt.Fprintf(&text, "\n  and %d more", more)
	}
	return text.String()
}
