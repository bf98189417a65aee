package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"reflect"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"
)

// config is everything that can be set, from the environment.
type config struct {
	AMQPURLs      []string        `env:"AMQP_URL" envDefault:"amqp://guest:guest@127.0.0.1:5672/" envSeparator:","`
	ManagementURL string          `env:"RABBITMQ_MANAGEMENT_URL"`
	DatabaseURL   string          `env:"DATABASE_URL" envDefault:"postgres://postgres@127.0.0.1:5432/orderflow"`
	HTTPAddr      string          `env:"HTTP_ADDR" envDefault:"127.0.0.1:8080"`
	RetryDelays   []time.Duration `env:"RETRY_DELAYS" envDefault:"1s,10s,60s,300s"`

	GatewayURL     string        `env:"GATEWAY_URL"` // empty: the built-in simulator
	GatewayTimeout time.Duration `env:"GATEWAY_TIMEOUT" envDefault:"5s"`
	CarrierURL     string        `env:"CARRIER_URL"` // empty: the built-in simulator
	CarrierTimeout time.Duration `env:"CARRIER_TIMEOUT" envDefault:"5s"`

	StartTimeout time.Duration `env:"START_TIMEOUT" envDefault:"30s"` // how long to wait for servers that are not there yet
	StopTimeout  time.Duration `env:"STOP_TIMEOUT" envDefault:"20s"`  // how long to finish what is in hand
	DBMaxConns   int32         `env:"DB_MAX_CONNS" envDefault:"12"`   // for each service
	LogLevel     slog.Level    `env:"LOG_LEVEL" envDefault:"info"`
	LogFormat    string        `env:"LOG_FORMAT" envDefault:"text"`
}

// loadConfig reads and checks the environment, before anything is dialled.
func loadConfig() (config, error) {
	cfg, err := env.ParseAs[config]()
	if err == nil {
		err = cfg.validate()
	} else {
		err = byVariable(err)
	}
	if err != nil {
		return cfg, usagef("configuration: %w", err)
	}
	return cfg, nil
}

// byVariable says of values that cannot be read which variables they are of; the library knows the fields of config only.
func byVariable(err error) error {
	var all env.AggregateError
	if !errors.As(err, &all) {
		return err
	}
	errs := make([]error, len(all.Errors))
	for i, one := range all.Errors {
		errs[i] = one
		var unread env.ParseError
		if errors.As(one, &unread) {
			field, _ := reflect.TypeFor[config]().FieldByName(unread.Name)
			errs[i] = fmt.Errorf("%s: %w", field.Tag.Get("env"), unread.Err)
		}
	}
	return errors.Join(errs...)
}

func (c *config) validate() error {
	var errs []error
	for _, delay := range c.RetryDelays {
		if delay < time.Millisecond || delay > 24*time.Hour {
			errs = append(errs, fmt.Errorf("RETRY_DELAYS: %s is not between 1ms and 24h", delay))
		}
	}
	if _, _, err := net.SplitHostPort(c.HTTPAddr); err != nil {
		errs = append(errs, fmt.Errorf("HTTP_ADDR: %w; it looks like 127.0.0.1:8080", err))
	}
	if c.LogFormat != "text" && c.LogFormat != "json" {
		errs = append(errs, fmt.Errorf("LOG_FORMAT: %q is neither text nor json", c.LogFormat))
	}
	for name, value := range map[string]time.Duration{
		"GATEWAY_TIMEOUT": c.GatewayTimeout, "CARRIER_TIMEOUT": c.CarrierTimeout, "START_TIMEOUT": c.StartTimeout,
		"STOP_TIMEOUT": c.StopTimeout,
	} {
		if value <= 0 {
			errs = append(errs, fmt.Errorf("%s: must be more than 0, is %s", name, value))
		}
	}
	if c.DBMaxConns < 1 {
		errs = append(errs, fmt.Errorf("DB_MAX_CONNS: must be at least 1, is %d", c.DBMaxConns))
	}
	for name, value := range map[string]string{"GATEWAY_URL": c.GatewayURL, "CARRIER_URL": c.CarrierURL} {
		if u, err := url.Parse(value); value != "" && (err != nil || u.Scheme == "" || u.Host == "") {
			errs = append(errs, fmt.Errorf("%s: not a URL such as https://gateway.example", name))
		}
	}
	return errors.Join(errs...)
}

// masked lists the settings without their secrets, for the log.
func (c config) masked() slog.Attr {
	urls := make([]string, len(c.AMQPURLs))
	for i, u := range c.AMQPURLs {
		urls[i] = maskURL(u)
	}
	return slog.Group("config",
		"AMQP_URL", strings.Join(urls, ","), "DATABASE_URL", maskURL(c.DatabaseURL), "HTTP_ADDR", c.HTTPAddr,
		"RETRY_DELAYS", fmt.Sprint(c.RetryDelays), "GATEWAY_URL", maskURL(c.GatewayURL), "CARRIER_URL", maskURL(c.CarrierURL))
}

func maskURL(s string) string {
	u, err := url.Parse(s)
	if err != nil || s != "" && u.Host == "" {
		return "(set, and not a URL)"
	}
	u.RawQuery = "" // may have a password, too
	return u.Redacted()
}
