package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"orderflow/pkg/flow"
)

// terminal opens a pseudo terminal: what is written to keyboard can be read from it.
func terminal(t *testing.T) (keyboard, terminal *os.File) {
	t.Helper()
	keyboard, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { keyboard.Close() })
	if err := unix.IoctlSetPointerInt(int(keyboard.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(keyboard.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { terminal.Close() })
	return keyboard, terminal
}

// screen calls asked when it shows the question.
type screen struct {
	bytes.Buffer
	asked func()
}

func (s *screen) Write(p []byte) (int, error) {
	if strings.Contains(string(p), "[y/N]") {
		s.asked()
	}
	return s.Buffer.Write(p)
}

func TestDLQReplayAsks(t *testing.T) {
	for _, c := range []struct {
		answer, says    string
		code            int
		arrived, remain []string
	}{
		{"y", "1 dead letter ", exitDone, []string{"1"}, []string{"late"}},
		{"no", "nothing was changed", exitFailed, nil, []string{"1", "late"}},
		{"", "nothing was changed", exitFailed, nil, []string{"1", "late"}},
		{"Ctrl-C", "stopped after 0 dead letters", exitFailed, nil, []string{"1", "late"}},
	} {
		t.Run(c.answer, func(t *testing.T) {
			d := newDeadLetters(t)
			d.add(placed, placed, flow.ReasonExhausted, "1")
			keyboard, in := terminal(t)
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			var out bytes.Buffer
			shown := &screen{asked: func() {
				d.add(placed, placed, flow.ReasonExhausted, "late") // was not shown, so it stays
				if c.answer == "Ctrl-C" {
					stop()
				} else if _, err := keyboard.WriteString(c.answer + "\n"); err != nil {
					t.Error(err)
				}
			}}
			if code := run(ctx, []string{"dlq", "replay", placed}, in, &out, shown); code != c.code {
				t.Errorf("exit code %d, want %d", code, c.code)
			}
			contains(t, shown.String(), "payment.order-placed.dlq  1  would go to payment.order-placed\n")
			contains(t, out.String()+shown.String(), c.says)
			d.has(placed, c.arrived...)
			d.has(placed+".dlq", c.remain...)
		})
	}
}

func TestDLQReplayDoesNotAskAboutNothing(t *testing.T) {
	newDeadLetters(t)
	_, in := terminal(t)
	var out, errs bytes.Buffer
	if code := run(t.Context(), []string{"dlq", "replay", placed}, in, &out, &errs); code != exitDone {
		t.Errorf("exit code %d, want %d\n%s", code, exitDone, errs.String())
	}
	contains(t, out.String(), "payment.order-placed.dlq  0  empty\n", "0 dead letters replayed\n")
	if errs.Len() > 0 {
		t.Errorf("said %q", errs.String())
	}
}
