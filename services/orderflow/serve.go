package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"orderflow/migrations"
	"orderflow/pkg/broker"
	"orderflow/pkg/event"
	"orderflow/pkg/flow"
	"orderflow/pkg/httpapi"
	"orderflow/pkg/postgres"
	"orderflow/pkg/telemetry"
	"orderflow/services/documents"
	"orderflow/services/inventory"
	"orderflow/services/order"
	"orderflow/services/payment"
	"orderflow/services/shipping"
)

// service is what the binary knows of one service.
type service struct {
	name          string
	schema        string
	subscriptions func() []flow.Subscription
	wire          func(*process, *echo.Echo, *flow.Service, *pgxpool.Pool)
}

// services lists all services.
var services = []service{
	{order.Name, order.Schema, order.Subscriptions, wireOrder},
	{payment.Name, payment.Schema, payment.Subscriptions, wirePayment},
	{inventory.Name, inventory.Schema, inventory.Subscriptions, wireInventory},
	{shipping.Name, shipping.Schema, shipping.Subscriptions, wireShipping},
}

func wireOrder(p *process, e *echo.Echo, runtime *flow.Service, db *pgxpool.Pool) {
	metrics := order.NewMetrics(p.registry)
	log := p.log.With("service", order.Name)
	order.Subscribe(runtime, metrics)
	order.CountOpen(runtime, db, metrics, p.cfg.OrderDeadline, log)
	httpapi.Add(e, p.guard, order.Routes(db, runtime, metrics, p.cfg.MaxOpenOrders, log))
}

func wirePayment(p *process, e *echo.Echo, runtime *flow.Service, db *pgxpool.Pool) {
	var gateway payment.Gateway = payment.NewSimulatedGateway()
	if p.cfg.GatewayURL != "" {
		gateway = payment.NewHTTPGateway(p.cfg.GatewayURL, externalClient(p.cfg.GatewayCalls))
	}
	payment.Subscribe(runtime, gateway, flow.NewGuard("gateway", p.cfg.GatewayTimeout, p.cfg.GatewayCalls, p.metrics, p.log))
	httpapi.Add(e, p.guard, payment.Routes(db))
}

// externalClient keeps as many connections as there can be calls, and takes an answer as it is.
func externalClient(calls int) *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost, transport.MaxIdleConns = calls, calls
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func wireInventory(p *process, e *echo.Echo, runtime *flow.Service, db *pgxpool.Pool) {
	inventory.Subscribe(runtime)
	httpapi.Add(e, p.guard, inventory.Routes(db))
}

func wireShipping(p *process, e *echo.Echo, runtime *flow.Service, db *pgxpool.Pool) {
	var carrier shipping.Carrier = shipping.SimulatedCarrier{}
	if p.cfg.CarrierURL != "" {
		carrier = shipping.NewHTTPCarrier(p.cfg.CarrierURL, externalClient(p.cfg.CarrierCalls))
	}
	shipping.Subscribe(runtime, carrier, flow.NewGuard("carrier", p.cfg.CarrierTimeout, p.cfg.CarrierCalls, p.metrics, p.log))
	httpapi.Add(e, p.guard, shipping.Routes(db))
}

// pick returns the services of those names; all of them where there are no names.
func pick(names []string) ([]service, error) {
	if len(names) == 0 {
		return services, nil
	}
	var picked []service
	for _, name := range names {
		i := slices.IndexFunc(services, func(s service) bool { return s.name == name })
		if i < 0 {
			return nil, usagef("there is no service %q; the services are order, payment, inventory and shipping", name)
		}
		if !slices.ContainsFunc(picked, func(s service) bool { return s.name == name }) {
			picked = append(picked, services[i])
		}
	}
	return picked, nil
}

