package broker

import (
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"orderflow/pkg/devstack/devtest"
)

// open is Open with one URL, and fails where it hangs.
func open(t *testing.T, patience time.Duration, urls ...string) error {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), limit)
	defer stop()
	b, err := Open(ctx, Config{URLs: urls, Name: "test", Log: quiet(t), Patience: patience})
	if err == nil {
		closeBroker(t, b)
	}
	if ctx.Err() != nil {
		t.Fatalf("Open hung, and then said %v", err)
	}
	return err
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	env := devtest.New(t)
	wrongVhost, _ := url.Parse(env.AMQPURL)
	wrongVhost.Path = "/nowhere"
	for name, c := range map[string]struct {
		url   string
		words []string
	}{
		"wrong password":             {as(t, env.AMQPURL, "orderflow", "wrong-secret"), []string{`"orderflow"`, "AMQP_URL"}},
		"wrong user":                 {as(t, env.AMQPURL, "nobody", "wrong-secret"), []string{`"nobody"`, "AMQP_URL"}},
		"wrong vhost":                {wrongVhost.String(), []string{`"nowhere"`, "virtual host"}},
		"wrong password by AMQPLAIN": {as(t, env.AMQPURL, "orderflow", "wrong-secret") + "?auth_mechanism=amqplain", []string{`"orderflow"`, "AMQP_URL"}},
		"a mechanism that the broker does not offer": {env.AMQPURL + "?auth_mechanism=external", []string{"auth_mechanism", "AMQP_URL"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			err := open(t, time.Minute, c.url)
			if !IsSetup(err) {
				t.Fatalf("error %v, want a fault of the setup, at once", err)
			}
			if took := time.Since(began); took > 2*time.Second { // RabbitMQ keeps who does not listen for three
				t.Errorf("it took %s", took)
			}
			mustSay(t, err, c.words...)
			if strings.Contains(err.Error(), "wrong-secret") {
				t.Errorf("the error %q tells the password", err)
			}
		})
	}
}

func TestOpenRefusesAddressesThatAreNone(t *testing.T) {
	for _, u := range []string{"", "http://user:top-secret@host", "amqp://user:top-secret%zz@host", "amqp://user:top-secret@host:port",
		"amqp://user:top/secret@host", "amqp://user:top-secret @host"} {
		err := open(t, 0, u)
		if !IsSetup(err) {
			t.Errorf("%q: error %v, want a fault of the setup", u, err)
			continue
		}
		mustSay(t, err, "AMQP_URL", "amqp://")
		if strings.Contains(err.Error(), "top") || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: the error %q tells the password", u, err)
		}
	}
	if err := open(t, 0); !IsSetup(err) {
		t.Errorf("no address: error %v, want a fault of the setup", err)
	}
}

// refused is an address where nobody listens.
func refused(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return "amqp://user:top-secret@" + l.Addr().String() + "/vhost"
}

func TestOpenWhereNobodyListens(t *testing.T) {
	u := refused(t)
	err := open(t, 0, u)
	if err == nil || IsSetup(err) {
		t.Fatalf("error %v, want one that trying again may mend", err)
	}
	mustSay(t, err, "127.0.0.1:", "refused")
	if strings.Contains(err.Error(), "top-secret") {
		t.Errorf("the error %q tells the password", err)
	}
}

func TestOpenTakesAnyAddressThatWorks(t *testing.T) {
	env := devtest.New(t)
	if err := open(t, 0, refused(t), env.AMQPURL, refused(t)); err != nil {
		t.Error(err)
	}
}

// A connection that is lost while it is made says nothing about the password.
func TestOpenDoesNotTakeALostConnectionForAWrongPassword(t *testing.T) {
	env := devtest.New(t)
	for name, frames := range map[string]int{"after start": 1, "after tune": 2} {
		t.Run(name, func(t *testing.T) {
			err := open(t, 0, cutAfter(t, env.AMQPURL, frames))
			if err == nil || IsSetup(err) {
				t.Errorf("error %v, want one that trying again may mend", err)
			}
		})
	}
}

// cutAfter is the URL of a proxy that passes on some of the broker's words and then cuts the connection.
func cutAfter(t *testing.T, amqpURL string, words int) string {
	u, err := url.Parse(amqpURL)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer l.Close()
		client, err := l.Accept()
		if err != nil {
			return
		}
		defer client.Close()
		server, err := net.Dial("tcp", u.Host)
		if err != nil {
			return
		}
		defer server.Close()
		buf := make([]byte, 64<<10)
		for range words {
			for _, way := range [][2]net.Conn{{client, server}, {server, client}} {
				n, err := way[0].Read(buf)
				if err != nil {
					return
				}
				way[1].Write(buf[:n])
			}
		}
		client.Read(buf) // what it answers to that
	}()
	t.Cleanup(func() { l.Close(); <-done })
	target := *u
	target.Host = l.Addr().String()
	return target.String()
}

