package doctor

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// apiFacts is what the REST API says.
type apiFacts struct {
	unset bool
	err   error
	said  string // what keeps it from being ready; empty where nothing does
	clock answer[skew]
}

func seeAPI(ctx context.Context, address string) *apiFacts {
	f := &apiFacts{unset: address == ""}
	if f.unset {
		return f
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(address, "/")+"/readyz", nil)
	if f.err = err; err != nil {
		return f
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DisableKeepAlives = true
	asked := time.Now()
	response, err := (&http.Client{Transport: transport}).Do(request)
	if f.err = err; err != nil {
		return f
	}
	defer response.Body.Close()
	answered := time.Now()
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(response.Body, 1<<10))
		f.said = fmt.Sprintf("%s: %s", response.Status, text)
	}
	told, err := http.ParseTime(response.Header.Get("Date"))
	f.clock = answer[skew]{compareClocks(asked, told, answered, time.Second), err}
	return f
}

// judgeAPI looks at the processes' own word.
func judgeAPI(f *apiFacts) []Finding {
	c := check{name: "api"}
	switch {
	case f.unset:
		c.unknown("set ORDERFLOW_URL to have /readyz asked, such as http://127.0.0.1:8080", "ORDERFLOW_URL is not set")
		return c.findings
	case f.err != nil:
		c.wrong("start it with `orderflow serve`, or correct ORDERFLOW_URL", "%v", f.err)
	case f.said != "":
		c.wrong("mend what the lines above tell; its log says more", "it is not ready: %s", f.said)
	}
	findings := c.otherwise("it is ready")
	if f.err == nil {
		findings = append(findings, judgeClock("clock-api", "the REST API", f.clock)...)
	}
	return findings
}
