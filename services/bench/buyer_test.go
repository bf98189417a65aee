package bench

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"orderflow/pkg/client"
)

const asShop = "ORDERFLOW_TEST_AS_SHOP"

// serveShop takes every order, and says where it is.
func serveShop() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println("http://" + listener.Addr().String())
	id := uuid.NewString()
	body := fmt.Sprintf(`{"order_id":%q,"status":"placed","customer_id":"bench-customer-1","currency":"EUR","total_amount":"312.50","items":[`+
		`{"product_id":"bench-17","quantity":2,"unit_price":"99.50"},{"product_id":"bench-4","quantity":1,"unit_price":"13.50"},`+
		`{"product_id":"bench-512","quantity":1,"unit_price":"100.00"}],"payment_method":"pm_ok","shipping_address":{"name":"Ada Lovelace",`+
		`"line1":"12 St James Square","city":"London","postal_code":"SW1Y 4JH","country":"GB"},"placed_at":"2026-05-04T03:02:01.123456Z",`+
		`"updated_at":"2026-05-04T03:02:01.123456Z","version":1}`, id)
	http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Location", "/v1/orders/"+id)
		w.WriteHeader(http.StatusCreated)
		w.Write([]byte(body))
	}))
}

// shopProcess is the address of a shop that is a process of its own.
func shopProcess(b *testing.B) string {
	cmd := exec.CommandContext(b.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), asShop+"=1")
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { cmd.Wait() }) // the context has ended by then
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return strings.TrimSpace(address)
}

// BenchmarkPlace tells what CPU time placing an order costs who places it: by a request that is ready, and by the client for everybody.
func BenchmarkPlace(b *testing.B) {
	buyer, err := newBuyer(shopProcess(b), "")
	if err != nil {
		b.Fatal(err)
	}
	defer buyer.close()
	orders := newOrders(1, Mix{100})
	ready, err := buyer.encodeOrders(orders)
	if err != nil {
		b.Fatal(err)
	}
	var order client.OrderRequest
	if err := json.Unmarshal(orders[0].body, &order); err != nil {
		b.Fatal(err)
	}
	for name, place := range map[string]func() error{
		"ready": func() error { _, _, _, err := buyer.place(b.Context(), ready[0]); return err },
		"client": func() error {
			_, err := buyer.api.PlaceOrder(b.Context(), order, client.IdempotencyKey(""))
			return err
		},
	} {
		b.Run(name, func(b *testing.B) {
			before := cpuTime(b)
			for b.Loop() {
				if err := place(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64((cpuTime(b)-before).Microseconds())/float64(b.N), "cpu-µs/op")
		})
	}
}

// cpuTime is what this process has used.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
