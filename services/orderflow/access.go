package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"strings"

	"orderflow/pkg/access"
	"orderflow/pkg/httpapi"
)

// maxRate is the highest RATE_LIMIT and RATE_BURST, in requests.
const maxRate = 1_000_000

// issuer is the OIDC issuer that is configured; nil where there is none.
func (c *config) issuer() *access.Issuer {
	if c.Issuer == "" {
		return nil
	}
	return &access.Issuer{URL: c.Issuer, Audience: c.Audience, JWKS: c.JWKS, CustomersClaim: c.CustomersClaim}
}

// tellsApart tells whether callers are told apart.
func (c *config) tellsApart() bool { return c.KeysFile != "" || c.Issuer != "" }

// checkAccess reports settings of access that are wrong in themselves.
func (c *config) checkAccess() (wrong []error) {
	add := func(bad bool, variable, why string) {
		if bad {
			wrong = append(wrong, fmt.Errorf("%s: %s", variable, why))
		}
	}
	for _, only := range []struct{ variable, value string }{
		{"OIDC_AUDIENCE", c.Audience}, {"OIDC_JWKS", c.JWKS}, {"OIDC_CUSTOMERS_CLAIM", c.CustomersClaim},
	} {
		add(c.Issuer == "" && only.value != "", only.variable, "is of no use without OIDC_ISSUER")
	}
	if issuer := c.issuer(); issuer != nil {
		add(c.Audience == "", "OIDC_AUDIENCE", "is missing: say which audience (aud) tokens must be for, or those for other systems would count here")
		atIssuer, atKeys := issuer.Check()
		add(atIssuer != nil, "OIDC_ISSUER", fmt.Sprint(atIssuer))
		add(atKeys != nil, "OIDC_JWKS", fmt.Sprint(atKeys))
	}
	add(c.tellsApart() && c.OpenToAnybody, "OPEN_TO_ANYBODY", "contradicts ACCESS_KEYS_FILE and OIDC_ISSUER: leave out either it or them")
	add(c.RateLimit < 0 || c.RateLimit > maxRate || math.IsNaN(c.RateLimit), "RATE_LIMIT", fmt.Sprintf("must be from 0, any number, to %d requests a second, is %v", maxRate, c.RateLimit))
	add(c.RateBurst < 0 || c.RateBurst > maxRate, "RATE_BURST", fmt.Sprintf("must be from 0, those of one second, to %d requests, is %d", maxRate, c.RateBurst))
	add(c.RateBurst > 0 && c.RateLimit == 0, "RATE_BURST", "is of no use without RATE_LIMIT")
	add(c.RateLimit > 0 && !c.tellsApart(), "RATE_LIMIT", "is for each caller: it needs ACCESS_KEYS_FILE or OIDC_ISSUER, by which callers are told apart")
	return wrong
}

// checkServe reports what keeps a program from serving: an address that lets anybody do everything from other machines, though nobody has
// said so, and files that cannot be read.
func (c *config) checkServe() (wrong []error) {
	if c.unsaid() {
		wrong = append(wrong, fmt.Errorf("HTTP_ADDR: other machines reach %s, and callers are not told apart: set ACCESS_KEYS_FILE (orderflow key new makes keys) or OIDC_ISSUER, "+
			"or listen on 127.0.0.1; if whoever reaches the address may do everything, say so by OPEN_TO_ANYBODY=true", c.HTTPAddr))
	}
	if c.DebugAddr != "" && !c.OpenToAnybody && !isLoopback(c.DebugAddr) {
		wrong = append(wrong, fmt.Errorf("DEBUG_ADDR: other machines reach %s, and profiles are for whoever asks: listen on 127.0.0.1", c.DebugAddr))
	}
	if c.KeysFile != "" {
		if err := access.CheckKeys(c.KeysFile); err != nil {
			wrong = append(wrong, fmt.Errorf("ACCESS_KEYS_FILE: %w", err))
		}
	}
	if issuer := c.issuer(); issuer != nil {
		if err := issuer.CheckKeys(); err != nil {
			wrong = append(wrong, fmt.Errorf("OIDC_JWKS: %w", err))
		}
	}
	return wrong
}

// checkEdge refuses keys for the program that passes them on: they would look as if they were checked.
func (c *config) checkEdge() []error {
	if c.tellsApart() {
		return []error{errors.New("ACCESS_KEYS_FILE, OIDC_ISSUER: edge passes Authorization on and checks nothing itself: set them for the services, and here OPEN_TO_ANYBODY=true")}
	}
	if c.unsaid() {
		return []error{fmt.Errorf("HTTP_ADDR: other machines reach %s, and edge checks nothing itself: see to it that the services tell callers apart, and say OPEN_TO_ANYBODY=true here; "+
			"or listen on 127.0.0.1", c.HTTPAddr)}
	}
	return nil
}

// unsaid tells whether other machines reach the address, and nobody has said whom to let in.
func (c *config) unsaid() bool { return !c.tellsApart() && !c.OpenToAnybody && !isLoopback(c.HTTPAddr) }

// isLoopback tells whether an address is reached from this machine only. One that cannot be resolved is not.
func isLoopback(address string) bool {
	at, err := net.ResolveTCPAddr("tcp", address)
	return err == nil && at.IP.IsLoopback()
}

// maskSource is maskURL for what may also be the name of a file.
func maskSource(s string) string {
	if strings.Contains(s, "://") {
		return maskURL(s)
	}
	return s
}

// openGuard is the guard where callers are not told apart.
func (c *config) openGuard() httpapi.Guard {
	if c.OpenToAnybody {
		return httpapi.Open
	}
	return httpapi.ThisMachine
}

// openAccess makes the guard of all routes. What it returns beside it, if anything, has to be run.
func (p *process) openAccess(ctx context.Context) (*access.Access, error) {
	p.guard = p.cfg.openGuard()
	if p.cfg.OpenToAnybody {
		p.log.Warn("whoever reaches the address may do everything: OPEN_TO_ANYBODY", "address", p.cfg.HTTPAddr)
	} else if !p.cfg.tellsApart() {
		p.log.Info("callers are not told apart, so only this machine is listened to; ACCESS_KEYS_FILE or OIDC_ISSUER changes that", "address", p.cfg.HTTPAddr)
	}
	refusals := httpapi.NewRefusals(p.registry)
	var known *access.Access
	if p.cfg.tellsApart() {
		var err error
		known, err = access.Open(ctx, access.Config{
			KeysFile: p.cfg.KeysFile, Issuer: p.cfg.issuer(), Rate: access.Rate{PerSecond: p.cfg.RateLimit, Burst: p.cfg.RateBurst},
			Refusals: refusals, Log: p.log,
		})
		if err != nil {
			return nil, usagef("configuration: %w", err)
		}
		p.guard = known.Guard
	}
	p.guard = httpapi.NewSlots(p.cfg.MaxRequests, p.cfg.MaxWaitingRequests, refusals).Before(p.guard)
	return known, nil
}
