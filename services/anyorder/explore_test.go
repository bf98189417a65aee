package anyorder

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// found is what a search has seen.
type found struct {
	states  int
	steps   int
	endings map[string]bool
	nudges  int
}

func (f found) String() string {
	return fmt.Sprintf("%d states, %d steps, endings %v", f.states, f.steps, slices.Sorted(maps.Keys(f.endings)))
}

// broken is a promise that does not hold, and the shortest way to it.
type broken struct {
	promise error
	story   string
}

func (b *broken) Error() string { return fmt.Sprintf("%v, after:\n%s", b.promise, b.story) }

// visit is a world that was seen, and from which visit and by which step it was first come to.
type visit struct {
	from int32
	by   step
}

// explore walks through every world that can be reached from start, the nearest first, and stops at the first that breaks a
// promise.
func explore(start *world) (found, error) {
	f := found{endings: map[string]bool{}}
	visits := []visit{{from: -1}}
	code := start.encode(nil)
	seen := map[string]bool{string(code): true}
	for front := []*world{start}; len(front) > 0; {
		first := len(visits) - len(front) // the visits of front are the last ones
		var next []*world
		for i, w := range front {
			here := int32(first + i)
			if err := f.judge(w); err != nil {
				return f, &broken{promise: err, story: story(start, visits, here)}
			}
			for _, s := range w.steps() {
				f.steps++
				if s.kind == nudge {
					f.nudges++
				}
				after := w.after(s)
				if code = after.encode(code[:0]); !seen[string(code)] {
					seen[string(code)] = true
					visits = append(visits, visit{from: here, by: s})
					next = append(next, after)
				}
			}
		}
		front = next
	}
	return f, nil
}

func (f *found) judge(w *world) error {
	f.states++
	if err := w.always(); err != nil || !w.quiet() {
		return err
	}
	f.endings[w.ending()] = true
	return cmp.Or(w.atEnd(), settled(w.warehouse, w.plan.warehouse, w))
}

// story tells how a visit came about.
func story(start *world, visits []visit, at int32) string {
	var steps []step
	for ; visits[at].from >= 0; at = visits[at].from {
		steps = append(steps, visits[at].by)
	}
	slices.Reverse(steps)
	var b strings.Builder
	w := start
	for i, s := range steps {
		fmt.Fprintf(&b, "%3d. %s\n", i+1, w.describe(s))
		w = w.after(s)
	}
	fmt.Fprintf(&b, "     %s", w)
	return b.String()
}
