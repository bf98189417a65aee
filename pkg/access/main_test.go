package access

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"orderflow/pkg/httpapi"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fixture is an Access with its log, on a file of keys.
type fixture struct {
	*Access
	t        *testing.T
	log      *bytes.Buffer
	registry *prometheus.Registry
	file     string
}

// open makes an Access; the file of keys has the entries, if there are any.
func open(t *testing.T, cfg Config, entries ...Entry) *fixture {
	t.Helper()
	f := &fixture{t: t, log: new(bytes.Buffer), registry: prometheus.NewRegistry(), file: filepath.Join(t.TempDir(), "keys.yaml")}
	cfg.Log, cfg.Refusals = slog.New(slog.NewTextHandler(f.log, nil)), httpapi.NewRefusals(f.registry)
	if len(entries) > 0 {
		cfg.KeysFile = f.file
		f.write(entries...)
	}
	a, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if a.issuer != nil {
		t.Cleanup(a.issuer.client.CloseIdleConnections)
	}
	f.Access = a
	return f
}

// write writes the file of keys.
func (f *fixture) write(entries ...Entry) {
	f.t.Helper()
	var text strings.Builder
	text.WriteString("keys:\n")
	for _, e := range entries {
		entry, err := e.YAML()
		if err != nil {
			f.t.Fatal(err)
		}
		text.WriteString(entry)
	}
	f.writeText(text.String())
}

func (f *fixture) writeText(text string) {
	f.t.Helper()
	if err := os.WriteFile(f.file, []byte(text), 0o600); err != nil {
		f.t.Fatal(err)
	}
}

// settle looks as often as it takes for a change of a file to count.
func (f *fixture) settle() {
	f.t.Helper()
	f.look(f.t.Context())
	f.look(f.t.Context())
}

// refusals is how many requests were refused for a reason.
func (f *fixture) refusals(reason string) float64 {
	f.t.Helper()
	families, err := f.registry.Gather()
	if err != nil {
		f.t.Fatal(err)
	}
	for _, m := range families[0].GetMetric() {
		if m.GetLabel()[0].GetValue() == reason {
			return m.GetCounter().GetValue()
		}
	}
	f.t.Fatalf("nothing is counted as %s", reason)
	return 0
}

// entry is an entry for a key that may read and place orders.
func entry(name, key string) Entry {
	return Entry{Name: name, Hash: Hashes{HashOf(key)}, Scopes: []string{"orders:read", "orders:write"}}
}
