package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// bug is a well-known mistake, as a change to the program's source.
type bug struct {
	name    string
	betrays string // part of what is found
	edits   []edit
}

// edit replaces a text that is found exactly once in a file.
type edit struct{ file, old, new string }

// bugs are what the run must find when the program is built with it.
var bugs = []bug{
	{"inbox-off", "was said in", []edit{{
		"pkg/flow/inbox.go",
		"return postgres.Set(c.noted)",
		"return postgres.Set(c.ids)",
	}}},
	{"ack-before-commit", "ended as", []edit{{
		"pkg/flow/subscription.go",
		"func (w *worker) take(batch []*broker.Delivery) {\n",
		"func (w *worker) take(batch []*broker.Delivery) {\n\tbroker.Ack(batch)\n",
	}, {
		"pkg/flow/subscription.go",
		"if err := broker.Ack(settled); err != nil {",
		"if err := error(nil); err != nil {",
	}}},
	{"no-confirms", "ended as", []edit{{
		"pkg/flow/outbox.go",
		"err := o.publisher.Publish(ctx, messages, func(i int, err error) { o.done(messages[i], err) })",
		"err := o.publisher.Publish(ctx, messages, func(int, error) {})\n\t\t\tfor i := 0; err == nil && i < len(messages); i++ {\n\t\t\t\to.done(messages[i], nil)\n\t\t\t}",
	}}},
	{"goroutine-leak", "goroutines; it had", []edit{{
		"pkg/broker/consumer.go",
		"	defer ch.Close()\n	closed := ",
		"	defer ch.Close()\n	for range 5 {\n		go func() { select {} }()\n	}\n	closed := ",
	}}},
}

// findBug returns the bug of that name; nil for no name.
func findBug(name string) (*bug, error) {
	if name == "" {
		return nil, nil
	}
	known := []string{}
	for i := range bugs {
		if bugs[i].name == name {
			return &bugs[i], nil
		}
		known = append(known, bugs[i].name)
	}
	return nil, fmt.Errorf("there is no bug %q; there are %s", name, strings.Join(known, ", "))
}

// overlay writes the changed files into dir, and the file that makes Go's build take them in the place of those of the repository.
func (b *bug) overlay(dir string) (string, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "orderflow").Output()
	if err != nil {
		return "", fmt.Errorf("find the module: %w", err)
	}
	root, replace := strings.TrimSpace(string(out)), map[string]string{}
	for _, e := range b.edits {
		original, changed := filepath.Join(root, e.file), filepath.Join(dir, filepath.Base(e.file))
		source := original
		if replace[original] != "" {
			source = changed
		}
		text, err := os.ReadFile(source)
		if err != nil {
			return "", err
		}
		if n := strings.Count(string(text), e.old); n != 1 {
			return "", fmt.Errorf("bug %s: %s has %d places like %q, want 1", b.name, e.file, n, e.old)
		}
		if err := os.WriteFile(changed, []byte(strings.Replace(string(text), e.old, e.new, 1)), 0o644); err != nil {
			return "", err
		}
		replace[original] = changed
	}
	file := filepath.Join(dir, "overlay.json")
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err == nil {
		err = os.WriteFile(file, text, 0o644)
	}
	return file, err
}
