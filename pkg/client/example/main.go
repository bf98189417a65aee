// Example places an order, follows it until it has ended, and prints each step:
//
//	go run ./pkg/client/example http://127.0.0.1:8080
//
// ORDERFLOW_TOKEN is the API key, where orderflow asks for one.
package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/signal"
	"time"

	"orderflow/pkg/client"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	address := "http://127.0.0.1:8080"
	if len(os.Args) > 1 {
		address = os.Args[1]
	}
	if err := run(ctx, address); err != nil {
		fmt.Fprintln(os.Stderr, "example:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, address string) error {
	c, err := client.New(address, client.WithToken(os.Getenv("ORDERFLOW_TOKEN")))
	if err != nil {
		return err
	}
	defer c.Close()
	order, err := c.PlaceOrder(ctx, client.OrderRequest{
		CustomerID: "customer-1", Currency: "EUR", PaymentMethod: "pm_ok",
		Items:           []client.Item{{ProductID: "demo-1", Quantity: 2, UnitPrice: "19.99"}},
		ShippingAddress: client.Address{Name: "Ada Lovelace", Line1: "12 St James Square", City: "London", PostalCode: "SW1Y 4JH", Country: "GB"},
	})
	if err != nil {
		return err
	}
	fmt.Println("order", order.OrderID, "of", order.TotalAmount, order.Currency)
	for event, err := range c.Follow(ctx, order.OrderID) {
		if err != nil {
			return err
		}
		after := event.Time.Sub(order.PlacedAt).Round(time.Millisecond)
		fmt.Println(after, event.Type, cmp.Or(event.Data.TrackingNumber, event.Data.Amount, string(event.Data.Reason)))
		if event.Type.Ends() {
			break // or wait a few seconds for events that may have been overtaken
		}
	}
	return nil
}
