package bench

import (
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	netstat "github.com/shirou/gopsutil/v4/net"
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

// TestUsed adds up processes that live throughout, are born, and end.
func TestUsed(t *testing.T) {
	g := group{
		children: true,
		before:   spent{alive: map[int32]float64{1: 10, 2: 100}, ended: 1000},
		after:    spent{alive: map[int32]float64{1: 12, 3: 3}, ended: 1105}, // 2 has ended with 101, and another that came and went with 4
	}
	want := 2.0 + 3 + 1 + 4
	if !knowsEnded {
		g.after.ended, want = g.before.ended, 2+3
	}
	if got := g.used(); got != want {
		t.Errorf("%v s, want %v", got, want)
	}
	strangers := group{before: spent{alive: map[int32]float64{1: 10, 2: 100}}, after: spent{alive: map[int32]float64{1: 12}}} // 2 has ended
	if got := strangers.used(); got != 2 {
		t.Errorf("%v s, want 2 of the one that is left", got)
	}
}

// TestWritten adds up processes that live throughout and are born.
func TestWritten(t *testing.T) {
	g := group{
		before: spent{alive: map[int32]float64{1: 0, 2: 0}, written: map[int32]uint64{1: 10, 2: 100}},
		after:  spent{alive: map[int32]float64{1: 0, 3: 0}, written: map[int32]uint64{1: 12, 3: 3}},
	}
	if got, known := g.written(); got != 2+3 || !known {
		t.Errorf("%d bytes, known %t, want 5", got, known)
	}
	delete(g.before.written, 1)
	if got, known := g.written(); known {
		t.Errorf("%d bytes, of a process of which it was not known before", got)
	}
}

func TestClients(t *testing.T) {
	connection := func(pid int32, status string, local, remote uint32) netstat.ConnectionStat {
		return netstat.ConnectionStat{Pid: pid, Status: status, Laddr: netstat.Addr{Port: local}, Raddr: netstat.Addr{Port: remote}}
	}
	got := clients([]netstat.ConnectionStat{
		connection(1, "LISTEN", 5672, 0), connection(1, "ESTABLISHED", 5672, 40001), // the server
		connection(2, "ESTABLISHED", 40001, 5672), connection(2, "ESTABLISHED", 40002, 5672),
		connection(3, "ESTABLISHED", 40003, 15672), // of another server
		connection(4, "TIME_WAIT", 40004, 5672),
		connection(0, "ESTABLISHED", 40005, 5672), // of a process that may not be looked at
		connection(5, "ESTABLISHED", 40006, 5673),
	}, []string{"127.0.0.1:5672", "[::1]:5673"})
	if want := []int32{2, 5}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
