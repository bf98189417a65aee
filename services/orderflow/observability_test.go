package main_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// rule is an alert of rules.yml.
type rule struct {
	Alert, Expr         string
	Labels, Annotations map[string]string
}

// alertRules are the alerts, by name.
func alertRules(t testing.TB) map[string]rule {
	t.Helper()
	var file struct {
		Groups []struct{ Rules []rule }
	}
	if err := yaml.Unmarshal([]byte(readText(t, observability+"/rules.yml")), &file); err != nil {
		t.Fatal(err)
	}
	rules := map[string]rule{}
	for _, group := range file.Groups {
		for _, r := range group.Rules {
			rules[r.Alert] = r
		}
	}
	if len(rules) < 5 {
		t.Fatalf("there are only %d alerts", len(rules))
	}
	return rules
}

func TestRules(t *testing.T) {
	t.Parallel()
	promtool(t, observability, "", "check", "rules", "rules.yml")
	promtool(t, observability, "", "test", "rules", "rules_test.yml")
	promtool(t, observability, "", "check", "config", "prometheus.yml")
	tests := readText(t, observability+"/rules_test.yml")
	for name := range alertRules(t) {
		if !strings.Contains(tests, "alertname: "+name+"\n") {
			t.Errorf("rules_test.yml has no test in which %s fires", name)
		}
	}
}

var heading = regexp.MustCompile(`(?m)^## (\w+)$`)

// Who is woken by an alert finds it in the runbook, with a command to type, and the runbook has no alerts that are gone.
func TestRunbook(t *testing.T) {
	t.Parallel()
	text := readText(t, "../../docs/runbook.md")
	entries := map[string]string{}
	found := heading.FindAllStringSubmatchIndex(text, -1)
	for i, at := range found {
		end := len(text)
		if i+1 < len(found) {
			end = found[i+1][0]
		}
		entries[text[at[2]:at[3]]] = text[at[1]:end]
	}
	rules := alertRules(t)
	for name, r := range rules {
		entry, is := entries[name]
		if want := "docs/runbook.md#" + strings.ToLower(name); !is || r.Annotations["runbook"] != want {
			t.Errorf("%s: the runbook has an entry: %t; its annotation is %q, want %q", name, is, r.Annotations["runbook"], want)
		}
		for _, part := range []string{"**Customers:**", "**Look:**", "**Do:**", "**Over:**", "\n```sh\n"} {
			if is && !strings.Contains(entry, part) {
				t.Errorf("the runbook's entry on %s has no %s", name, part)
			}
		}
		if r.Annotations["summary"] == "" || r.Annotations["description"] == "" || !slices.Contains([]string{"critical", "warning"}, r.Labels["severity"]) {
			t.Errorf("%s: %v %v", name, r.Labels, r.Annotations)
		}
	}
	for name := range entries {
		if _, is := rules[name]; !is {
			t.Errorf("the runbook has an entry on %s, which is no alert", name)
		}
	}
}

// panel is a part of a dashboard that is looked at here.
type panel struct {
	ID                       int
	Type, Title, Description string
	GridPos                  struct{ X, Y, W, H int }
	Targets                  []struct{ Expr, RefID string }
	FieldConfig              struct{ Defaults struct{ Unit string } }
	Panels                   []panel
}

func dashboard(t testing.TB) []panel {
	t.Helper()
	var d struct {
		UID, Title    string
		SchemaVersion int
		ID            *int
		Panels        []panel
	}
	if err := json.Unmarshal([]byte(readText(t, observability+"/grafana/dashboards/orderflow.json")), &d); err != nil {
		t.Fatal(err)
	}
	if d.UID != "orderflow" || d.ID != nil || d.SchemaVersion < 39 || len(d.Panels) < 20 {
		t.Fatalf("uid %q, id %v, schema version %d, %d panels", d.UID, d.ID, d.SchemaVersion, len(d.Panels))
	}
	return d.Panels
}

func TestDashboard(t *testing.T) {
	t.Parallel()
	taken, ids := map[[2]int]string{}, map[int]string{}
	for _, p := range dashboard(t) {
		if other := ids[p.ID]; other != "" {
			t.Errorf("%s and %s have the same id", other, p.Title)
		}
		ids[p.ID] = p.Title
		at := p.GridPos
		if at.W < 1 || at.H < 1 || at.X < 0 || at.X+at.W > 24 {
			t.Errorf("%s is outside of the grid: %+v", p.Title, at)
		}
		for x := at.X; x < at.X+at.W; x++ {
			for y := at.Y; y < at.Y+at.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" && other != p.Title {
					t.Errorf("%s lies on %s", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		if p.Type == "row" {
			continue
		}
		if p.Title == "" || p.Description == "" || p.FieldConfig.Defaults.Unit == "" || len(p.Targets) == 0 {
			t.Errorf("%q lacks a title, a description, a unit or something to show", p.Title)
		}
	}
	promtool(t, observability, "", "check", "rules", expressionsFile(t))
}

// filled are a dashboard's variables, as Grafana fills them in.
var filled = strings.NewReplacer("$__rate_interval", "1m", "$service", "order|payment")

// expressions are all of the dashboard's and of the alerts'.
func expressions(t testing.TB) (all []string) {
	t.Helper()
	for _, p := range dashboard(t) {
		for _, target := range p.Targets {
			all = append(all, filled.Replace(target.Expr))
		}
	}
	for _, r := range alertRules(t) {
		all = append(all, r.Expr)
	}
	return all
}

// expressionsFile is a file of rules with the dashboard's expressions: Prometheus has no other way to check them.
func expressionsFile(t testing.TB) string {
	t.Helper()
	var rules []map[string]string
	for i, e := range expressions(t) {
		rules = append(rules, map[string]string{"record": fmt.Sprintf("dashboard:%d", i), "expr": e})
	}
	text, err := yaml.Marshal(map[string]any{"groups": []any{map[string]any{"name": "dashboard", "rules": rules}}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "expressions.yml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
