package document

import "testing"

func TestYAML(t *testing.T) {
	got, err := YAML(Of("z", 1, "none", "", "nothing", Fields{}, "no", false, "a", Of("text", "1", "yes", "no", "time", "2026-01-02", "lines", "one\ntwo\n"), "list", []any{"x", Of("b", true)}, "empty", []any{}))
	const want = `z: 1
a:
  text: "1"
  "yes": "no"
  time: "2026-01-02"
  lines: |
    one
    two
list:
  - x
  - b: true
empty: []
`
	if err != nil || string(got) != want {
		t.Errorf("%v\n%s\nwant\n%s", err, got, want)
	}
}
