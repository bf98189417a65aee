package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"

	"orderflow/pkg/conformance"
)

const (
	answerLimit = 20 * time.Second // the server's own is shorter
	streamLimit = 300 * time.Millisecond
	maxAnswer   = 16 << 20
)

// fuzzer sends requests and judges the answers.
type fuzzer struct {
	base, key  string
	judge      *conformance.Judge
	client     *http.Client
	operations []operation
	known      *memory

	mu       sync.Mutex
	sent     int
	findings map[string]finding // by what is the same about them
}

// finding is something that is not as the document says.
type finding struct {
	what  string
	curl  string
	times int
}

func newFuzzer(base, key string, judge *conformance.Judge) *fuzzer {
	return &fuzzer{
		base: base, key: key, judge: judge, client: &http.Client{Timeout: answerLimit}, operations: operationsOf(judge.Document),
		known: newMemory(), findings: map[string]finding{},
	}
}

// run sends requests until ctx ends.
func (f *fuzzer) run(ctx context.Context, seed uint64, workers int) {
	var group sync.WaitGroup
	for i := range workers {
		group.Go(func() {
			d := dice{rand.New(rand.NewPCG(seed, uint64(i)))}
			for ctx.Err() == nil {
				f.try(context.WithoutCancel(ctx), d, pick(d, f.operations)) // what is under way at the end is judged, too
			}
		})
	}
	group.Wait()
	f.client.CloseIdleConnections()
}

// try sends one request and judges its answer.
func (f *fuzzer) try(ctx context.Context, d dice, o operation) {
	request, body, err := f.request(ctx, d, o)
	if err != nil {
		return // no URL, so nothing that can be sent
	}
	e, err := f.send(request, body)
	switch {
	case err != nil && strings.Contains(err.Error(), "invalid header field"):
		return // nothing that can be sent, either
	case err != nil:
		f.found(o, request, body, fmt.Errorf("there is no answer: %w", err))
		return
	}
	f.known.learn(e)
	if err := f.judge.Breaks(ctx, e); err != nil {
		f.found(o, request, body, err)
	}
	f.mu.Lock()
	f.sent++
	f.mu.Unlock()
}

// send sends a request and reads its answer; of a stream, what comes first.
func (f *fuzzer) send(request *http.Request, body []byte) (conformance.Exchange, error) {
	ctx, stop := context.WithCancel(request.Context())
	defer stop()
	response, err := f.client.Do(request.WithContext(ctx))
	if err != nil {
		return conformance.Exchange{}, err
	}
	defer response.Body.Close()
	stream := strings.HasPrefix(response.Header.Get("Content-Type"), "text/event-stream")
	if stream {
		defer time.AfterFunc(streamLimit, stop).Stop()
	}
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if stream && errors.Is(err, context.Canceled) {
		err = nil
	}
	return conformance.Exchange{Request: request, RequestBody: body, Status: response.StatusCode, Header: response.Header, Body: text}, err
}

func (f *fuzzer) found(o operation, request *http.Request, body []byte, why error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	what := why.Error()
	same := o.OperationID + " " + what[:min(len(what), 70)]
	seen, known := f.findings[same]
	if !known {
		seen = finding{what: what, curl: curl(request, body)}
	}
	seen.times++
	f.findings[same] = seen
}
