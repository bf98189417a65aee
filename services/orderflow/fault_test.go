package main_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"orderflow/pkg/devstack/devtest"
)

// startFault is something wrong at the start: how the program is called, and how it ends. It is said by the last line.
type startFault struct {
	setting string // one or more, a line each
	args    string
	code    int
	want    string // a regular expression
	waits   bool   // it may pass, so it is waited for until START_TIMEOUT is over
}

const (
	shortStart = 2 * time.Second // START_TIMEOUT of what is waited for
	longStart  = 2 * time.Minute // of what is not
	atOnce     = 20 * time.Second
)

// expectFaults starts the program for each of faults, several at a time: they mostly wait.
func expectFaults(t *testing.T, env devtest.Env, faults map[string]startFault) {
	t.Helper()
	sideBySide(t, faults, func(t *testing.T, f startFault) {
		patience := longStart
		if f.waits {
			patience = shortStart
		}
		began := time.Now()
		set := append([]string{"START_TIMEOUT=" + patience.String()}, strings.Split(f.setting, "\n")...)
		stdout, said, code := call(t, settings(env, set...), strings.Fields(f.args)...)
		took := time.Since(began)
		_, last, _ := strings.Cut("\n"+said, "\norderflow: ")
		if code != f.code || stdout != "" || !regexp.MustCompile(f.want).MatchString(last) {
			t.Errorf("exit code %d, want %d; it says %q, want %q\n%s%s", code, f.code, last, f.want, stdout, said)
		}
		if f.waits && !strings.Contains(last, "gave up after START_TIMEOUT, "+shortStart.String()) {
			t.Errorf("it does not say how long it waited: %q", last)
		}
		if f.waits && took < shortStart || took > atOnce {
			t.Errorf("it took %s, and said %q", took, last)
		}
		if strings.Contains(said, "secret") || strings.Contains(said, "panic") {
			t.Errorf("it should not say this:\n%s", said)
		}
	})
}

// migrated makes the schemas, so that no start has to, while others do.
func migrated(t *testing.T, env devtest.Env) {
	t.Helper()
	if _, said, code := call(t, settings(env), "migrate"); code != 0 {
		t.Fatal(said)
	}
}

// sideBySide runs a test for each of cases, eight at a time whatever -parallel says.
func sideBySide[T any](t *testing.T, cases map[string]T, test func(*testing.T, T)) {
	t.Helper()
	var group errgroup.Group
	group.SetLimit(8)
	for name, c := range cases {
		group.Go(func() error {
			t.Run(name, func(t *testing.T) { test(t, c) })
			return nil
		})
	}
	group.Wait()
}

// changed is an address with something else in it.
func changed(t testing.TB, address string, change func(*url.URL)) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	change(u)
	return u.String()
}

func as(user, password string) func(*url.URL) {
	return func(u *url.URL) { u.User = url.UserPassword(user, password) }
}

func on(host string) func(*url.URL) { return func(u *url.URL) { u.Host = host } }

func path(path string) func(*url.URL) { return func(u *url.URL) { u.Path = path } }

// hostOf is the part of an address that is dialled.
func hostOf(t testing.TB, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return u.Host
}

// front listens and does something with each connection; what comes of that is connected with target.
func front(t testing.TB, target string, first func(net.Conn) (net.Conn, error)) *fronting {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &fronting{address: l.Addr().String(), target: target, first: first, conns: map[net.Conn]bool{}}
	f.wait.Go(func() { f.accept(l) })
	t.Cleanup(func() {
		l.Close()
		f.mu.Lock()
		f.ended = true
		f.mu.Unlock()
		f.cut()
		f.wait.Wait()
	})
	return f
}

type fronting struct {
	address string
	target  string
	first   func(net.Conn) (net.Conn, error)
	wait    sync.WaitGroup

	mu    sync.Mutex
	ended bool
	conns map[net.Conn]bool
}

func (f *fronting) accept(l net.Listener) {
	for {
		client, err := l.Accept()
		if err != nil {
			return
		}
		f.wait.Go(func() { f.connect(client) })
	}
}

// keep notes a connection, to be cut; it is false at the end.
func (f *fronting) keep(c net.Conn) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.conns[c] = true
	return !f.ended
}

func (f *fronting) connect(client net.Conn) {
	defer client.Close()
	if !f.keep(client) {
		return
	}
	talk, err := f.first(client)
	if err != nil {
		return
	}
	server, err := net.Dial("tcp", f.target)
	if err != nil {
		return
	}
	defer server.Close()
	if !f.keep(server) {
		return
	}
	f.wait.Go(func() {
		defer client.Close()
		io.Copy(talk, server)
	})
	io.Copy(server, talk)
}

// cut ends all connections.
func (f *fronting) cut() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for c := range f.conns {
		c.Close()
		delete(f.conns, c)
	}
}

// through passes connections on as they are.
func through(c net.Conn) (net.Conn, error) { return c, nil }

// silent accepts connections and says nothing.
func silent(c net.Conn) (net.Conn, error) {
	_, err := io.Copy(io.Discard, c)
	return nil, fmt.Errorf("the client has gone: %w", err)
}

// curt closes connections at once.
func curt(net.Conn) (net.Conn, error) { return nil, io.EOF }

// web answers as an HTTP server does.
func web(c net.Conn) (net.Conn, error) {
	c.Read(make([]byte, 8))
	io.WriteString(c, "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
	return nil, io.EOF
}

// startingUp answers as a Postgres does that is not there yet.
func startingUp(c net.Conn) (net.Conn, error) {
	if _, err := c.Read(make([]byte, 1024)); err != nil {
		return nil, err
	}
	fields := "SFATAL\x00VFATAL\x00C57P03\x00Mthe database system is starting up\x00\x00"
	c.Write(append([]byte{'E', 0, 0, 0, byte(4 + len(fields))}, fields...))
	return nil, io.EOF
}

// manage changes the broker by its management API.
func manage(t *testing.T, ui *management, method, path string, body any) {
	t.Helper()
	if a := ui.call(t, method, "/api"+path, body); a.status >= 300 {
		t.Fatalf("%s %s: %s", method, path, a)
	}
}

// brokerUser makes a user without any rights, and returns the address of the test's vhost with it.
func brokerUser(t *testing.T, env devtest.Env, ui *management, name string) string {
	t.Helper()
	name += "-" + ui.vhost
	manage(t, ui, http.MethodPut, "/users/"+name, map[string]string{"password": "secret-" + name, "tags": ""})
	t.Cleanup(func() {
		if a, err := ui.send(context.WithoutCancel(t.Context()), http.MethodDelete, "/api/users/"+name, nil); err == nil && a.status >= 300 {
			t.Errorf("delete user %s: %s", name, a)
		}
	})
	return changed(t, env.AMQPURL, as(name, "secret-"+name))
}
