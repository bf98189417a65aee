package main_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"orderflow/pkg/devstack/port"
)

const observability = "../../deploy/observability"

// installed is where a program of Prometheus is. Quick tests do without.
func installed(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil && testing.Short() {
		t.Skip(err)
	}
	if err != nil {
		t.Fatalf("%v; sh deploy/setup.sh test installs it", err)
	}
	return path
}

// promtool runs promtool in a folder, and fails the test with what it says if it finds something.
func promtool(t testing.TB, folder, stdin string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), installed(t, "promtool"), args...)
	cmd.Dir, cmd.Stdin = folder, strings.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// hurried is by how much alerts are quicker in tests than for operators.
const hurried = 10

var (
	ruleDuration   = regexp.MustCompile(`(for: |\[)(\d+[sm])`)
	scrapeInterval = regexp.MustCompile(`(scrape|evaluation)_interval: 5s`)
)

// hurry divides the durations of the rules, how long something has to last and the time that a rate is taken of, and nothing else of them.
func hurry(t testing.TB, rules string) string {
	t.Helper()
	return ruleDuration.ReplaceAllStringFunc(rules, func(found string) string {
		part := ruleDuration.FindStringSubmatch(found)
		d, err := time.ParseDuration(part[2])
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("%s%dms", part[1], (d / hurried).Milliseconds())
	})
}

// configured is prometheus.yml for a test: with other targets, by job, and another virtual host, and without the jobs that there are none for.
func configured(t testing.TB, vhost string, targets map[string][]string) string {
	t.Helper()
	var config map[string]any
	text := scrapeInterval.ReplaceAllString(readText(t, observability+"/prometheus.yml"), "${1}_interval: 1s")
	if err := yaml.Unmarshal([]byte(text), &config); err != nil {
		t.Fatal(err)
	}
	var jobs []any
	for _, one := range config["scrape_configs"].([]any) {
		job := one.(map[string]any)
		if at := targets[job["job_name"].(string)]; at != nil {
			delete(job, "dns_sd_configs")
			delete(job, "relabel_configs")
			if params, _ := job["params"].(map[string]any); params["vhost"] != nil {
				params["vhost"] = []any{vhost}
			}
			job["static_configs"] = []any{map[string]any{"targets": at}}
			job["scrape_timeout"], job["scrape_interval"] = "2s", "2s"
			jobs = append(jobs, job)
		}
	}
	config["scrape_configs"] = jobs
	out, err := yaml.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// prometheus is a Prometheus with the alerts of deploy/, in a hurry.
type prometheus struct {
	*client
	seen map[string]bool // alerts that were seen firing
}

func startPrometheus(t testing.TB, vhost string, targets map[string][]string) *prometheus {
	t.Helper()
	program, folder := installed(t, "prometheus"), t.TempDir()
	write(t, filepath.Join(folder, "rules.yml"), hurry(t, readText(t, observability+"/rules.yml")))
	write(t, filepath.Join(folder, "prometheus.yml"), configured(t, vhost, targets))
	free, err := port.Free(1)
	if err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(folder, "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program, "--config.file=prometheus.yml", "--storage.tsdb.path=data", "--web.listen-address="+port.Address(free[0]))
	cmd.Dir, cmd.Stdout, cmd.Stderr = folder, log, log
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // when the test's context has ended
		cmd.Wait()
		log.Close()
		if t.Failed() {
			t.Logf("what Prometheus had to say:\n%s", readText(t, log.Name()))
		}
	})
	p := &prometheus{newClient(t, "http://"+port.Address(free[0])), map[string]bool{}}
	eventually(t, "Prometheus answers", func() error {
		a, err := p.send(t.Context(), http.MethodGet, "/-/ready", nil)
		if err == nil && a.status != http.StatusOK {
			err = fmt.Errorf("%s", a)
		}
		return err
	})
	return p
}

// alert is an alert as Prometheus has it.
type alert struct {
	Labels map[string]string
	State  string // pending, firing
}

// String is its name with what it is about: "OutboxOld order".
func (a alert) String() string {
	words := []string{a.Labels["alertname"]}
	for _, label := range []string{"service", "queue", "reason", "dependency", "route", "alarm"} {
		if value := a.Labels[label]; value != "" {
			words = append(words, value)
		}
	}
	return strings.Join(words, " ")
}

// alerts are those that are there now, and notes which of them fire.
func (p *prometheus) alerts(ctx context.Context) ([]alert, error) {
	answer, err := read[struct{ Data struct{ Alerts []alert } }](ctx, p.client, "/api/v1/alerts")
	for _, a := range answer.Data.Alerts {
		if a.State == "firing" {
			p.seen[a.String()] = true
		}
	}
	return answer.Data.Alerts, err
}

// awaitFiring waits until each of some alerts has been seen firing, at any time.
func (p *prometheus) awaitFiring(t testing.TB, want ...string) {
	t.Helper()
	eventually(t, "alerts fire", func() error {
		now, err := p.alerts(t.Context())
		for _, name := range want {
			if err == nil && !p.seen[name] {
				err = fmt.Errorf("%s has not fired; now there are %v", name, now)
			}
		}
		return err
	})
}

// awaitOver waits until some alerts are there no more; all of them, where none is named.
func (p *prometheus) awaitOver(t testing.TB, over ...string) {
	t.Helper()
	eventually(t, "alerts are over", func() error {
		now, err := p.alerts(t.Context())
		for _, a := range now {
			for _, name := range over {
				if a.String() == name {
					err = fmt.Errorf("%s is %s", name, a.State)
				}
			}
			if len(over) == 0 {
				err = fmt.Errorf("%s is %s", a, a.State)
			}
		}
		return err
	})
}

// awaitTargets waits until so many targets are scraped.
func (p *prometheus) awaitTargets(t testing.TB, n int) {
	t.Helper()
	eventually(t, "all targets are scraped", func() error {
		answer, err := read[struct {
			Data struct {
				ActiveTargets []struct{ ScrapeURL, Health, LastError string }
			}
		}](t.Context(), p.client, "/api/v1/targets")
		up := 0
		for _, target := range answer.Data.ActiveTargets {
			if target.Health == "up" {
				up++
			}
		}
		if err == nil && up != n {
			err = fmt.Errorf("%d of %d: %+v", up, n, answer.Data.ActiveTargets)
		}
		return err
	})
}

func readText(t testing.TB, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
