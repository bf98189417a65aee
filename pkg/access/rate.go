package access

import (
	"cmp"
	"fmt"
	"math"
	"net/http"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Rate is how many requests a caller may send.
type Rate struct {
	PerSecond float64 // 0: any number
	Burst     int     // at once, after a pause; 0: those of one second
}

// limit counts the requests of one caller, in this process.
type limit struct {
	rate   Rate
	bucket *rate.Limiter
	policy string // for the header RateLimit-Policy
}

func newLimit(r Rate) *limit {
	burst := cmp.Or(r.Burst, max(1, int(math.Ceil(r.PerSecond))))
	window := max(1, int(math.Ceil(float64(burst)/r.PerSecond)))
	return &limit{
		rate: r, bucket: rate.NewLimiter(rate.Limit(r.PerSecond), burst), policy: fmt.Sprintf(`"default";q=%d;w=%d`, burst, window),
	}
}

// take counts a request, and writes the headers of draft-ietf-httpapi-ratelimit-headers-10: the quota is what may come at once, its window
// the time in which all of it comes back. It returns 0, or after how many seconds the request would be let through.
func (l *limit) take(h http.Header, now time.Time) (after int) {
	allowed := l.bucket.AllowN(now, 1)
	left := l.bucket.TokensAt(now)
	h.Set("RateLimit-Policy", l.policy)
	h.Set("RateLimit", fmt.Sprintf(`"default";r=%d;t=%d`, max(0, int(left)), l.seconds(float64(l.bucket.Burst())-left)))
	if allowed {
		return 0
	}
	return max(1, l.seconds(1-left))
}

// seconds is the time in which so many requests come back.
func (l *limit) seconds(requests float64) int { return int(math.Ceil(requests / l.rate.PerSecond)) }

// full tells whether the caller has not been seen for so long that it is as if it never was.
func (l *limit) full(now time.Time) bool { return l.bucket.TokensAt(now) >= float64(l.bucket.Burst()) }

// maxLimits is how many owners of tokens are remembered. It is far more than send requests in the time in which a quota comes back; the
// memory is some 3 MB.
const maxLimits = 10_000

// limits are those of the owners of tokens, of whom nobody has a list.
type limits struct {
	rate  Rate
	mu    sync.Mutex
	known map[string]*limit
	swept time.Time
}

// of returns the limit of a caller; nil where there is none.
func (l *limits) of(name string, now time.Time) *limit {
	if l.rate.PerSecond == 0 {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	one := l.known[name]
	if one == nil {
		if len(l.known) >= maxLimits {
			l.makeRoom(now)
		}
		one = newLimit(l.rate)
		l.known[name] = one
	}
	return one
}

// makeRoom forgets those whose limit is as good as a new one, though not more often than once a second: it looks at all of them. If there
// are none, one is forgotten who happens to be the first.
func (l *limits) makeRoom(now time.Time) {
	if now.Sub(l.swept) >= time.Second {
		l.swept = now
		for name, one := range l.known {
			if one.full(now) {
				delete(l.known, name)
			}
		}
	}
	for name := range l.known {
		if len(l.known) < maxLimits {
			return
		}
		delete(l.known, name)
	}
}
