package stand

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"orderflow/pkg/devstack/devtest"
)

// program is a shell script in place of a program of ours.
func program(t *testing.T, script string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestOutputOfPrograms(t *testing.T) {
	if said, err := Output(t.Context(), program(t, `echo note >&2; echo '{"a": "'$A'"}'`), nil, []string{"A=b"}); err != nil || string(said) != `{"a": "b"}` {
		t.Errorf("%s, %v", said, err)
	}
	if _, err := Output(t.Context(), program(t, "echo lost >&2; exit 3"), nil, nil); !errors.Is(err, ErrBroken) || !strings.Contains(err.Error(), "lost") {
		t.Errorf("a promise that is broken: %v", err)
	}
	if _, err := Output(t.Context(), program(t, "echo why >&2; exit 1"), nil, nil); err == nil || errors.Is(err, ErrBroken) || !strings.Contains(err.Error(), "why") {
		t.Errorf("a program that fails: %v", err)
	}
	if _, err := Output(t.Context(), program(t, "echo no figures"), nil, nil); err == nil || !strings.Contains(err.Error(), "no JSON: no figures") {
		t.Errorf("a program without JSON: %v", err)
	}
}

func TestServe(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	start := func(script string) *Serving {
		t.Helper()
		s, err := Serve(t.Context(), program(t, script), os.Environ(), log)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := start("echo cannot; exit 1")
	if _, err := s.Ready(t.Context(), "http://127.0.0.1:1"); err == nil || !strings.Contains(err.Error(), "cannot") {
		t.Errorf("one that ends at once: %v", err)
	}
	s = start("trap 'exit 0' TERM; echo up; while :; do sleep 0.05; done")
	devtest.Eventually(t, 30*time.Second, "the first line of the log", func() bool { text, _ := os.ReadFile(log); return string(text) == "up\n" })
	if err := s.Stop(); err != nil {
		t.Errorf("one that ends in good order: %v", err)
	}
}

func TestEmptyTakesNothingOfOthers(t *testing.T) {
	dir := t.TempDir()
	if err := empty(dir); err != nil {
		t.Error("an empty directory:", err)
	}
	if err := empty(filepath.Join(dir, "none")); err != nil {
		t.Error("no directory:", err)
	}
	mine := filepath.Join(dir, "letter")
	if err := os.WriteFile(mine, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := empty(dir); err == nil {
		t.Error("somebody's directory is emptied")
	}
	if _, err := os.Stat(mine); err != nil {
		t.Error(err)
	}
	elsewhere := t.TempDir()
	if err := errors.Join(os.WriteFile(filepath.Join(dir, stackFile), nil, 0o600), os.Symlink(elsewhere, filepath.Join(dir, "data"))); err != nil {
		t.Fatal(err)
	}
	if err := empty(dir); err != nil {
		t.Error(err)
	}
	for _, gone := range []string{dir, elsewhere} {
		if _, err := os.Stat(gone); !os.IsNotExist(err) {
			t.Errorf("%s is still there", gone)
		}
	}
}

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   float64
	}{{nil, 0}, {[]float64{3}, 3}, {[]float64{9, 1, 5}, 5}, {[]float64{4, 1, 3, 2}, 2.5}, {[]float64{7, 7, 1, 1, 1}, 1}} {
		before := slices.Clone(c.values)
		if got := Median(c.values); got != c.want || !slices.Equal(before, c.values) {
			t.Errorf("median of %v is %v, want %v; afterwards they are %v", before, got, c.want, c.values)
		}
	}
}
