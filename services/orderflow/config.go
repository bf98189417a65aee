package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"

	"orderflow/pkg/broker"
	"orderflow/pkg/postgres"
	"orderflow/pkg/telemetry"
)

// config is everything that can be set, from the environment.
type config struct {
	AMQPURLs      []string    `env:"AMQP_URL" envDefault:"amqp://guest:guest@127.0.0.1:5672/" envSeparator:","`
	ManagementURL string      `env:"RABBITMQ_MANAGEMENT_URL"`
	DatabaseURL   string      `env:"DATABASE_URL" envDefault:"postgres://postgres@127.0.0.1:5432/orderflow"`
	HTTPAddr      string      `env:"HTTP_ADDR" envDefault:"127.0.0.1:8080"`
	DebugAddr     string      `env:"DEBUG_ADDR"` // empty: none
	RetryDelays   retryDelays `env:"RETRY_DELAYS" envDefault:"1s,10s,60s,300s"`

	GatewayURL     string        `env:"GATEWAY_URL"` // empty: the built-in simulator
	GatewayTimeout time.Duration `env:"GATEWAY_TIMEOUT" envDefault:"5s"`
	GatewayCalls   int           `env:"GATEWAY_CALLS" envDefault:"512"` // under way at a time
	CarrierURL     string        `env:"CARRIER_URL"`                    // empty: the built-in simulator
	CarrierTimeout time.Duration `env:"CARRIER_TIMEOUT" envDefault:"5s"`
	CarrierCalls   int           `env:"CARRIER_CALLS" envDefault:"512"`

	KeysFile           string  `env:"ACCESS_KEYS_FILE"`
	Issuer             string  `env:"OIDC_ISSUER"`
	Audience           string  `env:"OIDC_AUDIENCE"`
	JWKS               string  `env:"OIDC_JWKS"`
	CustomersClaim     string  `env:"OIDC_CUSTOMERS_CLAIM"`
	OpenToAnybody      bool    `env:"OPEN_TO_ANYBODY"`
	RateLimit          float64 `env:"RATE_LIMIT" envDefault:"0"` // requests a second of each caller; 0: any number
	RateBurst          int     `env:"RATE_BURST" envDefault:"0"` // 0: those of one second
	MaxRequests        int     `env:"MAX_REQUESTS" envDefault:"1024"`
	MaxWaitingRequests int     `env:"MAX_WAITING" envDefault:"20000"`

	StartTimeout  time.Duration `env:"START_TIMEOUT" envDefault:"30s"`     // how long to wait for servers that are not there yet
	StopTimeout   time.Duration `env:"STOP_TIMEOUT" envDefault:"20s"`      // how long to finish what is in hand
	DBMaxConns    int32         `env:"DB_MAX_CONNS" envDefault:"12"`       // for each service
	MaxOpenOrders int           `env:"MAX_OPEN_ORDERS" envDefault:"10000"` // 0: any number

	OrderDeadline  time.Duration `env:"ORDER_DEADLINE" envDefault:"10m"`   // older orders that have not ended are overdue
	InboxRetention time.Duration `env:"INBOX_RETENTION" envDefault:"336h"` // how long handled events are remembered

	TracesTo   string  `env:"OTEL_EXPORTER_OTLP_ENDPOINT"` // empty: there are no traces
	Sampler    string  `env:"OTEL_TRACES_SAMPLER" envDefault:"parentbased_always_on"`
	SamplerArg float64 `env:"OTEL_TRACES_SAMPLER_ARG" envDefault:"1"`
	TracesBy   string  `env:"OTEL_EXPORTER_OTLP_PROTOCOL" envDefault:"http/protobuf"`

	LogLevel  slog.Level `env:"LOG_LEVEL" envDefault:"info"`
	LogFormat string     `env:"LOG_FORMAT" envDefault:"text"`
}

// retryDelays is a list of durations, or "none".
type retryDelays []time.Duration

// UnmarshalText reads "1s,10s".
func (d *retryDelays) UnmarshalText(text []byte) error {
	*d = retryDelays{}
	if string(text) == "none" {
		return nil
	}
	for one := range strings.SplitSeq(string(text), ",") {
		delay, err := time.ParseDuration(strings.TrimSpace(one))
		if err != nil {
			return err
		}
		*d = append(*d, delay)
	}
	return nil
}

