package access

import (
	"bytes"
	"context"
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"orderflow/pkg/httpapi"
)

// Config says who may call.
type Config struct {
	KeysFile string  // "": no keys
	Issuer   *Issuer // nil: no tokens
	Rate     Rate    // of callers for whom the file has none
	Refusals *prometheus.CounterVec
	Log      *slog.Logger
}

// Access knows who may call.
type Access struct {
	cfg    Config
	text   []byte // of the keys file, as it is used
	seen   []byte // of the keys file, at the last look
	broken string // why the file that is there now is not used; "" if it is
	keys   atomic.Pointer[map[hash]*key]
	issuer *issuer
	limits limits
}

// caller is a caller with its limit, if it has one.
type caller struct {
	httpapi.Caller
	limit *limit
}

// Open reads the keys and, if it answers, those of the issuer.
func Open(ctx context.Context, cfg Config) (*Access, error) {
	a := &Access{cfg: cfg, limits: limits{rate: cfg.Rate, known: map[string]*limit{}}}
	a.keys.Store(&map[hash]*key{})
	if cfg.KeysFile != "" {
		text, err := readFile(cfg.KeysFile)
		if err == nil {
			err = a.takeOver(text)
		}
		if err != nil {
			return nil, err
		}
		a.tellKeys("callers are let in by their API keys", time.Now())
	}
	if cfg.Issuer != nil {
		var err error
		if a.issuer, err = openIssuer(ctx, *cfg.Issuer, cfg.Log); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// CheckKeys reports what is wrong with a file of keys.
func CheckKeys(file string) error {
	text, err := readFile(file)
	if err == nil {
		_, err = readKeys(file, text)
	}
	return err
}

// lookEvery is how often files are looked at. A change of the keys counts at the second look.
const lookEvery = time.Second

// Run takes over what changes in the files and at the issuer, until ctx ends.
func (a *Access) Run(ctx context.Context) {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	if a.issuer != nil {
		defer a.issuer.client.CloseIdleConnections()
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		a.look(ctx)
	}
}

func (a *Access) look(ctx context.Context) {
	if a.cfg.KeysFile != "" {
		a.lookAtKeys()
	}
	if a.issuer != nil {
		a.issuer.renew(ctx)
	}
}

// lookAtKeys takes over the file when two looks in a row have found the same there: else it may be one that is just being written, whose
// last keys are not there yet.
func (a *Access) lookAtKeys() {
	text, err := readFile(a.cfg.KeysFile)
	settled := err != nil || bytes.Equal(text, a.seen)
	if a.seen = text; !settled {
		return
	}
	if err == nil {
		err = a.takeOver(text)
	}
	a.tell(err)
}

// tell logs that the file is broken when it becomes so, and not every time that it is looked at.
func (a *Access) tell(err error) {
	said := ""
	if err != nil {
		said = err.Error()
	}
	if said != "" && said != a.broken {
		a.cfg.Log.Error("the new keys are not used, and the old ones go on being used: no key is revoked", "error", err)
	}
	a.broken = said
}

// takeOver takes over the keys of the file, if they are not those that are known. The counts of callers go on.
func (a *Access) takeOver(text []byte) error {
	if a.text != nil && bytes.Equal(text, a.text) {
		return nil
	}
	list, err := readKeys(a.cfg.KeysFile, text)
	if err != nil {
		return err
	}
	counted := map[string]*limit{}
	for _, k := range *a.keys.Load() {
		counted[k.Name] = k.limit
	}
	keys := make(map[hash]*key, len(list))
	for _, k := range list {
		if k.limit == nil && a.cfg.Rate.PerSecond > 0 {
			k.limit = newLimit(a.cfg.Rate)
		}
		if old := counted[k.Name]; old != nil && k.limit != nil && old.rate == k.limit.rate {
			k.limit = old
		}
		keys[k.hash] = k
	}
	a.keys.Store(&keys)
	if a.text != nil {
		a.tellKeys("the keys have changed", time.Now())
	}
	a.text = text
	return nil
}

// tellKeys logs how many keys there are, and warns if none of them lets anybody in.
func (a *Access) tellKeys(what string, now time.Time) {
	keys, expired := *a.keys.Load(), 0
	for _, k := range keys {
		if k.expired(now) {
			expired++
		}
	}
	log := a.cfg.Log.With("file", a.cfg.KeysFile, "keys", len(keys), "expired", expired)
	switch {
	case expired < len(keys):
		log.Info(what)
	case a.cfg.Issuer != nil:
		log.Warn("no API key is good: only tokens of the issuer let anybody in")
	default:
		log.Warn("no API key is good: nobody gets in; orderflow key new makes keys")
	}
}

func readKeys(name string, text []byte) ([]*key, error) {
	keys, err := parseKeys(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return keys, nil
}

// maxFile is the largest file that is read, in bytes.
const maxFile = 4 << 20

func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = fmt.Errorf("%s: is larger than %d bytes", name, maxFile)
	}
	return text, err
}

// identify tells whose token it is.
func (a *Access) identify(ctx context.Context, token string, now time.Time) (*caller, error) {
	if strings.HasPrefix(token, keyPrefix) {
		return a.ownerOf(token, now)
	}
	if a.issuer == nil {
		return nil, refuse("it is no API key of orderflow, and tokens of an issuer are not taken here")
	}
	owner, err := a.issuer.ownerOf(ctx, token, now)
	if err != nil {
		return nil, err
	}
	return &caller{Caller: *owner, limit: a.limits.of(owner.Name, now)}, nil
}

// ownerOf finds the owner of an API key.
func (a *Access) ownerOf(text string, now time.Time) (*caller, error) {
	sum := hashOf(text)
	k := (*a.keys.Load())[sum]
	if k == nil || subtle.ConstantTimeCompare(k.hash[:], sum[:]) != 1 {
		return nil, refuse("there is no such API key; it may have been revoked")
	}
	if !k.expires.IsZero() && !now.Before(k.expires) {
		return nil, refuse("the API key has expired")
	}
	return k.caller, nil
}
