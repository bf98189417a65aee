package broker

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"reflect"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// headerSource makes headers of any type and shape out of a fuzzer's bytes.
type headerSource []byte

func (s *headerSource) next() (b byte) {
	if len(*s) > 0 {
		b, *s = (*s)[0], (*s)[1:]
	}
	return b
}

// text is up to 64 KiB, and seldom so long.
func (s *headerSource) text() string {
	n := int(s.next())
	if n > 240 {
		n = n<<8 | int(s.next())
	}
	return strings.Repeat(string(rune(s.next())), n)
}

var headerNames = []string{"x-death", "queue", "reason", "count", "time", "exchange", "routing-keys", "CC", "orderflow-queue"}

func (s *headerSource) name() string {
	if n := int(s.next()); n < len(headerNames) {
		return headerNames[n]
	}
	return s.text()
}

func (s *headerSource) table(depth int) amqp.Table {
	t := amqp.Table{}
	for range s.next() % 8 {
		t[s.name()] = s.value(depth + 1)
	}
	return t
}

func (s *headerSource) list(depth int) []any {
	list := []any{}
	for range s.next() % 8 {
		list = append(list, s.value(depth+1))
	}
	return list
}

func (s *headerSource) value(depth int) any {
	kind := s.next() % 18
	if depth > 20 {
		kind %= 16
	}
	switch kind {
	case 0:
		return s.next() > 9
	case 1:
		return s.next()
	case 2:
		return int8(s.next())
	case 3:
		return int16(s.next())
	case 4:
		return int(s.next())
	case 5:
		return int32(s.next())
	case 6:
		return int64(s.next())
	case 7:
		return uint16(s.next())
	case 8:
		return uint32(s.next())
	case 9:
		return float32(s.next())
	case 10:
		return float64(s.next())
	case 11:
		return amqp.Decimal{Scale: s.next(), Value: int32(s.next())}
	case 12:
		return time.Unix(int64(s.next()), 0)
	case 13:
		return []byte(s.text())
	case 14:
		return nil
	case 15:
		return s.text()
	case 16:
		return s.table(depth)
	}
	return s.list(depth)
}

// seedHeaders are a few shapes, and the last is as a broker writes it: x-death with a table in a list.
func seedHeaders(f *testing.F) {
	for kind := range byte(18) {
		f.Add([]byte{2, 8, kind, 3, 'x', 20, 'n', kind, 255, 255, 'y'})
	}
	f.Add([]byte{1, 0, 17, 1, 16, 4, 1, 15, 5, 'q', 2, 15, 7, 'r', 3, 6, 2, 4, 12, 99})
}

// What check lets through is written by the library in one frame, and encodedSize never says that it is smaller than it is.
func FuzzHeadersFit(f *testing.F) {
	seedHeaders(f)
	wire := newWiretap(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		source := headerSource(data)
		m := Message{Exchange: "", RoutingKey: "q", Headers: source.table(0)}
		if err := m.check(); err != nil {
			if !errors.Is(err, ErrTooLarge) || len(err.Error()) > 1000 {
				t.Errorf("refused with %d bytes: %.200v", len(err.Error()), err)
			}
			return
		}
		written, err := wire.headerFrame(m.publishing())
		if err != nil {
			t.Fatalf("the library refuses what was checked: %v", err)
		}
		size, _ := encodedSize(amqp.Table(m.Headers))
		if table := written - frameOverhead; size < table && len(m.Headers) > 0 {
			t.Errorf("%d bytes are written, %d were expected: %v", table, size, m.Headers)
		}
		if written > frameMax {
			t.Errorf("a frame of %d bytes, more than %d", written, frameMax)
		}
	})
}

