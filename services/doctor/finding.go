package doctor

import (
	"fmt"
	"slices"
	"strings"
)

// Status is what came of a check.
type Status string

// From the best to the worst, but for the last, of which nothing can be said.
const (
	OK       Status = "ok"
	Warning  Status = "warning"
	Wrong    Status = "wrong"
	NotKnown Status = "not known"
)

// Finding is one line of a report. A check that finds several things has a line for each.
type Finding struct {
	Check  string `json:"check"`
	Status Status `json:"status"`
	Seen   string `json:"seen"`
	Do     string `json:"do,omitempty"` // the command to type or the setting to change; empty where all is well
}

// Report is all that was found.
type Report struct {
	OK       bool      `json:"ok"` // nothing is wrong
	Wrong    int       `json:"wrong"`
	Warnings int       `json:"warnings"`
	NotKnown int       `json:"not_known"`
	Findings []Finding `json:"findings"`
}

func newReport(findings []Finding) *Report {
	r := &Report{Findings: findings}
	for _, f := range findings {
		switch f.Status {
		case Wrong:
			r.Wrong++
		case Warning:
			r.Warnings++
		case NotKnown:
			r.NotKnown++
		}
	}
	r.OK = r.Wrong == 0
	return r
}

// check collects what one check finds.
type check struct {
	name     string
	findings []Finding
}

func (c *check) wrong(do, seen string, args ...any)   { c.add(Wrong, do, seen, args) }
func (c *check) warning(do, seen string, args ...any) { c.add(Warning, do, seen, args) }
func (c *check) unknown(do, seen string, args ...any) { c.add(NotKnown, do, seen, args) }

func (c *check) add(status Status, do, seen string, args []any) {
	if len(args) > 0 {
		seen = fmt.Sprintf(seen, args...)
	}
	c.findings = append(c.findings, Finding{c.name, status, seen, do})
}

// otherwise ends a check. It was fine where it has found nothing.
func (c *check) otherwise(seen string, args ...any) []Finding {
	if len(c.findings) == 0 {
		c.add(OK, "", seen, args)
	}
	return c.findings
}

// unknown is the one line of a check that could not be made.
func unknown(name, do, seen string, args ...any) []Finding {
	c := check{name: name}
	c.unknown(do, seen, args...)
	return c.findings
}

// many is a list for people: it names a few, and tells how many more there are.
func many(names []string) string {
	const few = 4
	if len(names) > few {
		names = append(slices.Clone(names[:few]), fmt.Sprintf("%d more", len(names)-few))
	}
	return strings.Join(names, ", ")
}

// answer is what came of one question.
type answer[T any] struct {
	value T
	err   error // why there is none
}
