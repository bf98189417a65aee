package shipping

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
)

// A parcel without a carrier or a number is not booked: an answer that lacks one, or has nothing to see in it, counts as none.
func TestCarrierAnswersBlank(t *testing.T) {
	answer := map[string]string{}
	carrier := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusCreated)
		json.NewEncoder(w).Encode(answer)
	}))
	defer carrier.Close()
	h := NewHTTPCarrier(carrier.URL, carrier.Client())
	for text, booked := range map[string]bool{"": false, " ": false, "\n": false, "\x00": false, "\u00a0 ": false, " T\n": true} {
		for _, field := range []string{"carrier", "tracking_number"} {
			answer["carrier"], answer["tracking_number"] = "post", "T1"
			answer[field] = text
			v, err := h.Book(t.Context(), Parcel{Key: "book"})
			if (err == nil) != booked || booked && v != (Verdict{Carrier: answer["carrier"], TrackingNumber: answer["tracking_number"]}) {
				t.Errorf("%s %q: %+v, %v", field, text, v, err)
			}
		}
	}
}
