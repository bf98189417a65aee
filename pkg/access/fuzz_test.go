package access

import (
	"net/http"
	"strings"
	"testing"
)

// What is read as keys is complete: nobody may do more than the file says because something was not understood.
func FuzzParseKeys(f *testing.F) {
	for _, s := range []string{
		"", "keys:", "keys: []", "keys:\n  - {name: a, hash: " + hashA + ", scopes: [ops]}", "keys:\n  - name: a\n    hash: " + hashA + "\n    scopes: [orders:read]\n    customers: [~]\n",
		"keys:\n  - {name: a, hash: " + hashA + ", scopes: [ops], rate: 1e3, burst: 5, expires: 2027-01-31T00:00:00Z}", "keys: &a [*a]", "- !!binary x", "keys: !!seq []", "? [", "%YAML 1.2\n---\nkeys: []",
		"keys:\n  - {name: a, hash: [" + hashA + ", " + hashB + "], scopes: [ops]}",
		"keys:\n  - &a {name: a, hash: " + hashA + ", scopes: [ops], <<: *a}",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		keys, err := parseKeys([]byte(text))
		if err != nil {
			if strings.TrimSpace(err.Error()) == "" {
				t.Error("the error says nothing")
			}
			return
		}
		callers, hashes := map[string]*caller{}, map[hash]bool{}
		for _, k := range keys {
			if k.Name == "" || callers[k.Name] != nil && callers[k.Name] != k.caller || hashes[k.hash] || len(k.Scopes) == 0 || k.Customers != nil && len(k.Customers) == 0 || k.limit != nil && k.limit.bucket.Burst() < 1 {
				t.Errorf("%q is read as %+v", text, k)
			}
			callers[k.Name], hashes[k.hash] = k.caller, true
			if k.Customers == nil && strings.Contains(text, "customers:") && len(keys) == 1 && !strings.Contains(text, "#") {
				t.Errorf("%q is for all customers", text)
			}
		}
	})
}

// A token that is read is one that can stand in a header, and nothing more of the header.
func FuzzBearer(f *testing.F) {
	for _, s := range []string{"", "Bearer", "Bearer ", "Bearer a", "bearer  a=", "Basic a", "Bearer a b", "Bearer a,b", "Bearer\ta", "Bearer ü", "Bearer ="} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, header string) {
		token, err := bearer(http.Header{"Authorization": {header}})
		if err != nil && token != "" || len(token) > maxToken || strings.ContainsAny(token, " \t\r\n\"\\,;") {
			t.Errorf("%q is read as %q, %v", header, token, err)
		}
		if token != "" && !strings.EqualFold(strings.TrimRight(header[:7]+strings.TrimLeft(header[7:], " "), " "), "bearer "+token) {
			t.Errorf("%q is read as %q", header, token)
		}
	})
}
