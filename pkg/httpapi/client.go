package httpapi

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"orderflow/pkg/telemetry"
)

// maxAnswer is how much of another system's answer is read, in bytes.
const maxAnswer = 1 << 20

// Post sends JSON to another system, under an idempotency key, and reads its JSON answer into out. It returns the status. One that
// is neither 2xx nor one of expected is an error; with one of expected, the answer may also be no JSON. Text that is not valid
// UTF-8 has U+FFFD in its place: what another system did is not undone by how it spells.
func Post(ctx context.Context, client *http.Client, url, key string, in, out any, expected ...int) (int, error) {
	body, err := json.Marshal(in)
	if err != nil {
		return 0, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Idempotency-Key", key)
	describe := traceCall(ctx, request)
	response, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	describe(response)
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return response.StatusCode, fmt.Errorf("POST %s: read the answer: %w", request.URL.Redacted(), err)
	}
	err = json.Unmarshal(answer, out, jsontext.AllowInvalidUTF8(true))
	switch {
	case slices.Contains(expected, response.StatusCode):
		return response.StatusCode, nil // the status says what is to be known
	case response.StatusCode/100 != 2:
		public := fmt.Sprintf("POST %s: status %d", request.URL.Redacted(), response.StatusCode)
		// The answer may repeat what it was asked.
		return response.StatusCode, telemetry.Private(fmt.Errorf("%s: %.200s", public, answer), public+": (answer not shown)")
	case err != nil:
		return response.StatusCode, fmt.Errorf("POST %s: the answer is not the JSON that was expected: %w", request.URL.Redacted(), err)
	}
	return response.StatusCode, nil
}
