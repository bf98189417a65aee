// Package client is what a Go program needs to place orders with orderflow, to follow them and to cancel them: the REST API as methods.
//
//	c, err := client.New("http://127.0.0.1:8080", client.WithToken(os.Getenv("ORDERFLOW_TOKEN")))
//	…
//	defer c.Close()
//	order, err := c.PlaceOrder(ctx, client.OrderRequest{…}, client.Wait(10*time.Second))
//	for event, err := range c.Follow(ctx, order.OrderID) {
//		…
//	}
//
// # What it does by itself
//
// A request that may be sent twice is sent again, a few times, after a pause that grows and is never the same for two clients: where there was
// no answer, and where the answer was 502, 503, 504 or 429, or a 409 that says when to come back, not before the time that its Retry-After names. Reads may be sent twice, and so may
// PutStock and CancelOrder, after which things are as they were. PlaceOrder may, because it makes an idempotency key for each order: the server
// places one order for all requests with the same key. Who has to place an order after a crash of its own chooses a key that it will
// know again, such as the id of a cart, by [IdempotencyKey].
//
// # Errors
//
// What the server refuses is a [*Problem], to be had by errors.As, or by [StatusOf] where the status is enough. Whether an order was placed
// is not known after any other error of PlaceOrder; ask again with the same key.
//
// # What will change
//
// The server may get new fields, statuses, reasons and types of events. Fields that are not known here are ignored; statuses, reasons
// and types are strings whose unknown values are handed on. Amounts are decimal strings such as "39.98", as the server writes them,
// since that is what keeps them exact; in which currency stands beside them.
//
// A Client may be used by many goroutines. All of its waiting ends with the context of the call.
package client
