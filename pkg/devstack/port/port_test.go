package port

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
)

// TestMain makes the test binary a process that takes ports, where it is called as that.
func TestMain(m *testing.M) {
	if os.Getenv("TAKE_PORTS") != "" {
		ports, err := free(50, 0)
		if err != nil {
			panic(err)
		}
		for _, p := range ports {
			os.Stdout.WriteString(Address(p) + "\n")
		}
		os.Stdout.Close()
		os.Stdin.Read(make([]byte, 1)) // until the other has compared them
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestNobodyGetsAPortTwice(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "TAKE_PORTS=1")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	theirs := new(strings.Builder)
	cmd.Stdout = theirs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var mine []string
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			ports, err := free(50, 0)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			for _, p := range ports {
				mine = append(mine, Address(p))
			}
		})
	}
	group.Wait()
	in.Close()
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	all := append(mine, strings.Fields(theirs.String())...)
	if n := len(all); n != 250 {
		t.Fatalf("%d ports, want 250", n)
	}
	slices.Sort(all)
	if n := len(slices.Compact(all)); n != 250 {
		t.Errorf("%d of 250 ports were given twice", 250-n)
	}
}
