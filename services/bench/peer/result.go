package main

import (
	"fmt"
	"math"
	"net"
	"net/url"
	"os"
	"strconv"
	"time"

	"orderflow/services/bench/peer/cpu"
)

// result is what a run prints: one JSON object.
type result struct {
	Program       string    `json:"program"`
	HTTP          bool      `json:"http"`
	Go            string    `json:"go"`
	Settings      tuning    `json:"settings"`
	Orders        int       `json:"orders"`
	Placers       int       `json:"placers"`
	AcceptedPerS  float64   `json:"accepted_per_s,omitempty"`
	EndedPerS     float64   `json:"ended_per_s,omitempty"`
	CPUUsPerOrder *cpuSpent `json:"cpu_us_per_order,omitempty"`
	Rate          float64   `json:"rate"`
	Duration      string    `json:"duration"`
	LatencyMs     *latency  `json:"latency_ms,omitempty"` // at the rate
	Verify        verdict   `json:"verify"`
}

// cpuSpent is CPU time per order of the burst, in microseconds. The client is this process: peer and load together.
type cpuSpent struct {
	Broker   float64 `json:"broker"`
	Postgres float64 `json:"postgres"`
	Client   float64 `json:"client"`
}

// meter knows the processes that share the work.
type meter struct{ broker, postgres, client int }

// newMeter finds the servers by the ports on which they listen. They have to run on this machine.
func newMeter(o options) (m meter, err error) {
	if m.broker, err = server(o.amqpURL, "5672"); err != nil {
		return m, fmt.Errorf("AMQP_URL: %w", err)
	}
	if m.postgres, err = server(o.databaseURL, "5432"); err != nil {
		return m, fmt.Errorf("DATABASE_URL: %w", err)
	}
	m.client = os.Getpid()
	return m, nil
}

func server(address, usual string) (pid int, err error) {
	u, err := url.Parse(address)
	if err != nil {
		return 0, err
	}
	if ip := net.ParseIP(u.Hostname()); u.Hostname() != "localhost" && !ip.IsLoopback() {
		return 0, fmt.Errorf("%s is not this machine", u.Hostname())
	}
	port := u.Port()
	if port == "" {
		port = usual
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		return 0, err
	}
	return cpu.Listener(n)
}

// read returns the CPU time that they have used so far.
func (m meter) read() ([]time.Duration, error) { return cpu.Times(m.broker, m.postgres, m.client) }

// spent is what was used between two readings.
func spent(from, to []time.Duration, orders int) *cpuSpent {
	each := func(i int) float64 { return round(float64((to[i] - from[i]).Microseconds()) / float64(orders)) }
	return &cpuSpent{each(0), each(1), each(2)}
}

func perSecond(n int, d time.Duration) float64 { return round(float64(n) / d.Seconds()) }

// round keeps one decimal; more would be noise.
func round(f float64) float64 { return math.Round(f*10) / 10 }