// loadConfig reads and checks the environment, before anything is dialled. What is wrong is told together, each by its variable.
// further are checks that only some commands ask for.
func loadConfig(further ...func(*config) []error) (config, error) {
	cfg, err := env.ParseAs[config]()
	wrong := unread(err)
	found := cfg.validate()
	for _, check := range further {
		found = append(found, check(&cfg)...)
	}
	for _, err := range found {
		variable, _, _ := strings.Cut(err.Error(), ":")
		if !slices.ContainsFunc(wrong, func(e error) bool { return strings.HasPrefix(e.Error(), variable+":") }) {
			wrong = append(wrong, err)
		}
	}
	if len(wrong) > 0 {
		return cfg, usagef("configuration: %w", errors.Join(wrong...))
	}
	return cfg, nil
}

// unread says of values that cannot be read which variables they are of; the library knows the fields of config only.
func unread(err error) []error {
	var all env.AggregateError
	if !errors.As(err, &all) {
		return slices.DeleteFunc([]error{err}, func(e error) bool { return e == nil })
	}
	errs := make([]error, len(all.Errors))
	for i, one := range all.Errors {
		errs[i] = one
		var parse env.ParseError
		if errors.As(one, &parse) {
			field, _ := reflect.TypeFor[config]().FieldByName(parse.Name)
			errs[i] = fmt.Errorf("%s: %w", field.Tag.Get("env"), parse.Err)
		}
	}
	return errs
}

// validate reports what is wrong. Each error begins with its variable.
func (c *config) validate() (wrong []error) {
	check := func(err error) {
		if err != nil {
			wrong = append(wrong, err)
		}
	}
	check(broker.Check(c.AMQPURLs))
	check(postgres.Check(c.DatabaseURL))
	check(checkAddress("HTTP_ADDR", c.HTTPAddr))
	if c.DebugAddr != "" {
		check(checkAddress("DEBUG_ADDR", c.DebugAddr))
	}
	check(c.RetryDelays.check())
	check(c.checkRetention())
	for _, system := range []struct{ variable, value string }{
		{"RABBITMQ_MANAGEMENT_URL", c.ManagementURL}, {"GATEWAY_URL", c.GatewayURL}, {"CARRIER_URL", c.CarrierURL},
		{"OTEL_EXPORTER_OTLP_ENDPOINT", c.TracesTo},
	} {
		u, err := url.Parse(system.value)
		if system.value != "" && (err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "") {
			check(fmt.Errorf("%s: not a URL such as https://host.example", system.variable))
		}
	}
	for _, timeout := range []struct {
		variable string
		value    time.Duration
	}{
		{"GATEWAY_TIMEOUT", c.GatewayTimeout}, {"CARRIER_TIMEOUT", c.CarrierTimeout},
		{"START_TIMEOUT", c.StartTimeout}, {"STOP_TIMEOUT", c.StopTimeout}, {"ORDER_DEADLINE", c.OrderDeadline},
	} {
		if timeout.value <= 0 {
			check(fmt.Errorf("%s: must be more than 0, is %s", timeout.variable, timeout.value))
		}
	}
	for _, number := range []struct {
		variable string
		value    int
	}{{"GATEWAY_CALLS", c.GatewayCalls}, {"CARRIER_CALLS", c.CarrierCalls}, {"DB_MAX_CONNS", int(c.DBMaxConns)}} {
		if number.value < 1 {
			check(fmt.Errorf("%s: must be at least 1, is %d", number.variable, number.value))
		}
	}
	for _, number := range []struct {
		variable string
		value    int
	}{{"MAX_OPEN_ORDERS", c.MaxOpenOrders}, {"MAX_REQUESTS", c.MaxRequests}, {"MAX_WAITING", c.MaxWaitingRequests}} {
		if number.value < 0 {
			check(fmt.Errorf("%s: must not be negative, is %d; 0 is any number", number.variable, number.value))
		}
	}
	wrong = append(wrong, c.checkAccess()...)
	wrong = append(wrong, c.checkTraces()...)
	if c.LogFormat != "text" && c.LogFormat != "json" {
		check(fmt.Errorf("LOG_FORMAT: %q is neither text nor json", c.LogFormat))
	}
	return wrong
}

func checkAddress(variable, address string) error {
	_, port, err := net.SplitHostPort(address)
	if err == nil {
		_, err = net.LookupPort("tcp", port)
	}
	if err != nil {
		return fmt.Errorf("%s: %w; it looks like 127.0.0.1:8080", variable, err)
	}
	return nil
}

