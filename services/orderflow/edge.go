package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/spf13/cobra"

	"orderflow/pkg/httpapi"
	"orderflow/pkg/telemetry"
	"orderflow/services/documents"
	"orderflow/services/inventory"
	"orderflow/services/order"
	"orderflow/services/payment"
	"orderflow/services/shipping"
)

// routes tells which service answers below which path.
var routes = map[string]string{
	"/v1/orders": order.Name, "/v1/payments": payment.Name, "/v1/reservations": inventory.Name, "/v1/stock": inventory.Name,
	"/v1/shipments": shipping.Name,
}

func newEdge() *cobra.Command {
	addresses := map[string]*string{}
	cmd := &cobra.Command{
		Use:   "edge",
		Short: "Serve the REST API of services that run by themselves under one address",
		Long: `Pass each request on to the service whose route it is, so that services that run as processes of their own have one
address, as "orderflow serve" has with all of them. It knows nothing else, and the services do not know it.
It listens on HTTP_ADDR, for MAX_REQUESTS at a time and MAX_WAITING more that wait. It passes Authorization on and checks nothing itself:
that is the services' work. So on an address that other machines reach, it wants to be told OPEN_TO_ANYBODY=true.`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			targets := map[string]*url.URL{}
			for name, address := range addresses {
				target, err := url.Parse(*address)
				if err != nil || target.Host == "" {
					return usagef("--%s: %q is not a URL such as http://%s:8080", name, *address, name)
				}
				targets[name] = target
			}
			return edge(cmd, targets)
		},
	}
	for _, s := range services {
		addresses[s.name] = cmd.Flags().String(s.name, "http://"+s.name+":8080", "where the service "+s.name+" is")
	}
	return cmd
}

func edge(cmd *cobra.Command, targets map[string]*url.URL) error {
	cfg, err := loadConfig((*config).checkEdge)
	if err != nil {
		return err
	}
	log := telemetry.NewLogger(cmd.ErrOrStderr(), cfg.LogLevel, cfg.LogFormat)
	listener, err := listen("HTTP_ADDR", cfg.HTTPAddr)
	if err != nil {
		return err
	}
	registry := telemetry.NewRegistry(version)
	slots := httpapi.NewSlots(cfg.MaxRequests, cfg.MaxWaitingRequests, httpapi.NewRefusals(registry)).Before(cfg.openGuard())
	e := httpapi.New(httpapi.Config{
		Log: log, Metrics: registry, Guard: httpapi.Open, Ready: func(ctx context.Context) error { return allReady(ctx, targets) },
	})
	httpapi.Add(e, httpapi.Open, documents.Routes())
	for path, name := range routes {
		handler := slots(httpapi.OrdersRead, patiently(passOn(name, targets[name])))
		e.Any(path, handler)
		e.Any(path+"/*", handler)
	}
	log.Info("ready", "address", listener.Addr().String())
	return httpapi.Serve(cmd.Context(), e, listener, cfg.StopTimeout)
}

// patiently lets a service take the time that the client gives it. When the edge stops, those who only listen are let go, and come again; what
// the others have asked for is under way, and they get its answer.
func patiently(h http.Handler) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		wait, lingers := httpapi.Wait(r.Header)
		reads := r.Method == http.MethodGet
		if reads && httpapi.Prefers(r.Header, "text/event-stream", echo.MIMEApplicationJSON) {
			wait, lingers = 0, true
		}
		if !lingers {
			h.ServeHTTP(c.Response(), c.Request())
			return nil
		}
		stop, err := httpapi.Linger(c, wait)
		if err != nil {
			return err
		}
		defer stop()
		ctx, letGo := context.WithCancel(c.Request().Context())
		defer letGo()
		if reads {
			defer context.AfterFunc(httpapi.Stopping(ctx), letGo)()
		}
		h.ServeHTTP(impatient{c.Response()}, c.Request().WithContext(ctx))
		return nil
	}
}

// partLimit is how long a client may take to read a part of an answer that lasts.
const partLimit = 30 * time.Second

// impatient does not wait for a client that does not read.
type impatient struct{ http.ResponseWriter }

// Write implements io.Writer.
func (w impatient) Write(part []byte) (int, error) {
	if err := http.NewResponseController(w.ResponseWriter).SetWriteDeadline(time.Now().Add(partLimit)); err != nil {
		return 0, err
	}
	return w.ResponseWriter.Write(part)
}

// Unwrap is for http.ResponseController.
func (w impatient) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// passOn sends requests to a service. One that does not answer is a 503, and the request may be repeated.
func passOn(name string, target *url.URL) http.Handler {
	return &httputil.ReverseProxy{
		BufferPool: buffers{},
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.SetXForwarded()
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			httpapi.AnswerUnavailable(w, fmt.Sprintf("service %s does not answer", name))
		},
	}
}

// buffers are smaller than those of a proxy for files: each stream holds one.
type buffers struct{}

func (buffers) Get() []byte { return make([]byte, 4<<10) }
func (buffers) Put([]byte)  {}

// allReady asks every service whether it is ready.
func allReady(ctx context.Context, targets map[string]*url.URL) error {
	var errs []error
	for name, target := range targets {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, target.JoinPath("/readyz").String(), nil)
		if err != nil {
			return err
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			errs = append(errs, fmt.Errorf("service %s: %w", name, err))
			continue
		}
		response.Body.Close()
		if response.StatusCode != http.StatusOK {
			errs = append(errs, fmt.Errorf("service %s is not ready", name))
		}
	}
	return errors.Join(errs...)
}
