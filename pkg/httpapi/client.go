package httpapi

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"

	"github.com/go-json-experiment/json"
)

// maxAnswer is how much of another system's answer is read, in bytes.
const maxAnswer = 1 << 20

// Post sends JSON to another system, under an idempotency key, and reads its JSON answer into out if the status is 2xx or one of
// expected. It returns the status; any other is an error.
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
	response, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return response.StatusCode, fmt.Errorf("POST %s: read the answer: %w", url, err)
	}
	good := response.StatusCode/100 == 2
	for _, status := range expected {
		good = good || response.StatusCode == status
	}
	if !good {
		return response.StatusCode, fmt.Errorf("POST %s: status %d: %.200s", url, response.StatusCode, answer)
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return response.StatusCode, fmt.Errorf("POST %s: the answer is not the JSON that was expected: %w", url, err)
	}
	return response.StatusCode, nil
}