func (d retryDelays) check() error {
	if text, set := os.LookupEnv("RETRY_DELAYS"); set && text == "" {
		return errors.New(`RETRY_DELAYS: is empty; say "none" if a message that failed is to be dead-lettered at once`)
	}
	for _, delay := range d {
		if delay < time.Millisecond || delay > 24*time.Hour {
			return fmt.Errorf("RETRY_DELAYS: %s is not between 1ms and 24h", delay)
		}
	}
	return nil
}

const (
	leastRetention = 24 * time.Hour
	mostRetention  = 366 * 24 * time.Hour // there is a partition for each day
)

// checkRetention also sees to it that an event is not forgotten before its last attempt.
func (c *config) checkRetention() error {
	if c.InboxRetention < leastRetention || c.InboxRetention > mostRetention {
		return fmt.Errorf("INBOX_RETENTION: %s is not between %s and %s", c.InboxRetention, leastRetention, mostRetention)
	}
	var together time.Duration
	for _, delay := range c.RetryDelays {
		together += delay
	}
	if c.InboxRetention <= together {
		return fmt.Errorf("INBOX_RETENTION: %s is not longer than RETRY_DELAYS together, %s", c.InboxRetention, together)
	}
	return nil
}

// checkTraces reports what is wrong with OpenTelemetry's settings, where there are traces at all.
func (c *config) checkTraces() (wrong []error) {
	if c.TracesTo == "" {
		return nil
	}
	if strings.HasSuffix(strings.TrimSuffix(c.TracesTo, "/"), "/v1/traces") {
		wrong = append(wrong, errors.New("OTEL_EXPORTER_OTLP_ENDPOINT: is the receiver's address without /v1/traces, which is added"))
	}
	if !slices.Contains(telemetry.Samplers, c.Sampler) {
		wrong = append(wrong, fmt.Errorf("OTEL_TRACES_SAMPLER: %q is none of %s", c.Sampler, strings.Join(telemetry.Samplers, ", ")))
	}
	if !(c.SamplerArg >= 0 && c.SamplerArg <= 1) {
		wrong = append(wrong, fmt.Errorf("OTEL_TRACES_SAMPLER_ARG: must be from 0 to 1, is %g", c.SamplerArg))
	}
	if c.TracesBy != "http/protobuf" {
		wrong = append(wrong, fmt.Errorf("OTEL_EXPORTER_OTLP_PROTOCOL: %q is not supported, only http/protobuf; receivers listen for that on port 4318", c.TracesBy))
	}
	return wrong
}

// tracing is where spans go.
func (c *config) tracing(log *slog.Logger) telemetry.TraceConfig {
	return telemetry.TraceConfig{Endpoint: strings.TrimSuffix(c.TracesTo, "/"), Sampler: c.Sampler, SamplerArg: c.SamplerArg, Version: version, Log: log}
}

// masked lists the settings without their secrets, for the log.
func (c config) masked() slog.Attr {
	urls := make([]string, len(c.AMQPURLs))
	for i, u := range c.AMQPURLs {
		urls[i] = maskURL(u)
	}
	return slog.Group("config",
		"AMQP_URL", strings.Join(urls, ","), "DATABASE_URL", maskURL(c.DatabaseURL), "HTTP_ADDR", c.HTTPAddr, "DEBUG_ADDR", c.DebugAddr,
		"ACCESS_KEYS_FILE", c.KeysFile, "OIDC_ISSUER", maskURL(c.Issuer), "OIDC_AUDIENCE", c.Audience, "OIDC_JWKS", maskSource(c.JWKS),
		"OIDC_CUSTOMERS_CLAIM", c.CustomersClaim, "OPEN_TO_ANYBODY", c.OpenToAnybody, "RATE_LIMIT", c.RateLimit,
		"RETRY_DELAYS", fmt.Sprint(c.RetryDelays), "INBOX_RETENTION", c.InboxRetention.String(),
		"ORDER_DEADLINE", c.OrderDeadline.String(), "GATEWAY_URL", maskURL(c.GatewayURL), "CARRIER_URL", maskURL(c.CarrierURL),
		"OTEL_EXPORTER_OTLP_ENDPOINT", maskURL(c.TracesTo), "OTEL_TRACES_SAMPLER", c.Sampler, "OTEL_TRACES_SAMPLER_ARG", c.SamplerArg)
}

func maskURL(s string) string {
	u, err := url.Parse(s)
	if err != nil || s != "" && u.Host == "" {
		return "(set, and not a URL)"
	}
	u.RawQuery = "" // may have a password, too
	return u.Redacted()
}
