package cpu

import "testing"

func TestParse(t *testing.T) {
	p, err := parse([]byte("42 (a) b (c)) S 7 1 1 0 -1 4 9 9 9 9 100 20 3 1 20 0 5 0 1 2 3"))
	if err != nil || p.parent != 7 || p.ticks != 124 {
		t.Errorf("%+v, %v", p, err)
	}
	for _, wrong := range []string{"", "42 (a) S", "42 (a) S x 1 1 0 -1 4 9 9 9 9 100 20 3 1 20", "42 (a) S 7 1 1 0 -1 4 9 9 9 9 100 20 3 x 20"} {
		if p, err := parse([]byte(wrong)); err == nil {
			t.Errorf("%q is read as %+v", wrong, p)
		}
	}
}

func TestDescends(t *testing.T) {
	all := map[int]process{1: {parent: 0}, 2: {parent: 1}, 3: {parent: 2}, 4: {parent: 1}}
	for pid, want := range map[int]bool{1: false, 2: true, 3: true, 4: false} {
		if descends(all, pid, 2) != want {
			t.Errorf("process %d: %v", pid, !want)
		}
	}
}
