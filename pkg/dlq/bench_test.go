package dlq

import (
	"bytes"
	"slices"
	"testing"

	"orderflow/pkg/broker"
)

// BenchmarkReplay is messages of 1 KiB; ns/op is for one of them.
func BenchmarkReplay(b *testing.B) {
	bench := newBench(b)
	bench.fill(b.N)
	b.ResetTimer()
	if n := bench.replay(Job{}).Count(Replayed); n != b.N {
		b.Fatalf("%d of %d replayed", n, b.N)
	}
}

// BenchmarkLook is messages of 1 KiB; ns/op is for one of them.
func BenchmarkLook(b *testing.B) {
	bench := newBench(b)
	bench.fill(b.N)
	b.ResetTimer()
	if s, err := Summarize(b.Context(), bench.broker, Source{Queue: dead, Take: 0}); err != nil || s.Seen != b.N {
		b.Fatalf("%d of %d looked at: %v", s.Seen, b.N, err)
	}
}

func (b *bench) fill(n int) {
	b.Helper()
	m := deadLetter("1", work)
	m.Body = bytes.Repeat([]byte("x"), 1024)
	for some := range slices.Chunk(slices.Repeat([]broker.Message{m}, n), 1000) {
		b.publish(some...)
	}
}
