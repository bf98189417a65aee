package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestFlags(t *testing.T) {
	there := filepath.Join(t.TempDir(), "orderflow")
	if err := os.WriteFile(there, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	f := &field{log: io.Discard}
	chosen, dir, err := f.parse([]string{"-orderflow", there, "-rounds", "7", "-dir", "d", "backlog", "growth"})
	if err != nil || f.rounds != 7 || f.orders != 10_000 || dir != "d" || len(chosen) != 2 || chosen[0].name != "growth" {
		t.Errorf("%+v %v %s %v", f, chosen, dir, err)
	}
	for args, want := range map[string]string{
		"-rounds 0": "-rounds must be from 1", "-orders 0": "-orders must be from 1", "-old 0": "-old must be from 1", "-backlog -1": "-backlog must be",
		"-duration 0s": "-duration must be from 1s", "-orderflow none": "task trials builds it", "grow": `no trial "grow"; there are growth, overload`,
	} {
		if _, _, err := f.parse(append([]string{"-orderflow", there}, strings.Fields(args)...)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", args, err)
		}
	}
	if code := run(t.Context(), []string{"-rounds", "0"}, io.Discard, io.Discard); code != exitUsage {
		t.Errorf("exit code %d", code)
	}
}

func TestBounds(t *testing.T) {
	var r result
	r.least("more", 0.9, 0.5, 1, 0.95)
	r.least("too little", 0.9, 0.8)
	r.most("none", 0, 0)
	r.most("too much", 1.05, 1.1, 1.2)
	for i, want := range []bool{true, false, true, false} {
		if b := r.Bounds[i]; b.OK != want || strings.Contains(b.String(), "MISSED") == want {
			t.Errorf("%s", b)
		}
	}
}

// A payment of which one in two fails is answered when it is asked for again.
func TestBankFailsOnce(t *testing.T) {
	b := &bank{failOneIn: 2}
	for i, want := range []bool{false, true, false, false, true} {
		if key := []string{"a", "b", "b", "c", "d"}[i]; b.fails(key) != want {
			t.Errorf("request %d, for %s: fails is not %t", i+1, key, want)
		}
	}
}

// All trials, as small as can be, on real servers: each has its figures, and no promise is broken. Whether bounds are reached says nothing
// here.
func TestTrials(t *testing.T) {
	if testing.Short() {
		t.Skip("needs RabbitMQ and Postgres")
	}
	binary := filepath.Join(t.TempDir(), "orderflow")
	if said, err := exec.Command("go", "build", "-o", binary, "orderflow/services/orderflow").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	ctx, stop := context.WithTimeout(t.Context(), 8*time.Minute)
	defer stop()
	var out, said bytes.Buffer
	code := run(ctx, []string{"-orderflow", binary, "-dir", filepath.Join(t.TempDir(), "servers"),
		"-rounds", "1", "-orders", "600", "-old", "2000", "-backlog", "500", "-duration", "1s"}, &out, &said)
	if code != exitDone && code != exitFound {
		t.Fatalf("exit code %d\n%s", code, said.String())
	}
	results := json.NewDecoder(&out)
	for _, trial := range trials {
		var r result
		if err := results.Decode(&r); err != nil || r.Trial != trial.name || len(r.Bounds) == 0 || len(r.Said) < 2 {
			t.Fatalf("%s: %+v %v\n%s", trial.name, r, err, said.String())
		}
		for _, b := range r.Bounds {
			if len(b.Rounds) != 1 {
				t.Errorf("%s: %s has %d rounds", trial.name, b.What, len(b.Rounds))
			}
		}
		for _, b := range r.Said {
			if b.Orders == 0 || b.EndedPerS <= 0 {
				t.Errorf("%s: %+v", trial.name, b)
			}
		}
	}
}