// Patience bounds the wait, whatever listens there or does not.
func TestOpenIsPatientForAsLongAsItIsTold(t *testing.T) {
	const patience = 400 * time.Millisecond
	for name, c := range map[string]struct{ url, says string }{
		"nobody listens":         {refused(t), "refused"},
		"it accepts and waits":   {listening(t, func(c net.Conn) { io.Copy(io.Discard, c) }), "no answer"},
		"it closes at once":      {listening(t, func(net.Conn) {}), "lost during the handshake"},
		"it closes when greeted": {listening(t, func(c net.Conn) { c.Read(make([]byte, 8)) }), "lost during the handshake"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			err := open(t, patience, c.url)
			if err == nil || IsSetup(err) {
				t.Fatalf("error %v, want one that trying again may mend", err)
			}
			mustSay(t, err, "127.0.0.1:", c.says, "START_TIMEOUT", patience.String())
			if took := time.Since(began); took < patience/2 || took > patience+2*time.Second {
				t.Errorf("it took %s to say: %v", took, err)
			}
		})
	}
}

// What does not speak AMQP will not learn it: that is said at once.
func TestOpenWhereSomethingElseListens(t *testing.T) {
	for name, answer := range map[string]string{
		"HTTP":       "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n",
		"a TLS port": "\x15\x03\x01\x00\x02\x02\x46",
		"AMQP 1.0":   "AMQP\x00\x01\x00\x00",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := open(t, time.Minute, listening(t, func(c net.Conn) {
				c.Read(make([]byte, 8))
				io.WriteString(c, answer)
			}))
			if !IsSetup(err) {
				t.Fatalf("error %v, want a fault of the setup, at once", err)
			}
			mustSay(t, err, "127.0.0.1:", "does not speak AMQP", "AMQP_URL", "amqps://")
		})
	}
}

func TestCheckReadsWhatAnAddressNames(t *testing.T) {
	nonsense := filepath.Join(t.TempDir(), "nonsense.pem")
	if err := os.WriteFile(nonsense, []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	for query, says := range map[string]string{
		"cacertfile=/nowhere/ca.pem":                          "cacertfile: open /nowhere/ca.pem: no such file",
		"cacertfile=" + nonsense:                              "has no certificate in PEM format",
		"certfile=/nowhere/cert.pem&keyfile=/nowhere/key.pem": "certfile and keyfile: open /nowhere/cert.pem",
		"certfile=" + nonsense:                                "certfile and keyfile",
		"auth_mechanism=plain&auth_mechanism=kerberos":        `auth_mechanism "kerberos" is none of plain`,
	} {
		err := Check([]string{"amqps://user:top-secret@host", "amqps://user:top-secret@host/vhost?" + query})
		if err == nil {
			t.Errorf("%s: no error", query)
			continue
		}
		mustSay(t, err, "AMQP_URL", "address 2 of 2", says)
		if strings.Contains(err.Error(), "top-secret") {
			t.Errorf("%s: the error %q tells the password", query, err)
		}
	}
	if err := Check([]string{"amqp://host?auth_mechanism=amqplain", "amqps://host?auth_mechanism=EXTERNAL"}); err != nil {
		t.Error(err)
	}
}

// listening is the address of a server that does something with a connection, and then closes it.
func listening(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	wait.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wait.Go(func() {
				defer c.Close()
				serve(c)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		wait.Wait()
	})
	return "amqp://user:top-secret@" + l.Addr().String() + "/vhost"
}

func TestOpenGivesUpWhenItsContextEnds(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // accepts, and never says a word
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, stop := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer stop()
	began := time.Now()
	b, err := Open(ctx, Config{URLs: []string{"amqp://u:p@" + l.Addr().String()}, Name: "test", Log: quiet(t), Patience: time.Minute})
	if err == nil {
		b.Close()
		t.Fatal("connected to a broker that says nothing")
	}
	if took := time.Since(began); took > dialTimeout/2 {
		t.Errorf("Open returned %s after its context had ended", took)
	}
	if IsSetup(err) || errors.Is(err, ErrClosed) {
		t.Errorf("error %v", err)
	}
}

// What the library says of a broker that hangs up depends on what it was doing at that moment.
func TestHangingUpIsToldAsSuch(t *testing.T) {
	for _, err := range []error{
		&net.OpError{Op: "write", Net: "tcp", Err: net.ErrClosed}, &net.OpError{Op: "write", Net: "tcp", Err: os.NewSyscallError("write", syscall.EPIPE)},
		&net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", syscall.ECONNRESET)}, io.EOF,
		&amqp.Error{Code: amqp.FrameError, Reason: "EOF"}, amqp.ErrClosed,
	} {
		told := explainDial(amqp.URI{Host: "127.0.0.1", Port: 1}, err)
		mustSay(t, told, "connect to RabbitMQ at 127.0.0.1:1 (by AMQP_URL): the connection was lost during the handshake")
		if IsSetup(told) {
			t.Errorf("%v counts as a fault of the setup", told)
		}
	}
}
