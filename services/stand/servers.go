package stand

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/jackc/pgx/v5"

	"orderflow/pkg/devstack"
)

// Servers are a RabbitMQ and a Postgres of our own, with data that is as safe as in earnest: nothing is told to skip the disk.
type Servers struct {
	*devstack.Stack
	dir string
}

// Start starts them in a directory that is emptied before; what it does is told on log.
func Start(ctx context.Context, dir string, log io.Writer) (*Servers, error) {
	if err := empty(dir); err != nil {
		return nil, err
	}
	stack, err := devstack.Start(ctx, devstack.Options{Dir: dir, Log: log})
	if err != nil {
		return nil, err
	}
	return &Servers{stack, dir}, nil
}

// End stops them and removes their data.
func (s *Servers) End() error {
	if err := s.Stop(); err != nil {
		return err
	}
	return empty(s.dir)
}

// Tidy has Postgres clear away what was left by whatever ran before, in the database of that URL.
func Tidy(ctx context.Context, databaseURL string) error {
	conn, err := pgx.Connect(ctx, databaseURL)
	if err != nil {
		return fmt.Errorf("tidy: %w", err)
	}
	for _, command := range []string{"VACUUM ANALYZE", "CHECKPOINT"} {
		if _, err := conn.Exec(ctx, command); err != nil {
			return errors.Join(fmt.Errorf("tidy: %s: %w", command, err), conn.Close(ctx))
		}
	}
	return conn.Close(ctx)
}

// stackFile marks a directory as one of a stack.
const stackFile = "stack.json"

// empty removes what a stack has left in a directory, and nothing else: a directory of something else is refused.
func empty(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(entries) == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(dir, stackFile)); err != nil {
		return fmt.Errorf("%s is not empty, and not of an earlier run: choose another directory by -dir", dir)
	}
	// Where the servers' user may not reach dir, its data is elsewhere and this is a link.
	if data, err := filepath.EvalSymlinks(filepath.Join(dir, "data")); err == nil {
		if err := os.RemoveAll(data); err != nil {
			return err
		}
	}
	return os.RemoveAll(dir)
}