func newServe() *cobra.Command {
	return &cobra.Command{
		Use:   "serve [service…]",
		Short: "Run services: order, payment, inventory, shipping; all of them if none is named",
		Long: `Run services until SIGTERM or Ctrl-C, and then finish what is in hand. Each brings its database schema up to date
and declares its queues first; where a later version has migrated the schema already, it says so and goes on.

Environment; what is empty counts as not set, but for RETRY_DELAYS:
  AMQP_URL                amqp://user:password@host:5672/vhost; the nodes of a cluster separated by commas. With TLS
                          amqps://user:password@host:5671/vhost?cacertfile=/path/to/ca.pem, without cacertfile the system's CAs
                          are trusted; certfile and keyfile name a certificate of the client
  DATABASE_URL            postgres://user:password@host:5432/database; with TLS add
                          ?sslmode=verify-full&sslrootcert=/path/to/ca.pem
  HTTP_ADDR               where to serve HTTP (127.0.0.1:8080). On an address that other machines reach, callers have to be told apart,
                          by ACCESS_KEYS_FILE or OIDC_ISSUER or both, or OPEN_TO_ANYBODY has to be said
  ACCESS_KEYS_FILE        API keys, by their hashes, as "orderflow key new" prints them. It is read again when it changes
  OIDC_ISSUER             OpenID Connect issuer whose tokens are taken, as they have it (iss): https://issuer.example
  OIDC_AUDIENCE           what the tokens must be for (aud); needed with OIDC_ISSUER
  OIDC_JWKS               the issuer's keys, a file or a URL; empty: where its discovery document says
  OIDC_CUSTOMERS_CLAIM    the claim of a token with the customers whose orders it is for; tokens without it are refused.
                          Empty: tokens are for all customers' orders
  OPEN_TO_ANYBODY         true: whoever reaches HTTP_ADDR may do everything (false)
  RATE_LIMIT, RATE_BURST  requests a second of each caller, and so many at once, in this process, where its key says nothing else;
                          0: any number (0), and those of one second (0)
  MAX_REQUESTS            so many requests at a time; more are refused with 503 and Retry-After (1024); 0: any number
  MAX_WAITING             so many more that wait, for an order to end or for events (20000); 0: any number
  DEBUG_ADDR              where to serve profiles, for go tool pprof http://…/debug/pprof/profile; empty: nowhere.
                          Callers are not told apart there, so it is on this machine only
  RETRY_DELAYS            how long a message that failed waits before each further attempt (1s,10s,60s,300s);
                          none: it is dead-lettered at once
  INBOX_RETENTION         how long handled events are remembered, so that they are not handled again (336h, 14 days)
  GATEWAY_URL             payment gateway; empty: a simulator           GATEWAY_TIMEOUT  for one call (5s)
  GATEWAY_CALLS           so many calls of it at a time, in this process (512)
  CARRIER_URL             parcel service; empty: a simulator            CARRIER_TIMEOUT, CARRIER_CALLS  the same
  START_TIMEOUT           how long to wait at the start for servers that are not there yet (30s); what waiting does not
                          mend, such as a wrong password, ends the program at once
  STOP_TIMEOUT            how long to finish what is in hand (20s)
  DB_MAX_CONNS            database connections of each service (12)
  MAX_OPEN_ORDERS         so many orders of the last 30 seconds may be under way; more are refused with 503 and Retry-After (10000);
                          0: any number
  ORDER_DEADLINE          how old an order may be that has not ended, until it counts as overdue (10m)
  OTEL_EXPORTER_OTLP_ENDPOINT
                          where traces go, by OTLP over HTTP: http://127.0.0.1:4318; empty: there are none
  OTEL_TRACES_SAMPLER     which orders are traced, by OpenTelemetry's names (parentbased_always_on): traceidratio takes the part
                          OTEL_TRACES_SAMPLER_ARG (1); with parentbased_ before it, clients decide that send a traceparent
  LOG_LEVEL, LOG_FORMAT   debug, info, warn, error; text, json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			picked, err := pick(args)
			if err != nil {
				return err
			}
			cfg, err := loadConfig((*config).checkServe)
			if err != nil {
				return err
			}
			return serve(cmd.Context(), cfg, picked, cmd.ErrOrStderr(), nil)
		},
	}
}

// process is what the services of one process share.
type process struct {
	cfg      config
	log      *slog.Logger
	registry *prometheus.Registry
	metrics  *flow.Metrics
	tracing  *telemetry.Tracing
	guard    httpapi.Guard
	deadline time.Time // of START_TIMEOUT
}

// patience is what is left of START_TIMEOUT.
func (p *process) patience() time.Duration { return max(0, time.Until(p.deadline)) }

func newProcess(cfg config, log io.Writer) *process {
	registry := telemetry.NewRegistry(version)
	return &process{
		cfg: cfg, log: telemetry.NewLogger(log, cfg.LogLevel, cfg.LogFormat), registry: registry, metrics: flow.NewMetrics(registry),
		deadline: time.Now().Add(cfg.StartTimeout),
	}
}

// collectAt is how much garbage may pile up before it is collected, in percent of what lives. Little lives here between two batches, so at
// Go's 100 a tenth of the CPU time under load goes into collecting. Twice as much takes some 20 MiB more in a burst, and in the worst
// overload that was measured 237 MiB in all. GOGC overrides it.
const collectAt = 200

// serve runs services until ctx ends. started, if there is one, is called with the address of the HTTP server when everything runs.
func serve(ctx context.Context, cfg config, picked []service, log io.Writer, started func(address string)) error {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(collectAt)
	}
	p := newProcess(cfg, log)
	names := make([]string, len(picked))
	for i, s := range picked {
		names[i] = s.name
	}
	p.log.Info("starting", "services", strings.Join(names, " "), "version", version, cfg.masked())
	access, err := p.openAccess(ctx)
	if err != nil {
		return err
	}
	if p.tracing, err = telemetry.OpenTracing(ctx, cfg.tracing(p.log)); err != nil {
		return err
	}
	defer closeTracing(p.tracing, p.log)
	listener, err := listen("HTTP_ADDR", cfg.HTTPAddr)
	if err != nil {
		return err
	}
	defer listener.Close()
	var debug net.Listener
	if cfg.DebugAddr != "" {
		if debug, err = listen("DEBUG_ADDR", cfg.DebugAddr); err != nil {
			return err
		}
		defer debug.Close()
	}

	parts, err := p.open(ctx, picked)
	defer closeAll(parts)
	if err != nil && ctx.Err() != nil {
		p.log.Info("stopped before it was ready", "waiting for", err)
		return nil
	}
	if err != nil {
		return err
	}
	e := httpapi.New(httpapi.Config{
		Log: p.log, Metrics: p.registry, Guard: p.guard, Tracer: p.tracing.Tracer(servingName(picked)),
		Ready: func(ctx context.Context) error { return ready(ctx, parts) },
	})
	httpapi.Add(e, p.guard, documents.Routes())
	for i, s := range picked {
		s.wire(p, e, parts[i].runtime, parts[i].db)
		p.showReady(s.name, parts[i].runtime)
	}

	// HTTP stops first, so that what it has taken is still published; the runtimes stop when it has.
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var group errgroup.Group
	failed, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	for _, part := range parts {
		group.Go(func() error {
			err := part.runtime.Run(running)
			if err != nil {
				fail(err)
			}
			return err
		})
	}
	group.Go(func() error {
		defer stop()
		return httpapi.Serve(failed, e, listener, cfg.StopTimeout)
	})
	if access != nil {
		group.Go(func() error {
			access.Run(running)
			return nil
		})
	}
	if debug != nil {
		group.Go(func() error {
			if err := httpapi.Serve(failed, telemetry.Profiles(), debug, 0); err != nil { // a profile is nothing to wait for
				p.log.Debug("profiles", "error", err)
			}
			return nil
		})
	}
	if allStarted(failed, parts) {
		p.log.Info("ready", "address", listener.Addr().String())
		if started != nil {
			started(listener.Addr().String())
		}
	}
	err = group.Wait()
	p.log.Info("stopped")
	return err
}

// servingName is what traces call the HTTP server: that of one service by the service's name.
func servingName(picked []service) string {
	if len(picked) == 1 {
		return "orderflow-" + picked[0].name
	}
	return "orderflow"
}

// closeTracing exports the last spans.
func closeTracing(t *telemetry.Tracing, log *slog.Logger) {
	ctx, stop := context.WithTimeout(context.Background(), lastSpans)
	defer stop()
	if err := t.Close(ctx); err != nil {
		log.Warn("stopping", "error", err)
	}
}

// lastSpans is how long a process takes, at most, to get its last spans to their receiver.
const lastSpans = 3 * time.Second

// allStarted waits until every runtime works, and tells whether they do.
func allStarted(ctx context.Context, parts []*part) bool {
	for _, part := range parts {
		select {
		case <-part.runtime.Started():
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// listen takes an address that variable names.
func listen(variable, address string) (net.Listener, error) {
	listener, err := net.Listen("tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("another program listens on %s; choose another address by %s", address, variable)
	}
	if errors.Is(err, syscall.EACCES) {
		return nil, fmt.Errorf("%s: %w; ports below 1024 are mostly the administrator's, choose one above", variable, err)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w; choose another address", variable, err)
	}
	return listener, nil
}

// part is one service's means: its database, its connections to the broker, its runtime.
type part struct {
	db      *pgxpool.Pool
	broker  *broker.Broker
	runtime *flow.Service
}

// open connects everything at once, and gives up when one thing fails. The error tells of everything that was waited for in vain. What open
// returns has to be closed even then.
func (p *process) open(ctx context.Context, picked []service) ([]*part, error) {
	parts := make([]*part, len(picked))
	faults := make(chan error, 2*len(picked))
	ctx, giveUp := context.WithCancel(ctx)
	defer giveUp()
	var group sync.WaitGroup
	open := func(connect func() error) {
		group.Go(func() {
			err := connect()
			if err != nil {
				faults <- err
			}
			if err != nil && p.patience() > 0 { // else the others end now, too, and know best why
				giveUp()
			}
		})
	}
	for i, s := range picked {
		parts[i] = &part{}
		open(func() error {
			if err := p.openDatabase(ctx, s, parts[i]); err != nil {
				return fmt.Errorf("service %s: %w", s.name, err)
			}
			return nil
		})
		open(func() (err error) {
			parts[i].broker, err = broker.Open(ctx, broker.Config{
				URLs: p.cfg.AMQPURLs, Name: "orderflow " + s.name, Version: version, Log: p.log.With("service", s.name),
				Patience: p.cfg.StartTimeout,
			})
			return err
		})
	}
	group.Wait()
	close(faults)
	if err := joined(faults); err != nil {
		return parts, err
	}
	for i, s := range picked {
		parts[i].runtime = flow.New(flow.Config{
			Service: s.name, Catalog: event.Orders, DB: parts[i].db, Broker: parts[i].broker, Metrics: p.metrics, Log: p.log,
			Tracer: p.tracing.Tracer("orderflow-" + s.name), RetryDelays: p.cfg.RetryDelays, InboxRetention: p.cfg.InboxRetention, DrainTimeout: p.cfg.StopTimeout, Patience: p.patience(),
			Others: othersOf(s.name),
		})
	}
	return parts, nil
}

// joined makes one error of many, or nil of none. Those that say the same are told once, and what was only cut off because of the first not
// at all.
func joined(faults <-chan error) error {
	var errs []error
	for err := range faults {
		same := func(e error) bool { return e.Error() == err.Error() }
		if len(errs) == 0 || !errors.Is(err, context.Canceled) && !slices.ContainsFunc(errs, same) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// othersOf lists the subscriptions of all services but one.
func othersOf(name string) (others []flow.Subscription) {
	for _, s := range services {
		if s.name != name {
			others = append(others, s.subscriptions()...)
		}
	}
	return others
}

func (p *process) openDatabase(ctx context.Context, s service, part *part) (err error) {
	cfg := postgres.Config{
		URL: p.cfg.DatabaseURL, Schema: s.schema, Name: "orderflow " + s.name, MaxConns: p.cfg.DBMaxConns, ByKey: true,
		Log: p.log.With("service", s.name), Patience: p.cfg.StartTimeout,
	}
	if part.db, err = postgres.Open(ctx, cfg); err != nil {
		return err
	}
	cfg.Patience, cfg.Told = p.patience(), p.cfg.StartTimeout
	applied, err := postgres.Migrate(ctx, cfg, migrations.Files, migrations.Flow, s.schema)
	if len(applied) > 0 {
		p.log.Info("migrated", "applied", strings.Join(applied, ", "))
	}
	if newer, ok := errors.AsType[*postgres.NewerError](err); ok { // a release that is under way, or was taken back
		p.log.Warn("the schema is newer than this program, going on: migrations only add", "schema", s.schema,
			"folder", newer.Folder, "applied", newer.Applied, "known", newer.Known)
		return nil
	}
	return err
}

func closeAll(parts []*part) {
	for _, part := range parts {
		if part.broker != nil {
			part.broker.Close()
		}
		if part.db != nil {
			part.db.Close()
		}
	}
}

// readyLimit is how long a scrape waits for the answer to whether a service is ready.
const readyLimit = time.Second

// showReady tells by a metric whether a service can do its work. What else is measured of it may be old news while it cannot.
func (p *process) showReady(name string, runtime *flow.Service) {
	p.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "orderflow_ready", ConstLabels: prometheus.Labels{"service": name},
		Help: "Whether the service can do its work: it has started, and has RabbitMQ and Postgres. 1 or 0.",
	}, func() float64 {
		ctx, stop := context.WithTimeout(context.Background(), readyLimit)
		defer stop()
		if runtime.Ready(ctx) != nil {
			return 0
		}
		return 1
	}))
}

// ready reports what keeps any of the services from working.
func ready(ctx context.Context, parts []*part) error {
	var errs []error
	for _, part := range parts {
		errs = append(errs, part.runtime.Ready(ctx))
	}
	return errors.Join(errs...)
}
