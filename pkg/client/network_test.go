package client

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestNetwork goes over real connections, of which some are cut.
func TestNetwork(t *testing.T) {
	var placings atomic.Int64
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/orders", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if placings.Add(1) == 1 || !strings.Contains(string(body), `"customer_id":"c"`) {
			panic(http.ErrAbortHandler) // ends the connection
		}
		w.WriteHeader(http.StatusCreated)
		io.WriteString(w, orderText)
	})
	var followed atomic.Int64
	mux.HandleFunc("GET /v1/orders/{id}/events", func(w http.ResponseWriter, r *http.Request) {
		n := followed.Add(1)
		if last := r.Header.Get("Last-Event-ID"); last == "3" {
			w.WriteHeader(http.StatusNoContent)
			return
		} else if n > 1 && last != fmt.Sprint(n-1) {
			http.Error(w, "Last-Event-ID is "+last, http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		kind := "OrderPlaced"
		if n == 3 {
			kind = "OrderShipped"
		}
		io.WriteString(w, "retry: 10\n\n"+says(fmt.Sprint(n), kind))
		w.(http.Flusher).Flush()
		switch n {
		case 1:
			panic(http.ErrAbortHandler)
		case 2:
			<-r.Context().Done() // silent, until the client has had enough
		}
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	c, err := New(server.URL, WithSilence(200*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
	defer stop()
	if o, err := c.PlaceOrder(ctx, asked); err != nil || o.OrderID != orderID || placings.Load() < 2 {
		t.Errorf("%+v, %v", o, err)
	}
	if all, err := heard(ctx, c); err != nil || fmt.Sprint(all) != "[OrderPlaced@1 OrderPlaced@2 OrderShipped@3]" {
		t.Errorf("%v, %v", all, err)
	}
	if o, err := c.Order(ctx, orderID); StatusOf(err) != 404 {
		t.Errorf("%+v, %v", o, err)
	}
}
