package payment

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
)

// A charge was made even if its name is not quite JSON: text that is not UTF-8, and half a character.
func TestGatewayAnswersBrokenText(t *testing.T) {
	var reference string
	gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusCreated)
		fmt.Fprintf(w, `{"reference": "%s"}`, reference)
	}))
	defer gateway.Close()
	g := NewHTTPGateway(gateway.URL, gateway.Client())
	for _, reference = range []string{"ch_\xff", `ch_\ud800`} {
		v, err := g.Charge(t.Context(), Charge{Key: "charge"})
		if want := (Verdict{Reference: "ch_�"}); err != nil || v != want {
			t.Errorf("%q: %+v, %v; want %+v", reference, v, err, want)
		}
		if err := g.Refund(t.Context(), Refund{Key: "refund", Reference: v.Reference}); err != nil {
			t.Errorf("%q: refund: %v", reference, err)
		}
	}
}
