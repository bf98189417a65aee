package doctor

import "time"

// skew is between what and what a clock is ahead of this machine's; behind it where it is less than 0. How long the way there and back took, and
// how coarse its answer is, makes the difference.
type skew struct{ least, most time.Duration }

// compareClocks compares a clock that said told, or something up to coarse later, at some time between asked and answered.
func compareClocks(asked, told, answered time.Time, coarse time.Duration) skew {
	return skew{told.Sub(answered), told.Sub(asked) + coarse}
}

// surely is how far the clock is off at least.
func (s skew) surely() time.Duration {
	switch {
	case s.least > 0:
		return s.least
	case s.most < 0:
		return s.most
	}
	return 0
}

// width is how much the comparison leaves open.
func (s skew) width() time.Duration { return s.most - s.least }

const (
	suspiciousSkew = time.Second
	badSkew        = 5 * time.Second
)

// judgeClock looks at the clock of somebody.
func judgeClock(name, whose string, clock answer[skew]) []Finding {
	c := check{name: name}
	if clock.err != nil {
		c.unknown("see the checks above", "%s did not say what time it is: %v", whose, clock.err)
		return c.findings
	}
	off := clock.value.surely()
	way := "ahead of"
	if off < 0 {
		way = "behind"
	}
	const do = "let both machines keep time by NTP (timedatectl status): ids of events, days of the inbox and deadlines hang on it"
	switch seen := "the clock of %s is %s or more %s this machine's"; {
	case off.Abs() >= badSkew:
		c.wrong(do, seen, whose, off.Abs().Round(100*time.Millisecond), way)
	case off.Abs() >= suspiciousSkew:
		c.warning(do, seen, whose, off.Abs().Round(100*time.Millisecond), way)
	}
	return c.otherwise("the clock of %s agrees with this machine's, as far as can be told within %s", whose, max(clock.value.width().Round(time.Millisecond), time.Millisecond))
}
