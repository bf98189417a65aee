package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"orderflow/pkg/conformance"
)

func main() {
	base := flag.String("url", cmp.Or(os.Getenv("ORDERFLOW_URL"), "http://127.0.0.1:8080"), "where orderflow is, on this machine")
	key := flag.String("key", os.Getenv("ORDERFLOW_KEY"), "an API key with all scopes, where callers are told apart")
	duration := flag.Duration("duration", time.Minute, "how long to go on")
	seed := flag.Uint64("seed", uint64(time.Now().UnixNano()), "decides what is sent")
	workers := flag.Int("workers", 4, "requests at a time")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, strings.TrimSuffix(*base, "/"), *key, *duration, *seed, *workers); err != nil {
		fmt.Fprintln(os.Stderr, "fuzz:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, base, key string, duration time.Duration, seed uint64, workers int) error {
	if err := onlyHere(base); err != nil {
		return err
	}
	document, err := fetch(ctx, base+"/openapi.yaml")
	if err != nil {
		return err
	}
	judge, err := conformance.New(document, "cursor", "Last-Event-ID", "Idempotency-Key")
	if err != nil {
		return err
	}
	fmt.Printf("seed %d, %d workers, %s\n", seed, workers, duration)
	limited, stop := context.WithTimeout(ctx, duration)
	defer stop()
	f := newFuzzer(base, key, judge)
	f.run(limited, seed, workers)
	return f.report(os.Stdout)
}

// onlyHere refuses addresses that are not this machine's: what is sent is of no good to anybody.
func onlyHere(base string) error {
	parsed, err := url.Parse(base)
	if err != nil || parsed.Host == "" {
		return fmt.Errorf("%q is not a URL such as http://127.0.0.1:8080", base)
	}
	if host := parsed.Hostname(); host != "localhost" && !net.ParseIP(host).IsLoopback() {
		return fmt.Errorf("%s is not this machine; a fuzzer leaves nonsense behind, run it against http://127.0.0.1:8080", host)
	}
	return nil
}

func fetch(ctx context.Context, from string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("GET %s: %s", from, response.Status)
	}
	return io.ReadAll(response.Body)
}
