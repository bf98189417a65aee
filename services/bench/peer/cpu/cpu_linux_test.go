package cpu

import (
	"net"
	"os"
	"os/exec"
	"testing"
	"time"
)

// A child's time counts, also after it has been waited for.
func TestTimeOfChildren(t *testing.T) {
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

func mustTime(t *testing.T) time.Duration {
	t.Helper()
	used, err := Times(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	return used[0]
}
