package httpapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
)

// The limits of a connection. A request that takes longer than requestTimeout is ended, unless its handler does Linger.
const (
	requestTimeout = 20 * time.Second
	answerTimeout  = 10 * time.Second // for the client to read, after that
	headerTimeout  = 10 * time.Second
	readTimeout    = 30 * time.Second
	idleTimeout    = 2 * time.Minute
	readyTimeout   = 2 * time.Second
	maxHeaderBytes = 64 << 10
)

// Config is what a server is made of.
type Config struct {
	Log     *slog.Logger
	Metrics *prometheus.Registry
	Guard   Guard // of the metrics; health is for everybody
	Tracer  trace.Tracer
	// Ready reports what keeps the process from doing its work, or nil.
	Ready func(context.Context) error
}

// New makes an echo with everything that is the same for all services; routes are added to it.
func New(cfg Config) *echo.Echo {
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.HTTPErrorHandler = handleError(cfg.Log)
	e.Use(countRequests(cfg.Metrics))
	e.Use(middleware.RecoverWithConfig(middleware.RecoverConfig{
		LogErrorFunc: func(_ echo.Context, err error, stack []byte) error {
			return fmt.Errorf("panic: %w\n%s", err, stack)
		},
	}))
	e.Use(traced(cfg.Tracer), limitTime)
	Add(e, cfg.Guard, operations(cfg))
	return e
}

// Serve answers on listener until ctx ends; then it takes no new connections and gives the requests in hand some time to end. Those that
// wait on purpose learn of it by Stopping.
func Serve(ctx context.Context, h http.Handler, listener net.Listener, drain time.Duration) error {
	server := &http.Server{
		Handler: h, ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
		BaseContext: func(net.Listener) context.Context {
			return context.WithValue(context.WithoutCancel(ctx), servingKey{}, ctx)
		},
	}
	stopped := make(chan error, 1)
	go func() { stopped <- server.Serve(listener) }()
	select {
	case err := <-stopped:
		return fmt.Errorf("serve HTTP: %w", err)
	case <-ctx.Done():
	}
	limited, stop := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer stop()
	err := server.Shutdown(limited)
	if err != nil {
		err = errors.Join(fmt.Errorf("requests were cut off: %w", err), server.Close())
	}
	<-stopped
	return err
}
