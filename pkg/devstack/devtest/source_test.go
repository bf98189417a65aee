package devtest

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestServersGivenByURLAreTakenAsTheyAre(t *testing.T) {
	want := Env{"amqp://a", "http://m", "postgres://d", ""}
	t.Setenv("ORDERFLOW_TEST_SERVERS", "nothing may be started")
	t.Setenv("AMQP_URL", want.AMQPURL)
	t.Setenv("RABBITMQ_MANAGEMENT_URL", want.ManagementURL)
	t.Setenv("DATABASE_URL", want.DatabaseURL)
	s, err := startShared()
	if err != nil {
		t.Fatal(err)
	}
	if s.Env != want {
		t.Errorf("servers are %+v, want %+v", s.Env, want)
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}

	t.Setenv("DATABASE_URL", "") // two of three are none
	if _, err := startShared(); err == nil || !strings.Contains(err.Error(), "ORDERFLOW_TEST_SERVERS") {
		t.Errorf("error does not name the wrong choice: %v", err)
	}
}

func TestWithPath(t *testing.T) {
	for in, want := range map[string]string{
		"amqp://u:p@h:1/":                           "amqp://u:p@h:1/x",
		"amqp://u:p@h:1/%2Fodd":                     "amqp://u:p@h:1/x",
		"amqp://h1, amqp://h2/old":                  "amqp://h1/x,amqp://h2/x",
		"postgres://u:p%2F@h:5/old?sslmode=disable": "postgres://u:p%2F@h:5/x?sslmode=disable",
	} {
		if got := withPath(t, in, "x"); got != want {
			t.Errorf("withPath(%q) = %q, want %q", in, got, want)
		}
	}
}

// Several suites of one process start their servers at the same time, and so look for the engine at the same time.
func TestTheEngineIsLookedForSideBySide(t *testing.T) {
	errs := make([]error, 4)
	var group sync.WaitGroup
	for i := range errs {
		group.Go(func() {
			e, err := connectEngine(t.Context())
			if errs[i] = err; err == nil {
				if err := e.close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	for _, err := range errs {
		if (err == nil) != (errs[0] == nil) {
			t.Errorf("some found an engine, some did not: %v", errs)
		}
	}
}

// TestReaperRemovesContainersByName puts a program in docker's place that writes down how it was called.
func TestReaperRemovesContainersByName(t *testing.T) {
	dir := t.TempDir()
	calls := filepath.Join(dir, "calls")
	if err := os.WriteFile(filepath.Join(dir, "docker"), []byte("#!/bin/sh\necho \"$@\" >>"+calls+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	r, err := startReaper()
	if err != nil {
		t.Fatal(err)
	}
	r.add("one")
	r.add("two")
	if err := r.close(); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(calls)
	if want := "rm -f -v one two\n"; err != nil || string(got) != want {
		t.Errorf("docker was called with %q, %v, want %q", got, err, want)
	}
}
