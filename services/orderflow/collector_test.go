package main_test

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// collector is an OpenTelemetry Collector that writes all spans into a file.
type collector struct {
	address, file string
}

// buildLimit is how long building it may take, on a machine that has to fetch its modules first.
const buildLimit = 10 * time.Minute

func startCollector(t *testing.T) *collector {
	t.Helper()
	folder := t.TempDir()
	binary := filepath.Join(folder, "collector")
	limited, stop := context.WithTimeout(t.Context(), buildLimit)
	defer stop()
	if out, err := exec.CommandContext(limited, "go", "-C", "../collector", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("build the collector: %v\n%s", err, out)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &collector{address: listener.Addr().String(), file: filepath.Join(folder, "spans.json")}
	listener.Close()
	var log bytes.Buffer
	cmd := exec.Command(binary, "--config", "../collector/collector.yaml")
	cmd.Env = append(os.Environ(), "COLLECTOR_ADDRESS="+c.address, "COLLECTOR_FILE="+c.file)
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("the collector: %v\n%s", err, log.String())
		}
	})
	eventually(t, "the collector answers", func() error {
		conn, err := net.Dial("tcp", c.address)
		if err == nil {
			conn.Close()
		}
		return err
	})
	return c
}

// settings let a program send its spans here, at once.
func (c *collector) settings(more ...string) []string {
	return append([]string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://" + c.address, "OTEL_BSP_SCHEDULE_DELAY=50"}, more...)
}

// span is one as the collector writes it.
type span struct {
	TraceID, SpanID, ParentSpanID, Name string
	Kind                                int
	StartTimeUnixNano                   string
	Status                              struct {
		Code    int
		Message string
	}
	Attributes []attribute
	Events     []struct{ Name string }
	Links      []struct{ TraceID, SpanID string }

	service string
}

type attribute struct {
	Key   string
	Value struct{ StringValue, IntValue string }
}

// attribute is the value of one, as a text.
func (s *span) attribute(key string) string {
	for _, a := range s.Attributes {
		if a.Key == key {
			return cmp.Or(a.Value.StringValue, a.Value.IntValue)
		}
	}
	return ""
}

// spans reads all that have come so far.
func (c *collector) spans(t testing.TB) (all []*span) {
	t.Helper()
	text, err := os.ReadFile(c.file)
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(bytes.NewReader(text[:bytes.LastIndexByte(text, '\n')+1]))
	lines.Buffer(nil, len(text)+1)
	for lines.Scan() {
		var batch struct {
			ResourceSpans []struct {
				Resource   struct{ Attributes []attribute }
				ScopeSpans []struct{ Spans []*span }
			}
		}
		if err := json.Unmarshal(lines.Bytes(), &batch); err != nil {
			t.Fatalf("%v: %.300s", err, lines.Text())
		}
		for _, resource := range batch.ResourceSpans {
			from := span{Attributes: resource.Resource.Attributes}
			for _, scope := range resource.ScopeSpans {
				for _, s := range scope.Spans {
					s.service = from.attribute("service.name")
					all = append(all, s)
				}
			}
		}
	}
	return all
}

// trace is the spans of one trace.
type trace []*span

func (c *collector) trace(t testing.TB, id string) trace {
	t.Helper()
	return slices.DeleteFunc(c.spans(t), func(s *span) bool { return s.TraceID != id })
}

// tree writes a trace as a tree of names, siblings by name, what failed marked with a !. Transactions are left out: they belong to a batch, and which
// events share one is not foreseen. What hangs below nothing that is there stands at the end.
func (all trace) tree() string {
	below, known := map[string]trace{}, map[string]bool{}
	for _, s := range all {
		known[s.SpanID] = true
	}
	for _, s := range all {
		if !known[s.ParentSpanID] && s.ParentSpanID != "" {
			below["?"] = append(below["?"], s)
		} else if !isTransaction(s) {
			below[s.ParentSpanID] = append(below[s.ParentSpanID], s)
		}
	}
	var text strings.Builder
	var write func(parent, indent string)
	write = func(parent, indent string) {
		slices.SortFunc(below[parent], func(a, b *span) int {
			return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.StartTimeUnixNano, b.StartTimeUnixNano))
		})
		for _, s := range below[parent] {
			mark := ""
			if s.Status.Code == statusError {
				mark = " !"
			}
			fmt.Fprintf(&text, "%s%s%s\n", indent, s.Name, mark)
			write(s.SpanID, indent+"  ")
		}
	}
	write("", "")
	if len(below["?"]) > 0 {
		text.WriteString("below nothing:\n")
		write("?", "  ")
	}
	return text.String()
}

const statusError = 2

func isTransaction(s *span) bool {
	return strings.HasPrefix(s.Name, "commit ") || strings.HasPrefix(s.Name, "intend ")
}

// named returns the spans of a name.
func (all trace) named(name string) trace {
	return slices.DeleteFunc(slices.Clone(all), func(s *span) bool { return s.Name != name })
}