// Whatever the x-death header is, reading it finds the tables in it and nothing else.
func FuzzDeaths(f *testing.F) {
	seedHeaders(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		source := headerSource(data)
		m := Message{Headers: map[string]any{"x-death": source.value(0)}}
		deaths := m.Deaths()
		entries, _ := m.Headers["x-death"].([]any)
		tables := 0
		for _, entry := range entries {
			table, ok := entry.(amqp.Table)
			if !ok {
				continue
			}
			if tables == len(deaths) {
				t.Fatalf("%d deaths of %v", len(deaths), entries)
			}
			d := deaths[tables]
			for field, got := range map[string]any{"queue": d.Queue, "reason": d.Reason, "count": d.Count, "time": d.Time} {
				if reflect.TypeOf(table[field]) == reflect.TypeOf(got) && table[field] != got {
					t.Errorf("%s is %v, want %v", field, got, table[field])
				}
			}
			tables++
		}
		if tables != len(deaths) {
			t.Errorf("%d deaths of %d tables", len(deaths), tables)
		}
		if copied := m.Copy(); len(copied.Headers) != 0 {
			t.Errorf("a copy has %v", copied.Headers)
		}
	})
}

const (
	frameMax      = 128 << 10
	frameOverhead = 2 + 2 + 8 + 2 + 1 // class, weight, body size, flags, delivery mode
)

// wiretap is a connection to a broker that agrees to everything, and tells how large the header frames are that are sent to it.
type wiretap struct {
	channel *amqp.Channel
	frames  chan int // sizes of the payloads of header frames
}

func newWiretap(f *testing.F) *wiretap {
	client, server := net.Pipe()
	w := &wiretap{frames: make(chan int, 1)}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.serve(server)
	}()
	f.Cleanup(func() { client.Close(); server.Close(); <-ended })
	connection, err := amqp.Open(client, amqp.Config{SASL: []amqp.Authentication{&amqp.PlainAuth{}}, Vhost: "/"})
	if err != nil {
		f.Fatal(err)
	}
	if w.channel, err = connection.Channel(); err != nil {
		f.Fatal(err)
	}
	return w
}

// headerFrame publishes a message and returns the size of its header frame.
func (w *wiretap) headerFrame(m amqp.Publishing) (int, error) {
	if err := w.channel.Publish("", "q", false, false, m); err != nil {
		return 0, err
	}
	return <-w.frames, nil
}

// answers are what a broker says to methods of a client, by class and method.
var answers = map[[2]uint16]string{
	{10, 11}: "\x00\x0a\x00\x1e" + "\x00\x00" + "\x00\x02\x00\x00" + "\x00\x00", // StartOk: Tune, with frames of 128 KiB, no heartbeat
	{10, 40}: "\x00\x0a\x00\x29" + "\x00",                                       // Open: OpenOk
	{20, 10}: "\x00\x14\x00\x0b" + "\x00\x00\x00\x00",                           // Channel.Open: OpenOk
}

const startMethod = "\x00\x0a\x00\x0a" + "\x00\x09" + "\x00\x00\x00\x00" + "\x00\x00\x00\x05PLAIN" + "\x00\x00\x00\x05en_US"

func (w *wiretap) serve(conn net.Conn) {
	in := bufio.NewReader(conn)
	if _, err := in.Discard(len("AMQP\x00\x00\x09\x01")); err != nil {
		return
	}
	say := func(channel uint16, payload string) error {
		frame := binary.BigEndian.AppendUint16([]byte{1}, channel)
		frame = binary.BigEndian.AppendUint32(frame, uint32(len(payload)))
		_, err := fmt.Fprintf(conn, "%s%s\xce", frame, payload)
		return err
	}
	err := say(0, startMethod)
	for err == nil {
		var head [7]byte
		if _, err = io.ReadFull(in, head[:]); err != nil {
			return
		}
		payload := make([]byte, binary.BigEndian.Uint32(head[3:])+1) // and the end of the frame
		if _, err = io.ReadFull(in, payload); err != nil {
			return
		}
		switch head[0] {
		case 1:
			method := [2]uint16{binary.BigEndian.Uint16(payload), binary.BigEndian.Uint16(payload[2:])}
			if answer, ok := answers[method]; ok {
				err = say(binary.BigEndian.Uint16(head[1:]), answer)
			}
		case 2:
			w.frames <- len(payload) - 1
		}
	}
}
