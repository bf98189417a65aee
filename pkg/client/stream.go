package client

import (
	"bufio"
	"bytes"
	"io"
	"strconv"
	"time"
)

// maxLine is how long a line of a stream may be, in bytes.
const maxLine = 1 << 20

// message is one message of a stream of server-sent events, as far as it says anything here.
type message struct {
	data  []byte
	id    string        // of the last message that had one
	retry time.Duration // 0 where it does not say
}

// messages reads a stream of server-sent events, as browsers do: https://html.spec.whatwg.org/multipage/server-sent-events.html. It
// knows lines that end with LF or CRLF, and not those that end with CR alone.
type messages struct {
	lines *bufio.Scanner
	heard func() // is called for each line
	id    string
}

func newMessages(stream io.Reader, lastID string, heard func()) *messages {
	lines := bufio.NewScanner(stream)
	lines.Buffer(nil, maxLine)
	return &messages{lines: lines, heard: heard, id: lastID}
}

// next returns the next message, or io.EOF at the end of the stream. What is cut off is no message.
func (s *messages) next() (m message, err error) {
	id := s.id
	for s.lines.Scan() {
		s.heard()
		line := s.lines.Bytes()
		if len(line) == 0 {
			s.id, m.id = id, id
			return m, nil
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(name) { // "" is a comment
		case "data":
			if m.data != nil {
				m.data = append(m.data, '\n')
			}
			m.data = append(m.data, value...)
		case "id":
			if !bytes.ContainsRune(value, 0) {
				id = string(value)
			}
		case "retry":
			if ms, err := strconv.ParseUint(string(value), 10, 31); err == nil {
				m.retry = time.Duration(ms) * time.Millisecond
			}
		}
	}
	if err := s.lines.Err(); err != nil {
		return message{}, err
	}
	return message{}, io.EOF
}
