package cpu

import (
	"net"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"
)

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

// A child's time counts, also after it has been waited for.
func TestTimeOfChildren(t *testing.T) {
	linux(t)
	before := mustTime(t)
	child := exec.Command("sh", "-c", "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done")
	if err := child.Run(); err != nil {
		t.Fatal(err)
	}
	childs := child.ProcessState.UserTime() + child.ProcessState.SystemTime()
	if used := mustTime(t) - before; childs < 5*tick || used < childs-2*tick {
		t.Errorf("a child that used %s counts as %s", childs, used)
	}
	if _, err := Times(os.Getpid(), 1<<30); err == nil {
		t.Error("a process that is not there has a time")
	}
}

func TestListener(t *testing.T) {
	linux(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	if pid, err := Listener(port); err != nil || pid != os.Getpid() {
		t.Errorf("process %d listens, %v; it is %d", pid, err, os.Getpid())
	}
	l.Close()
	if pid, err := Listener(port); err == nil {
		t.Errorf("process %d listens on a port that is closed", pid)
	}
}

func linux(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("reads /proc")
	}
}

func mustTime(t *testing.T) time.Duration {
	t.Helper()
	used, err := Times(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	return used[0]
}
