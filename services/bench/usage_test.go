package bench

import (
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestMeter measures this process, which listens, and a child that burns CPU time and ends.
func TestMeter(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	here := "http://" + listener.Addr().String()
	m, err := newMeter(t.Context(), Config{URL: here, AMQPURLs: []string{here}, DatabaseURL: "postgres://u@203.0.113.1/db"})
	if err != nil {
		t.Fatal(err)
	}
	if g := m.groups[groupOrderflow]; g == nil || g.roots[0] != int32(os.Getpid()) {
		t.Fatalf("the process that listens on %s was not found: %v", here, m.absent)
	}
	if why := m.absent[groupBroker]; !strings.Contains(why, "is \"bench.test\", not beam") {
		t.Errorf("this is not RabbitMQ: %q", why)
	}
	if why := m.absent[groupPostgres]; why != "203.0.113.1:5432 is not on this machine" {
		t.Errorf("Postgres is elsewhere: %q", why)
	}

	g := m.groups[groupBench]
	g.children = true
	child := exec.Command("sh", "-c", "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; echo; read wait")
	in, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	in.Close()
	child.Wait()
	m.stop(t.Context())
	used := (child.ProcessState.UserTime() + child.ProcessState.SystemTime()).Seconds()
	if got := g.used(); got < used/2 || used == 0 {
		t.Errorf("%.3f s of CPU time, but a child alone has used %.3f before it ended", got, used)
	}
	if g.peak < 1<<20 || g.peak > 4<<30 {
		t.Errorf("%d bytes of memory", g.peak)
	}
}
