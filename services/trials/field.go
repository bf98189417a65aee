package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"orderflow/pkg/devstack/port"
	"orderflow/services/stand"
)

// field is where trials are held.
type field struct {
	servers  *stand.Servers
	dir      string
	binary   string
	log      io.Writer
	rounds   int
	orders   int
	old      int
	backlog  int
	duration time.Duration

	said []benched
	logs int // how many there are, for their names
}

func (f *field) say(format string, args ...any) { fmt.Fprintf(f.log, format+"\n", args...) }

// database makes a new database, and returns its URL.
func (f *field) database(ctx context.Context, name string) (string, error) {
	conn, err := pgx.Connect(ctx, f.servers.DatabaseURL())
	if err != nil {
		return "", err
	}
	defer conn.Close(ctx)
	quoted := pgx.Identifier{name}.Sanitize()
	for _, sql := range []string{"DROP DATABASE IF EXISTS " + quoted + " WITH (FORCE)", "CREATE DATABASE " + quoted} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return "", fmt.Errorf("database %s: %w", name, err)
		}
	}
	u, err := url.Parse(f.servers.DatabaseURL())
	if err != nil {
		return "", err
	}
	u.Path = "/" + name
	return u.String(), nil
}

// ask returns the one number that a query gives.
func ask(ctx context.Context, database, sql string, args ...any) (n float64, err error) {
	conn, err := pgx.Connect(ctx, database)
	if err != nil {
		return 0, err
	}
	defer conn.Close(ctx)
	err = conn.QueryRow(ctx, sql, args...).Scan(&n)
	return n, err
}

// site is a running orderflow.
type site struct {
	*stand.Serving
	field *field
	env   []string
	log   string
}

// serve starts orderflow on a database, with services, all of them if none is named, and returns when it is ready.
func (f *field) serve(ctx context.Context, database string, env []string, services ...string) (*site, error) {
	free, err := port.Free(1)
	if err != nil {
		return nil, err
	}
	address := port.Address(free[0])
	f.logs++
	s := &site{field: f, log: filepath.Join(f.dir, "log", fmt.Sprintf("orderflow-%d.log", f.logs))}
	s.env = append(os.Environ(), "AMQP_URL="+f.servers.AMQPURL(), "RABBITMQ_MANAGEMENT_URL="+f.servers.ManagementURL(), "DATABASE_URL="+database,
		"HTTP_ADDR="+address, "ORDERFLOW_URL=http://"+address)
	s.env = append(s.env, env...)
	if s.Serving, err = stand.Serve(ctx, f.binary, s.env, s.log, services...); err != nil {
		return nil, err
	}
	if _, err := s.Ready(ctx, "http://"+address); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

// benched is what matters of what orderflow bench says.
type benched struct {
	Run          string             `json:"run"` // which it is, in a trial
	Orders       int                `json:"orders"`
	Seconds      float64            `json:"seconds"`
	AcceptedPerS float64            `json:"accepted_per_s"`
	EndedPerS    float64            `json:"ended_per_s"`
	Latency      percentiles        `json:"latency_ms"`
	HTTP         percentiles        `json:"http_ms"`
	RefusedMs    *percentiles       `json:"refused_ms,omitempty"`
	Refused      map[string]int     `json:"refused"`
	NotSent      int                `json:"not_sent"`
	Errors       int                `json:"errors"`
	CPU          map[string]float64 `json:"cpu_us_per_order"`
	Memory       map[string]float64 `json:"memory_peak_mib"`
	Preload      *struct {
		Seconds       float64 `json:"seconds"`
		BytesPerOrder float64 `json:"bytes_per_order"`
	} `json:"preload,omitempty"`
}

type percentiles struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
}

// bench runs orderflow bench to its end.
func (s *site) bench(ctx context.Context, run string, args ...any) (b benched, err error) {
	words := []string{"bench", "--json"}
	for _, a := range args {
		words = append(words, fmt.Sprint(a))
	}
	said, err := stand.Output(ctx, s.field.binary, words, s.env)
	if err == nil {
		err = json.Unmarshal(said, &b)
	}
	if err != nil {
		return b, fmt.Errorf("%s: %w", run, err)
	}
	if b.EndedPerS <= 0 || b.Memory["orderflow"] <= 0 || b.Latency.P99 <= 0 { // a bound that is held against them would mean nothing
		return b, fmt.Errorf("%s: figures are missing: %s", run, said)
	}
	b.Run = run
	s.field.said = append(s.field.said, b)
	s.field.say("%-36s %7d orders  %6.0f ended/s  p50 %7.1f ms  p99 %8.1f ms", run, b.Orders, b.EndedPerS, b.Latency.P50, b.Latency.P99)
	return b, nil
}

// burst is a closed loop of so many orders. All of them are accepted, else its figures would be those of something else.
func (s *site) burst(ctx context.Context, run string, orders int) (benched, error) {
	b, err := s.bench(ctx, run, "--orders", orders)
	return b, cmp.Or(err, b.complete(orders))
}

const gentle = 50 // orders a second

// gently places few orders a second, and all of them are accepted.
func (s *site) gently(ctx context.Context, run string) (benched, error) {
	b, err := s.bench(ctx, run, "--rate", gentle, "--duration", s.field.duration, "--warmup", gentle)
	return b, cmp.Or(err, b.complete(int(gentle*s.field.duration.Seconds())))
}

func (b benched) complete(asked int) error {
	if b.Orders == asked {
		return nil
	}
	return fmt.Errorf("%s: %d of %d orders were accepted; refused %v, errors %d, not sent %d", b.Run, b.Orders, asked, b.Refused, b.Errors, b.NotSent)
}

// inTurn calls both in each round, every other time in reverse order.
func (f *field) inTurn(ctx context.Context, both [2]func(context.Context) error) error {
	for n := range f.rounds {
		for i := range both {
			if err := both[(i+n)%2](ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// ratios divides the figures of two runs, round by round.
func ratios(these, those []float64) []float64 {
	all := make([]float64, len(these))
	for i := range all {
		all[i] = these[i] / those[i]
	}
	return all
}

// listen serves HTTP on this machine until stop is called.
func listen(h http.Handler) (url string, stop func(), err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	server := &http.Server{Handler: h}
	var group sync.WaitGroup
	group.Go(func() { server.Serve(listener) })
	return "http://" + listener.Addr().String(), func() { server.Close(); group.Wait() }, nil
}
