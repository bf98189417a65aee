package main

import (
	"encoding/json"
	"io"
	"strings"
	"testing"
	"time"
)

func environment(name string) string {
	return map[string]string{"AMQP_URL": "amqp://127.0.0.1:1", "DATABASE_URL": "postgres://127.0.0.1:1/none"}[name]
}

func TestFlags(t *testing.T) {
	o, err := parse([]string{"-orders", "7", "-rate", "3", "-poll", "5ms", "-http"}, environment, io.Discard)
	if err != nil || o.orders != 7 || o.rate != 3 || o.tuning.poll != 5*time.Millisecond || !o.http {
		t.Errorf("%+v, %v", o, err)
	}
	for args, want := range map[string]string{
		"-orders -1":               "-orders must be from 0",
		"-placers 0":               "-placers must be from 1",
		"-rate NaN":                "-rate must be from 0",
		"-duration 0s":             "-duration must be more than 0",
		"-rate 1 -duration 100ms":  "is not one order",
		"-orders 0 -rate 0":        "nothing to do",
		"-handlers 0 -prefetch -1": "-prefetch must be from 1",
		"-connections x":           "invalid value",
		"more":                     `unexpected argument "more"`,
	} {
		if _, err := parse(strings.Fields(args), environment, io.Discard); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", args, err)
		}
	}
	if _, err := parse(nil, func(string) string { return "" }, io.Discard); err == nil || !strings.Contains(err.Error(), "AMQP_URL") {
		t.Errorf("without addresses: %v", err)
	}
}

func TestExitCodes(t *testing.T) {
	for args, want := range map[string]int{"-help": exitDone, "-orders -1": exitUsage, "-orders 1": exitFailed} {
		var said strings.Builder
		if code := run(t.Context(), strings.Fields(args), environment, io.Discard, &said); code != want || said.Len() == 0 {
			t.Errorf("%s: exit code %d, want %d; %q", args, code, want, said.String())
		}
	}
}

// The names are those that others read.
func TestResultAsJSON(t *testing.T) {
	text, err := json.Marshal(result{
		Program: "peer", AcceptedPerS: perSecond(100, 3*time.Second), EndedPerS: 5,
		CPUUsPerOrder: spent([]time.Duration{1, 2, 3}, []time.Duration{time.Millisecond, 2 * time.Millisecond, 4 * time.Millisecond}, 10),
		LatencyMs:     &latency{1, 2, 3, 4}, Verify: verdict{OK: true}, Settings: tuning{poll: time.Second},
	})
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Accepted float64            `json:"accepted_per_s"`
		Ended    float64            `json:"ended_per_s"`
		CPU      map[string]float64 `json:"cpu_us_per_order"`
		Latency  map[string]float64 `json:"latency_ms"`
		Verify   struct{ OK bool }
		Settings struct{ Poll string }
	}
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if got.Accepted != 33.3 || got.Ended != 5 || got.CPU["broker"] != 99.9 || got.CPU["client"] != 399.9 || got.Latency["p99"] != 4 || !got.Verify.OK || got.Settings.Poll != "1s" {
		t.Errorf("%s", text)
	}
}

func TestVerdict(t *testing.T) {
	good := verdict{Placed: 2, Orders: 2, Shipped: 2, Payments: 2, Reservations: 2, Shipments: 2, Ordered: 9, Reserved: 9, Taken: 9}
	if !good.holds() {
		t.Error("what is right does not hold")
	}
	for i, spoil := range []func(*verdict){
		func(v *verdict) { v.Placed++ }, func(v *verdict) { v.Orders++ }, func(v *verdict) { v.Shipped-- }, func(v *verdict) { v.Payments++ },
		func(v *verdict) { v.Reservations-- }, func(v *verdict) { v.Shipments++ }, func(v *verdict) { v.NotOnce++ },
		func(v *verdict) { v.Reserved++ }, func(v *verdict) { v.Taken-- },
	} {
		v := good
		if spoil(&v); v.holds() {
			t.Errorf("fault %d holds", i)
		}
	}
}
