package stand

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"syscall"
)

// ErrBroken says that a program has found that a promise does not hold.
var ErrBroken = errors.New("a promise does not hold, or an order has not ended as it should")

const exitFound = 3 // of orderflow, and of the peer that it is measured beside

// Output runs a program to its end, and returns the JSON that it prints. What it says beside that is in the error, if there is one.
func Output(ctx context.Context, path string, args, env []string) (json.RawMessage, error) {
	var out, said bytes.Buffer
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = env, &out, &said
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = stopPatience
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() == exitFound {
		return nil, fmt.Errorf("%s: %w:\n%s%s", filepath.Base(path), ErrBroken, tail(said.Bytes()), tail(out.Bytes()))
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w:\n%s", filepath.Base(path), err, tail(said.Bytes()))
	}
	if !json.Valid(out.Bytes()) {
		return nil, fmt.Errorf("%s printed what is no JSON: %s", filepath.Base(path), tail(out.Bytes()))
	}
	return bytes.TrimSpace(out.Bytes()), nil
}

// tail is the end of what a program said.
func tail(text []byte) []byte {
	const most = 4000
	return text[max(0, len(text)-most):]
}
