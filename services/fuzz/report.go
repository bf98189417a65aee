package main

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// report tells what was sent and what was found. It is an error if that is anything.
func (f *fuzzer) report(out io.Writer) error {
	fmt.Fprintf(out, "%d requests\n", f.sent)
	seen := f.judge.Seen()
	for _, name := range slices.Sorted(maps.Keys(seen)) {
		fmt.Fprintf(out, "%-20s", name)
		for _, status := range slices.Sorted(maps.Keys(seen[name])) {
			fmt.Fprintf(out, "  %d: %d", status, seen[name][status])
		}
		fmt.Fprintln(out)
	}
	for _, same := range slices.Sorted(maps.Keys(f.findings)) {
		found := f.findings[same]
		operation, _, _ := strings.Cut(same, " ")
		fmt.Fprintf(out, "\n%s, %d times: %s\n  %s\n", operation, found.times, strings.ReplaceAll(found.what, "\n", "\n  "), found.curl)
	}
	if missed := f.judge.Unseen(); missed != nil {
		return fmt.Errorf("%d kinds of findings; never as they are if all is well were %v", len(f.findings), missed)
	}
	if len(f.findings) > 0 {
		return fmt.Errorf("%d kinds of findings", len(f.findings))
	}
	return nil
}

// curl is a line that sends the request again. What was sent as a key is left to who reads it.
func curl(r *http.Request, body []byte) string {
	line := []string{"curl", "-i", "-X", r.Method}
	for _, name := range slices.Sorted(maps.Keys(r.Header)) {
		value := r.Header.Get(name)
		if name == "Authorization" && len(value) > 40 {
			value = "Bearer $KEY"
		}
		line = append(line, "-H", quoted(name+": "+value))
	}
	if len(body) > 0 {
		line = append(line, "--data-raw", quoted(string(body[:min(len(body), 2000)])))
	}
	return strings.Join(append(line, quoted(r.URL.String())), " ")
}

// quoted is a text as a shell takes it; $'…' has what cannot be seen.
func quoted(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f || r == 0xfffd }) {
		inside := fmt.Sprintf("%q", s)
		return "$'" + strings.ReplaceAll(strings.ReplaceAll(inside[1:len(inside)-1], `\"`, `"`), "'", `\'`) + "'"
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
