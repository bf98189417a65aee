package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
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

func TestFlags(t *testing.T) {
	there := program(t, "")
	good := []string{"-orderflow", there, "-peer", there}
	c, err := parse(append(good, "-rounds", "7", "-fast-duration", "3s", "-picture", "a.svg"), io.Discard)
	if err != nil || c.rounds != 7 || c.fastDuration != 3*time.Second || c.orders != 10_000 {
		t.Errorf("%+v, %v", c, err)
	}
	for args, want := range map[string]string{
		"-rounds 0": "-rounds must be from 1", "-orders 0": "-orders must be from 1", "-placers 0": "-placers must be from 1",
		"-warmup -1":   "-warmup must be from 0",
		"-duration 0s": "-duration must be 1s", "-fast-duration -1s": "-fast-duration must be 1s",
		"-picture a.gif": "must end in .svg or .png", "-peer none": "task bench:peer builds it", "more": `unexpected argument "more"`,
	} {
		if _, err := parse(append(good, strings.Fields(args)...), io.Discard); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", args, err)
		}
	}
	if code := run(t.Context(), []string{"-rounds", "0"}, io.Discard, io.Discard); code != exitUsage {
		t.Errorf("exit code %d", code)
	}
}
