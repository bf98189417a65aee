package dlq

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// What the disk does not take is not dropped.
func TestDiskFull(t *testing.T) {
	b := newBench(t)
	ids := b.die(3)
	file, err := os.OpenFile("/dev/full", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	store := &Store{path: "/dev/full", file: file}
	defer store.Close()
	_, err = Do(t.Context(), b.broker, Job{Do: Drop(store), From: []Source{{Queue: dead}}})
	if err == nil || !strings.Contains(err.Error(), "no space left") {
		t.Errorf("error %v", err)
	}
	if left := b.ids(dead); !slices.Equal(left, ids) {
		t.Errorf("left %v", left)
	}
}
