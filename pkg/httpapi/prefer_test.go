package httpapi

import (
	"net/http"
	"testing"
	"time"
)

func TestWait(t *testing.T) {
	for _, c := range []struct {
		lines []string
		want  time.Duration
		is    bool
	}{
		{[]string{"wait=10"}, 10 * time.Second, true},
		{[]string{"Wait = 10"}, 10 * time.Second, true},
		{[]string{`wait="10"`}, 10 * time.Second, true},
		{[]string{"wait=0"}, 0, true},
		{[]string{"wait=007"}, 7 * time.Second, true},
		{[]string{"respond-async", "wait=10"}, 10 * time.Second, true},
		{[]string{`foo="a, wait=3; \"wait=4", , wait=10;x="y,z" ;q`}, 10 * time.Second, true},
		{[]string{"wait=10, wait=20"}, 10 * time.Second, true},
		{[]string{"wait=60"}, MostWait, true},
		{[]string{"wait=61"}, MostWait, true},
		{[]string{"wait=99999999999999999999999"}, MostWait, true},
		{nil, 0, false},
		{[]string{""}, 0, false},
		{[]string{"wait"}, 0, false},
		{[]string{"wait="}, 0, false},
		{[]string{`wait=""`}, 0, false},
		{[]string{"wait=+1"}, 0, false},
		{[]string{"wait=-1"}, 0, false},
		{[]string{"wait=1.5"}, 0, false},
		{[]string{"wait=1 0"}, 0, false},
		{[]string{"wait=١"}, 0, false}, // a digit elsewhere
		{[]string{"wait=soon, wait=10"}, 0, false},
		{[]string{"waiting=10"}, 0, false},
		{[]string{`foo="wait=10`}, 0, false},
		{[]string{"foo; wait=10"}, 0, false},
	} {
		got, is := Wait(http.Header{"Prefer": c.lines})
		if got != c.want || is != c.is {
			t.Errorf("%q is a wait of %s, %v; want %s, %v", c.lines, got, is, c.want, c.is)
		}
	}
}

func TestPrefers(t *testing.T) {
	const stream, json = "text/event-stream", "application/json"
	for _, c := range []struct {
		accept []string
		stream bool
	}{
		{nil, false}, {[]string{""}, false}, {[]string{"*/*"}, false}, {[]string{"application/*"}, false}, {[]string{"text/html"}, false},
		{[]string{stream}, true}, {[]string{"TEXT/EVENT-STREAM; q=0.1"}, true}, {[]string{"text/*"}, true}, {[]string{json + ";q=0.5", stream}, true},
		{[]string{stream + ", */*"}, true}, {[]string{stream + ";q=0.5, */*"}, false}, {[]string{stream + ", " + json}, false},
		{[]string{stream + ";q=0"}, false}, {[]string{stream + ";q=0, text/*"}, false}, {[]string{json + ";q=0, " + stream + ";q=0"}, false},
		{[]string{json + ";q=0, */*"}, true}, {[]string{"a;b=\"" + stream + ",\", " + json}, false}, {[]string{";;, /, " + stream}, true},
		{[]string{stream + ";q=x"}, true}, {[]string{stream + ";q=0.2, text/*;q=1, " + json + ";q=0.5"}, false},
	} {
		if got := Prefers(http.Header{"Accept": c.accept}, stream, json); got != c.stream {
			t.Errorf("Accept: %q prefers the stream: %v", c.accept, got)
		}
	}
}

func TestNotModified(t *testing.T) {
	for _, c := range []struct {
		lines []string
		same  bool
	}{
		{[]string{`"5"`}, true}, {[]string{`W/"5"`}, true}, {[]string{`"4", W/"5" ,"6"`}, true}, {[]string{`"4"`, `"5"`}, true}, {[]string{" * "}, true},
		{[]string{`"a,b", "5"`}, true},
		{nil, false}, {[]string{""}, false}, {[]string{"5"}, false}, {[]string{`"4","6"`}, false}, {[]string{`w/"5"`}, false}, {[]string{`"4, "5`}, false},
		{[]string{`"x,"5","`}, false},
	} {
		if got := NotModified(http.Header{"If-None-Match": c.lines}, `"5"`); got != c.same {
			t.Errorf("If-None-Match: %q is the same: %v", c.lines, got)
		}
	}
}

// What clients say of themselves may be anything.
func FuzzHeaderLists(f *testing.F) {
	for _, s := range []string{`wait=1`, `a="b\`, `"`, `\`, `,;=`, `text/event-stream;q="0.5"`, `W/"1"`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		h := http.Header{"Prefer": {line}, "Accept": {line}, "If-None-Match": {line}}
		if wait, is := Wait(h); wait < 0 || wait > MostWait || !is && wait != 0 {
			t.Errorf("%q is a wait of %s", line, wait)
		}
		if Prefers(h, "text/event-stream", "application/json") && Prefers(h, "application/json", "text/event-stream") {
			t.Errorf("%q prefers both", line)
		}
		NotModified(h, `"1"`)
	})
}
