package httpapi

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// health is how a process is.
type health struct {
	Status healthStatus `json:"status"` // ok, or ready
}

// healthStatus is one word on that.
type healthStatus string

// A process that is alive is ok, one that can do its work is ready.
const (
	alive     healthStatus = "ok"
	readyToGo healthStatus = "ready"
)

// Operations are the routes that every server has, to be read, and not served.
func Operations() []Route { return operations(Config{}) }

func operations(cfg Config) []Route {
	return []Route{
		{
			Method: http.MethodGet, Path: "/healthz", Name: "getHealth", Summary: "Is the process alive?",
			Description: "It is, if it answers. Whether it can do its work is asked by `/readyz`.",
			Answers:     []Answer{{Status: http.StatusOK, Description: "It is alive.", Content: JSONOf(health{})}},
			Handler:     func(c echo.Context) error { return JSON(c, http.StatusOK, health{alive}) },
		},
		{
			Method: http.MethodGet, Path: "/readyz", Name: "getReadiness", Summary: "Can the process do its work?",
			Description: "Asks the database and the broker. A load balancer sends no requests to a process that is not ready; it becomes ready by itself.",
			Answers:     []Answer{{Status: http.StatusOK, Description: "It can.", Content: JSONOf(health{})}},
			Problems:    []int{http.StatusServiceUnavailable},
			Handler:     readiness(cfg),
		},
		{
			Method: http.MethodGet, Path: "/metrics", Name: "getMetrics", Summary: "Metrics, for Prometheus", Scope: Ops,
			Description: "In the text format of Prometheus, or that of OpenMetrics where `Accept` asks for it.",
			Answers: []Answer{{
				Status: http.StatusOK, Description: "All metrics of the process.", Content: []Content{{Type: "text/plain"}, {Type: "application/openmetrics-text"}},
			}},
			Handler: echo.WrapHandler(promhttp.HandlerFor(cfg.Metrics, promhttp.HandlerOpts{EnableOpenMetrics: true})),
		},
	}
}

// readyFor is how long an answer to whether the process is ready is good for all who ask. Anybody may ask, and it costs connections.
const readyFor = 500 * time.Millisecond

// readiness answers GET /readyz, and logs where the answer is another one than the last.
func readiness(cfg Config) echo.HandlerFunc {
	var turn sync.Mutex // guards the last answer, and is held while the next one is found
	var last error
	var asked time.Time
	ask := func(ctx context.Context) error {
		turn.Lock()
		defer turn.Unlock()
		if time.Since(asked) < readyFor {
			return last
		}
		ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), readyTimeout)
		defer stop()
		err := cfg.Ready(ctx)
		if err != nil && last == nil {
			cfg.Log.Warn("not ready", "error", err)
		} else if err == nil && last != nil {
			cfg.Log.Info("ready again")
		}
		last, asked = err, time.Now()
		return err
	}
	return func(c echo.Context) error {
		err := ask(c.Request().Context())
		if err != nil {
			p := NewProblem(http.StatusServiceUnavailable, "not ready: %v", err)
			p.RetryAfter = 1
			return p
		}
		return JSON(c, http.StatusOK, health{readyToGo})
	}
}
