package dlq

import "regexp"

// What differs from one message to the next, in the order in which it is looked for.
var varying = []struct {
	pattern *regexp.Regexp
	instead string
}{
	{regexp.MustCompile(`(?i)\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b`), "<id>"},
	{regexp.MustCompile(`\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?`), "<time>"},
	{regexp.MustCompile(`\b\d{1,3}(\.\d{1,3}){3}(:\d+)?\b`), "<address>"},
	{regexp.MustCompile(`(?i)\b(0x)?[0-9a-f]*\d[0-9a-f]{7,}\b`), "<id>"},
	{regexp.MustCompile(`\d+(\.\d+)?`), "<n>"},
}

// Normalize takes out of an error what differs from one message to the next, ids, times, addresses and numbers, so that those of one cause
// are the same text.
func Normalize(err string) string {
	for _, v := range varying {
		err = v.pattern.ReplaceAllString(err, v.instead)
	}
	return err
}
