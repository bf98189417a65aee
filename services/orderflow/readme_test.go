package main_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"orderflow/pkg/devstack/devtest"
)

// TestReadme runs every curl line of the README and of docs/ against a program, from top to bottom, as a reader would. ORDER_ID is the order
// that was placed last. What a comment behind a line names, fields such as "status":"shipped" and events such as OrderPlaced, has to be in the answer, in
// that order; a reader may have to try again for it. The status is 2xx, or the one that the comment names. A line with a key is for a program
// that tells callers apart.
func TestReadme(t *testing.T) {
	t.Parallel()
	env, ring := *devtest.New(t), newKeyring(t)
	p := serve(t, env)
	guarded := run(t, settings(env, "ACCESS_KEYS_FILE="+ring.file), "serve", "order")
	for _, product := range []string{"demo-1", "demo-2"} {
		putStock(t, p.client, product, 1_000_000)
	}
	for _, name := range documented(t) {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		lines := curls(string(text))
		if filepath.Base(name) == "README.md" && len(lines) < 3 {
			t.Errorf("%d curl lines are in %s, want some", len(lines), name)
		}
		r := curlReader{key: ring.keys["all"]}
		for _, line := range lines {
			if r.address = p.base; strings.Contains(line.command, "Authorization:") {
				r.address = guarded.base
			}
			eventually(t, fmt.Sprintf("%s: %s", name, line.command), func() error { return r.try(t.Context(), line) })
		}
	}
}

// documented is where users read.
func documented(t *testing.T) []string {
	t.Helper()
	docs, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(docs) == 0 {
		t.Fatalf("%v, %v", docs, err)
	}
	return append([]string{"../../README.md"}, docs...)
}

// curl is a line that a reader types, and what is said of it behind.
type curl struct{ command, comment string }

var (
	curlCode   = regexp.MustCompile("(?s)```sh\n(.*?)\n```|`(curl [^`]+)`")
	curlNames  = regexp.MustCompile(`"\w+": ?(?:"[^"]*"|\w+)|\b(?:[A-Z][a-z]+){2,}\b`)
	curlStatus = regexp.MustCompile(`\b[2-5]\d\d\b`)
	curlOrder  = regexp.MustCompile(`"order_id": ?"([0-9a-f-]{36})"`)
)

// curls are the curl lines in blocks of shell, and those within a line of text.
func curls(text string) (all []curl) {
	for _, found := range curlCode.FindAllStringSubmatch(text, -1) {
		for _, c := range commands(found[1] + strings.ReplaceAll(found[2], "\n", " ")) {
			if strings.HasPrefix(c.command, "curl ") {
				all = append(all, c)
			}
		}
	}
	return all
}

// commands splits what a shell reads at the ends of lines, but for those within quotes or behind a backslash, and takes comments off.
func commands(block string) (all []curl) {
	var now curl
	quote, behind := rune(0), false // behind a comment's #
	before := ' '
	for _, r := range block + "\n" {
		switch {
		case behind && r != '\n':
			now.comment += string(r)
			continue
		case quote == 0 && r == '#' && before == ' ':
			behind = true
			continue
		case quote == 0 && r == '\n' && before != '\\':
			if now.command = strings.TrimSpace(now.command); now.command != "" {
				all = append(all, now)
			}
			now, behind, before = curl{}, false, ' '
			continue
		case quote == r:
			quote = 0
		case quote == 0 && (r == '\'' || r == '"'):
			quote = r
		}
		now.command += string(r)
		before = r
	}
	return all
}

// curlReader is one who types what the documents say.
type curlReader struct {
	address string
	key     string // KEY of the environment
	order   string // that was placed last
}

// shell makes curl say the status on standard error.
const shell = `set -euo pipefail; curl() { command curl --silent --show-error --max-time 60 --write-out '%{stderr}%{http_code}\n' "$@"; }; `

// try runs a line.
func (r *curlReader) try(ctx context.Context, line curl) error {
	command := strings.NewReplacer("http://127.0.0.1:8080", r.address, "ORDER_ID", r.order).Replace(line.command)
	ctx, stop := context.WithTimeout(ctx, limit)
	defer stop()
	bash := exec.CommandContext(ctx, "bash", "-c", shell+command)
	bash.Env = append(os.Environ(), "KEY="+r.key)
	bash.WaitDelay = time.Second // for a curl that lives on
	var out, errs bytes.Buffer
	bash.Stdout, bash.Stderr = &out, &errs
	if err := bash.Run(); err != nil {
		return fmt.Errorf("%w: %s", err, &errs)
	}
	answer, got, want := out.String(), strings.TrimSpace(errs.String()), curlStatus.FindString(line.comment)
	if want == "" && !strings.HasPrefix(got, "2") || want != "" && got != want {
		return fmt.Errorf("status %s, want %s: %.600s", got, want+" ", answer)
	}
	if id := curlOrder.FindStringSubmatch(answer); got == "201" && id != nil {
		r.order = id[1]
	}
	rest := answer
	for _, name := range curlNames.FindAllString(line.comment, -1) {
		_, after, found := strings.Cut(rest, name)
		if !found {
			return fmt.Errorf("there is no %s in %.600s", name, answer)
		}
		rest = after
	}
	return nil
}

// TestCurls shows what is taken for a line.
func TestCurls(t *testing.T) {
	text := "Say `curl -X PUT\nx` or `echo`.\n```sh\ncurl a 'b\n# c' \\\n  d   # \"status\":\"shipped\"\necho x; curl y\n\n# curl not\ncurl \"e#f\" g#h # 304\n```\n" +
		"```text\ncurl never\n```\n```sh\ntask up\n```"
	want := []curl{{"curl -X PUT x", ""}, {"curl a 'b\n# c' \\\n  d", ` "status":"shipped"`}, {`curl "e#f" g#h`, " 304"}}
	if got := curls(text); fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
		t.Errorf("%q, want %q", got, want)
	}
	var found []string
	for _, comment := range []string{` "status":"shipped", "version": 3`, " OrderPlaced … OrderShipped", " each event as it comes, by RabbitMQ; JSON"} {
		found = append(found, curlNames.FindAllString(comment, -1)...)
	}
	if want := `["\"status\":\"shipped\"" "\"version\": 3" "OrderPlaced" "OrderShipped"]`; fmt.Sprintf("%q", found) != want {
		t.Errorf("%q, want %s", found, want)
	}
}
