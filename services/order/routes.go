package order

import (
	"log/slog"
	"net/http"

	"github.com/google/jsonschema-go/jsonschema"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/singleflight"

	"orderflow/pkg/flow"
	"orderflow/pkg/httpapi"
)

// Routes is the service's part of the REST API. Orders are refused while maxOpen of the latest have not ended; 0 means never.
func Routes(db *pgxpool.Pool, runtime *flow.Service, metrics *Metrics, maxOpen int, log *slog.Logger) []httpapi.Route {
	live := newLive(db, runtime, metrics, log)
	runtime.Behind(live.run)
	runtime.Keep(answerDays)
	return api{
		live: live, making: new(singleflight.Group),
		db: db, runtime: runtime, placing: flow.NewGroup(runtime, placeAll(metrics)),
		gate: &gate{db: db, limit: maxOpen, refused: metrics.refused, log: log},
	}.routes()
}

// Describe is Routes to be read, and not served.
func Describe() []httpapi.Route { return api{}.routes() }

func (a api) routes() []httpapi.Route {
	return []httpapi.Route{a.placeRoute(), a.listRoute(), a.getRoute(), a.cancelRoute(), a.timelineRoute()}
}

func (a api) placeRoute() httpapi.Route {
	return httpapi.Route{
		Method: http.MethodPost, Path: "/v1/orders", Name: "placeOrder", Scope: httpapi.OrdersWrite, Handler: a.place,
		Summary: "Place an order",
		Description: `The order is accepted at once, and from then on it always ends, as ` + "`shipped` or as `cancelled`" + `; nobody has to wait for that, and who wants to says
` + "`Prefer: wait`" + `, or listens to the order's timeline.

A request that may have to be repeated, because its answer can be lost, carries an ` + "`Idempotency-Key`" + `: a text that the client makes up for this one order, such as a UUID.

More orders than the services can end soon are refused with 503 until some of them have ended.`,
		Params: []httpapi.Param{
			{
				In: httpapi.InHeader, Name: "Idempotency-Key", Schema: &jsonschema.Schema{Type: "string", MinLength: new(1), MaxLength: new(2*maxKey + 2)},
				Description: "The same key with the same order gives the first answer again, for 24 hours, the order as it was placed, or with `Prefer: wait` as it is then; with another order it is refused with 422. Up to 255 " +
					"characters, as a string of Structured Fields, `\"8e03978e-40d5-43e8-bc93-6894a57f9324\"`, or without the quotation marks.",
			},
			httpapi.PreferWait, httpapi.TraceContext,
		},
		Body: placeRequest{},
		Answers: []httpapi.Answer{{
			Status: http.StatusCreated, Description: "The order is accepted.", Content: httpapi.JSONOf(view{}),
			Headers: []httpapi.Param{
				{Name: "Location", Description: "Where the order is found.", Required: true, Schema: &jsonschema.Schema{Type: "string", Format: "uri-reference"}},
				{Name: "Idempotency-Replayed", Description: "`true` if this is the answer to an earlier request with the same key.", Schema: oneOf("true")},
				httpapi.PreferenceApplied, etag,
			},
		}},
		Problems: []int{http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity},
	}
}

func (a api) listRoute() httpapi.Route {
	return httpapi.Route{
		Method: http.MethodGet, Path: "/v1/orders", Name: "listOrders", Scope: httpapi.OrdersRead, Handler: a.list,
		Summary: "The orders, newest first",
		Description: "A page at a time. Who follows `next_cursor` to the end sees every order that was there at the start once, whatever is placed meanwhile. " +
			"A caller whose key is for some customers sees only their orders.",
		Params: []httpapi.Param{
			{In: httpapi.InQuery, Name: "customer_id", Description: "Only the orders of this customer.", Schema: httpapi.Text(maxCustomerID)},
			{In: httpapi.InQuery, Name: "status", Description: "Only orders that stand there now.", Schema: oneOf(Placed, Paid, Reserved, Shipped, Cancelling, Cancelled)},
			httpapi.PageLimit, httpapi.PageCursor,
		},
		Answers: []httpapi.Answer{{Status: http.StatusOK, Description: "A page of the orders.", Content: httpapi.JSONOf(orderPage{})}},
	}
}

func (a api) getRoute() httpapi.Route {
	return httpapi.Route{
		Method: http.MethodGet, Path: "/v1/orders/:order_id", Name: "getOrder", Scope: httpapi.OrdersRead, Handler: a.get,
		Summary:     "An order",
		Description: "As it is now or, with `Prefer: wait`, when it has ended.",
		Params:      []httpapi.Param{httpapi.OrderInPath, httpapi.PreferWait, httpapi.IfNoneMatch},
		Answers: []httpapi.Answer{
			{Status: http.StatusOK, Description: "The order.", Content: httpapi.JSONOf(view{}), Headers: []httpapi.Param{httpapi.ETag, httpapi.PreferenceApplied}},
			{Status: http.StatusNotModified, Description: "The order is as the client knows it.", Headers: []httpapi.Param{httpapi.ETag, httpapi.PreferenceApplied}},
		},
		Problems: []int{http.StatusNotFound},
	}
}

