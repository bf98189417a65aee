package dlq

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"orderflow/pkg/broker"
)

// Stored is a line of a file of dead letters.
type Stored struct {
	DLQ     string         `json:"dlq"` // where it was
	Message broker.Message `json:"message"`
}

// Write writes the line.
func (s Stored) Write(w io.Writer) error {
	line, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("message %s: %w", s.Message.ID, err)
	}
	_, err = w.Write(append(line, '\n'))
	return err
}

// Store is a file that dead letters are written to as JSON lines. One goroutine uses it.
type Store struct {
	path string
	file *os.File
}

// ErrTaken tells that a file has something in it.
var ErrTaken = errors.New("the file is not empty")

// OpenStore opens a file for dead letters. One that has something in it is refused, unless more is to be added; what an interrupted run has
// left of a line is cut off then: no message leaves its queue before its line is whole.
func OpenStore(path string, more bool) (*Store, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600) // events have names and addresses in them
	if err != nil {
		return nil, err
	}
	s := &Store{path: path, file: file}
	if err := errors.Join(s.seekEnd(more), syncFolder(path)); err != nil {
		file.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

// syncFolder waits until the disk has the file's name.
func syncFolder(path string) error {
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

func (s *Store) seekEnd(more bool) error {
	size, err := s.file.Seek(0, io.SeekEnd)
	if err != nil || size == 0 {
		return err
	}
	if !more {
		return ErrTaken
	}
	end := int64(0) // of the last whole line
	block := make([]byte, 64<<10)
	for at := size; at > 0 && end == 0; {
		n := min(at, int64(len(block)))
		at -= n
		if _, err := s.file.ReadAt(block[:n], at); err != nil {
			return err
		}
		if i := bytes.LastIndexByte(block[:n], '\n'); i >= 0 {
			end = at + int64(i) + 1
		}
	}
	if err := s.file.Truncate(end); err != nil {
		return err
	}
	_, err = s.file.Seek(end, io.SeekStart)
	return err
}

// keep writes letters as they are and waits until the disk has them.
func (s *Store) keep(some []*held) error {
	var lines bytes.Buffer
	for _, h := range some {
		if err := (Stored{DLQ: h.tally.Queue, Message: h.Message}).Write(&lines); err != nil {
			return err
		}
	}
	if _, err := s.file.Write(lines.Bytes()); err != nil {
		return err
	}
	return s.file.Sync()
}

// Close closes the file.
func (s *Store) Close() error { return s.file.Close() }

// maxLine is how long a line of a file can be: a message of the size that RabbitMQ takes, in base64, and its headers.
const maxLine = 256 << 20

// ReadStore calls see with each line of a file of dead letters. An error names the line.
func ReadStore(path string, see func(Stored) error) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	in := bufio.NewScanner(file)
	in.Buffer(make([]byte, 0, 64<<10), maxLine)
	n := 0
	for in.Scan() {
		n++
		if len(bytes.TrimSpace(in.Bytes())) == 0 {
			continue
		}
		var s Stored
		decoder := json.NewDecoder(bytes.NewReader(in.Bytes()))
		if err := decoder.Decode(&s); err != nil {
			return fmt.Errorf("%s, line %d: %w", path, n, err)
		}
		if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
			return fmt.Errorf("%s, line %d: something follows the message", path, n)
		}
		if err := see(s); err != nil {
			return fmt.Errorf("%s, line %d: %w", path, n, err)
		}
	}
	if err := in.Err(); err != nil {
		return fmt.Errorf("%s, line %d: %w", path, n+1, err)
	}
	return nil
}
