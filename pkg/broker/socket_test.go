package broker

import (
	"bytes"
	"errors"
	"net"
	"testing"
	"time"
)

// wireTap notes what is written to it, write by write.
type wireTap struct {
	net.Conn
	writes [][]byte
	broken error
}

func (w *wireTap) Write(b []byte) (int, error) {
	if w.broken != nil {
		return 0, w.broken
	}
	w.writes = append(w.writes, bytes.Clone(b))
	return len(b), nil
}

func (w *wireTap) SetWriteDeadline(time.Time) error { return nil }

func TestCorkedSocket(t *testing.T) {
	wire := &wireTap{}
	s := &socket{Conn: wire}
	var want []byte
	write := func(size int, content byte) {
		t.Helper()
		b := bytes.Repeat([]byte{content}, size)
		want = append(want, b...)
		if n, err := s.Write(b); n != size || err != nil {
			t.Fatalf("%d bytes of %d, %v", n, size, err)
		}
	}
	check := func(writes int, kept bool) {
		t.Helper()
		got := bytes.Join(wire.writes, nil)
		if len(wire.writes) != writes || !bytes.HasPrefix(want, got) || (len(got) < len(want)) != kept {
			t.Errorf("%d bytes of %d in %d writes, want %d writes", len(got), len(want), len(wire.writes), writes)
		}
	}
	write(10, 'a')
	check(1, false)
	s.cork()
	write(10, 'b')
	write(10, 'c')
	check(1, true)
	if err := s.uncork(); err != nil {
		t.Fatal(err)
	}
	check(2, false)
	write(10, 'd')
	check(3, false)

	s.cork()
	write(corkCapacity-1, 'e')
	check(3, true)
	write(2, 'f') // has no room beside the other
	check(4, true)
	write(corkCapacity+1, 'g') // has no room at all
	check(6, false)
	write(1, 'h')
	wire.broken = errors.New("cut")
	if err := s.uncork(); !errors.Is(err, wire.broken) {
		t.Errorf("error %v", err)
	}
	wire.broken = nil
	if err := s.uncork(); err != nil || len(wire.writes) != 6 {
		t.Errorf("what could not be written is written later, into nothing or into the middle of something: %v, %d writes", err, len(wire.writes))
	}
}