func (a api) cancelRoute() httpapi.Route {
	return httpapi.Route{
		Method: http.MethodPost, Path: "/v1/orders/:order_id/cancel", Name: "cancelOrder", Scope: httpapi.OrdersWrite, Handler: a.cancel,
		Summary: "Cancel an order",
		Description: "Passes the wish on. Whether it comes in time is decided where parcels are booked: the order ends as `cancelled`, and its money and stock go " +
			"back, or as `shipped`. To repeat the request changes nothing. An order that has ended is refused with 409.",
		Params: []httpapi.Param{httpapi.OrderInPath, httpapi.PreferWait, httpapi.TraceContext},
		Answers: []httpapi.Answer{{
			Status: http.StatusAccepted, Description: "The order, mostly `cancelling`.", Content: httpapi.JSONOf(view{}), Headers: []httpapi.Param{httpapi.PreferenceApplied, etag},
		}},
		Problems: []int{http.StatusNotFound, http.StatusConflict},
	}
}

func (a api) timelineRoute() httpapi.Route {
	return httpapi.Route{
		Method: http.MethodGet, Path: "/v1/orders/:order_id/events", Name: "getTimeline", Scope: httpapi.OrdersRead, Handler: a.events,
		Summary: "The timeline of an order",
		Description: `Every event of the order as it was seen: what happened, sorted by when.

With ` + "`Accept: text/event-stream`" + ` it is live, as server-sent events, in the order in which they came in. Each has an ` + "`id`" + `, whose form is nobody's business, an ` + "`event`" + `, which is its type, and
` + "`data`" + `, which is one line of JSON: a TimelineEvent. Lines that begin with a colon are heartbeats:

` + "```text" + `
id: AZjw5HwbfVCPKmodfRwAAQ
event: OrderPlaced
data: {"id":"0198f0e4-7c1b-7d50-8f2a-6a1d7d1c0001","type":"OrderPlaced","source":"/order", …}

: heartbeat
` + "```" + `

Who lost the connection says the last id that it has seen as ` + "`Last-Event-ID`" + `, as an ` + "`EventSource`" + ` does, and gets what came after. When the order has ended and nothing
more has come for five seconds, the server closes the stream; who comes back after that gets 204, upon which an ` + "`EventSource`" + ` stops. Who reads too slowly is cut off, and may come back likewise.`,
		Params: []httpapi.Param{
			httpapi.OrderInPath,
			{
				In: httpapi.InHeader, Name: "Last-Event-ID", Schema: &jsonschema.Schema{Type: "string"},
				Description: "The `id` of the last event that the client has seen of the stream. Without `Accept: text/event-stream` it is ignored.",
			},
			httpapi.IfNoneMatch,
		},
		Answers: []httpapi.Answer{
			{
				Status: http.StatusOK, Description: "The timeline so far or, as a stream, for as long as it grows.", Headers: streamHeaders,
				Content: append(httpapi.JSONOf(timelineView{}), httpapi.Content{Type: "text/event-stream"}),
			},
			{Status: http.StatusNoContent, Description: "The order has ended, and there is nothing after that event."},
			{Status: http.StatusNotModified, Description: "There is no event that the client does not know.", Headers: []httpapi.Param{etag}},
		},
		Problems: []int{http.StatusNotFound},
	}
}

// etag is the header where not every answer has it.
var etag = httpapi.Param{Name: httpapi.ETag.Name, Description: httpapi.ETag.Description, Schema: httpapi.ETag.Schema}

// streamHeaders are those of a timeline; but for the first they are a stream's.
var streamHeaders = []httpapi.Param{
	etag,
	{Name: "Cache-Control", Description: "`no-store`: a stream is not kept.", Schema: &jsonschema.Schema{Type: "string"}},
	{Name: "X-Accel-Buffering", Description: "`no`: a proxy that heeds it passes events on as they come.", Schema: &jsonschema.Schema{Type: "string"}},
}

// oneOf is the schema of a text that has no other values.
func oneOf[T ~string](values ...T) *jsonschema.Schema {
	s := &jsonschema.Schema{Type: "string"}
	for _, v := range values {
		s.Enum = append(s.Enum, string(v))
	}
	return s
}

// maxCustomerID is the longest id of a customer, in characters, as in an order.
const maxCustomerID = 200
