package devstack

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"orderflow/pkg/devstack/port"
)

// TestDataThatTheServersCannotReachGoesElsewhere needs root to have two users; as another user, the servers reach what
// this process reaches.
func TestDataThatTheServersCannotReachGoesElsewhere(t *testing.T) {
	dir := t.TempDir() // below a directory of mode 0700
	user, err := serverAccount(filepath.Join(dir, "data"))
	if err != nil {
		t.Fatal(err)
	}
	data, err := placeData(dir, user)
	if err != nil {
		t.Fatal(err)
	}
	if user == nil {
		if want := filepath.Join(dir, "data"); data != want {
			t.Errorf("data is in %s, want %s", data, want)
		}
		return
	}
	t.Cleanup(func() {
		os.RemoveAll(data)
		os.Remove(filepath.Dir(data)) // unless others have data there
	})
	if !strings.HasPrefix(data, "/var/lib/orderflow/") || !user.reaches(data) {
		t.Errorf("data is in %s", data)
	}
	if info, err := os.Stat(filepath.Dir(dir)); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("mode of the closed directory is now %v, %v", info.Mode(), err)
	}
	mark := filepath.Join(data, "mark")
	if err := os.WriteFile(mark, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if again, err := placeData(dir, user); err != nil || again != data {
		t.Errorf("the second time data is in %s, %v", again, err)
	}
	if _, err := os.Stat(mark); err != nil {
		t.Errorf("data was not kept: %v", err)
	}

	// The directory is removed and made anew: the old data, whose password is lost, must not be taken up.
	if err := os.Remove(filepath.Join(dir, "data")); err != nil {
		t.Fatal(err)
	}
	if _, err := placeData(dir, user); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(mark); !os.IsNotExist(err) {
		t.Errorf("old data was taken up: %v", err)
	}
}

func TestPortsStayUnlessTaken(t *testing.T) {
	first, err := freePorts(ports{})
	if err != nil {
		t.Fatal(err)
	}
	if again, err := freePorts(first); err != nil || again != first {
		t.Errorf("free ports %v became %v, %v", first, again, err)
	}
	l := listen(t, first.AMQP)
	defer l.Close()
	changed, err := freePorts(first)
	if err != nil {
		t.Fatal(err)
	}
	if changed.AMQP == first.AMQP || !port.IsFree(changed.AMQP) {
		t.Errorf("the taken port %d became %d", first.AMQP, changed.AMQP)
	}
	changed.AMQP = first.AMQP
	if changed != first {
		t.Errorf("other ports than the taken one changed: %v became %v", first, changed)
	}
}

func listen(t *testing.T, p int) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", port.Address(p))
	if err != nil {
		t.Fatal(err)
	}
	return l
}
