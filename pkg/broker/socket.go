package broker

import (
	"net"
	"sync"
	"time"
)

const (
	writeTimeout = 10 * time.Second
	corkCapacity = 64 << 10 // bytes
)

// socket is a connection whose writes fail after a while, instead of waiting for a network that has gone. The library could not even
// give such a connection up: it waits for the end of the write.
//
// While it is corked it keeps what is written, so that many messages need one system call, and the broker reads them at once. The
// library would write each message by itself.
type socket struct {
	net.Conn
	mu     sync.Mutex
	corked bool
	kept   []byte
}

func (s *socket) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.corked {
		return s.send(b)
	}
	if len(s.kept)+len(b) > corkCapacity {
		if err := s.flush(); err != nil {
			return 0, err
		}
		if len(b) > corkCapacity {
			return s.send(b)
		}
	}
	s.kept = append(s.kept, b...)
	return len(b), nil
}

// cork begins to keep what is written.
func (s *socket) cork() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.corked = true
}

// uncork writes what was kept. After an error the connection is of no use any more.
func (s *socket) uncork() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.corked = false
	return s.flush()
}

func (s *socket) flush() error {
	if len(s.kept) == 0 {
		return nil
	}
	_, err := s.send(s.kept)
	s.kept = s.kept[:0]
	return err
}

func (s *socket) send(b []byte) (int, error) {
	s.SetWriteDeadline(time.Now().Add(writeTimeout))
	return s.Conn.Write(b)
}
