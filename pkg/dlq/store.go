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

// readStored reads a line, and refuses what Write has not written.
func readStored(line []byte) (Stored, error) {
	var s struct {
		DLQ     string          `json:"dlq"`
		Message *broker.Message `json:"message"`
	}
	if err := strictly(line, &s); err != nil {
		return Stored{}, err
	}
	if s.Message == nil {
		return Stored{}, errors.New("it has no message")
	}
	return Stored{s.DLQ, *s.Message}, nil
}

// strictly reads JSON that has no other fields than v has, and nothing behind it.
func strictly(text []byte, v any) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(v); err != nil {
		return err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the message")
	}
	return nil
}

// Store is a file that dead letters are written to as JSON lines. One goroutine uses it.
type Store struct {
	path string
	file *os.File
	made bool // it was not there before
}

// ErrTaken tells that a file has something in it.
var ErrTaken = errors.New("the file is not empty")

// CheckStore tells what is wrong with a file that OpenStore is to open, as far as that can be seen without opening it.
func CheckStore(path string, more bool) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		_, err = os.Stat(filepath.Dir(path))
		return err
	case err != nil:
		return err
	case info.IsDir():
		return fmt.Errorf("%s is a directory", path)
	case info.Mode().IsRegular() && info.Size() > 0 && !more:
		return fmt.Errorf("%s: %w", path, ErrTaken)
	}
	return nil
}

// OpenStore opens a file for dead letters, which no other process may write to meanwhile. One that has something in it is refused, unless
// more is to be added to dead letters that are in it. What an interrupted run has left of a line is cut off then: no message leaves its queue
// before its line is whole. A last line that is wrong in another way was not written by this program, and is left as it is.
func OpenStore(path string, more bool) (*Store, error) {
	_, missing := os.Stat(path)
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600) // events have names and addresses in them
	if err != nil {
		return nil, err
	}
	s := &Store{path: path, file: file, made: errors.Is(missing, os.ErrNotExist)}
	if err := s.prepare(more); err != nil {
		file.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

func (s *Store) prepare(more bool) error {
	info, err := s.file.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return err
	}
	if err := lock(s.file); err != nil {
		return fmt.Errorf("another process writes to it: %w", err)
	}
	if info, err = s.file.Stat(); err != nil {
		return err
	}
	if !s.inPlace() {
		return errors.New("it was taken away just now, try again")
	}
	if info.Size() > 0 && !more {
		return ErrTaken
	}
	if err := s.mendEnd(info.Size()); err != nil {
		return err
	}
	return syncFolder(s.path)
}

// syncFolder waits until the disk has the file's name.
func syncFolder(path string) error {
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// lineStart is how every line begins.
var lineStart = []byte(`{"dlq":`)

// begun tells whether a line was begun by Write, as far as it goes.
func begun(line []byte) bool {
	n := min(len(line), len(lineStart))
	return bytes.Equal(line[:n], lineStart[:n])
}

// mendEnd sees to it that the file ends with a whole line. A last line without an end is completed where it is a dead letter, cut off where it
// is the beginning of one, and otherwise nothing that this program has written.
func (s *Store) mendEnd(size int64) error {
	first := make([]byte, min(size, int64(len(lineStart))))
	if _, err := s.file.ReadAt(first, 0); err != nil {
		return err
	}
	if !begun(first) {
		return errors.New("it is no file of dead letters, nothing is added to it")
	}
	end, err := s.lastEnd(size)
	if err != nil || end == size {
		return err
	}
	tail := make([]byte, size-end)
	if _, err := s.file.ReadAt(tail, end); err != nil {
		return err
	}
	switch _, err := readStored(tail); {
	case err == nil:
		_, err = s.file.Write([]byte{'\n'})
		return err
	case begun(tail) && errors.Is(err, io.ErrUnexpectedEOF):
		return s.file.Truncate(end)
	default:
		return fmt.Errorf("its last line is no dead letter (%w), nothing is added to it", err)
	}
}

// lastEnd is where the last line that has an end ends.
func (s *Store) lastEnd(size int64) (int64, error) {
	block := make([]byte, 64<<10)
	for at := size; at > 0; {
		n := min(at, int64(len(block)))
		at -= n
		if _, err := s.file.ReadAt(block[:n], at); err != nil {
			return 0, err
		}
		if i := bytes.LastIndexByte(block[:n], '\n'); i >= 0 {
			return at + int64(i) + 1, nil
		}
	}
	return 0, nil
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

// Close closes the file, and leaves none behind that it has made and written nothing to.
func (s *Store) Close() error {
	info, err := s.file.Stat()
	if err == nil && s.made && info.Size() == 0 && s.inPlace() {
		err = os.Remove(s.path)
	}
	return errors.Join(err, s.file.Close())
}

// inPlace tells whether the file is the one that has its name.
func (s *Store) inPlace() bool {
	mine, err := s.file.Stat()
	if err != nil {
		return false
	}
	named, err := os.Stat(s.path)
	return err == nil && os.SameFile(mine, named)
}

// ReadStore calls see with each line of a file of dead letters. An error names the line.
func ReadStore(path string, see func(Stored) error) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	in := bufio.NewReader(file)
	for n := 1; ; n++ {
		line, err := in.ReadBytes('\n')
		torn := errors.Is(err, io.EOF)
		if err != nil && !torn {
			return fmt.Errorf("line %d: %w", n, err)
		}
		if len(bytes.TrimSpace(line)) > 0 {
			s, err := readStored(line)
			switch {
			case errors.Is(err, io.ErrUnexpectedEOF) && torn && begun(line):
				err = errors.New("it is cut off; nothing was imported. Where a command was killed while it wrote it, its message is still in its queue: look there, and delete the line")
			case err == nil:
				err = see(s)
			}
			if err != nil {
				return fmt.Errorf("line %d: %w", n, err)
			}
		}
		if torn {
			return nil
		}
	}
}
