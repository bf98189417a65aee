package order

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"orderflow/pkg/httpapi"
)

const eventStream = "text/event-stream"

// The patience of streams. A client that was cut off, or let go, comes back with its cursor.
const (
	heartbeatEvery = 15 * time.Second // so that a silent stream is not taken for a dead one
	writeLimit     = 10 * time.Second
	quietAfterEnd  = 5 * time.Second  // when an order has ended, some of its events may still be on their way
	longestStream  = 15 * time.Minute // then the client comes again, and shows again that it may
)

// streamEvents answers GET /v1/orders/{id}/events with server-sent events: those that the client lacks, and then those that happen.
func (a api) streamEvents(c echo.Context, id uuid.UUID) error {
	r := c.Request()
	read, err := timelines(r.Context(), a.db, []uuid.UUID{id})
	if err != nil {
		return err
	}
	timeline := read[id]
	if len(timeline) == 0 { // every order has at least the event of its placing
		return noOrder(id)
	}
	given := r.Header.Get("Last-Event-ID")
	has, ok := parseCursor(given, timeline)
	if !ok {
		return httpapi.NewProblem(http.StatusBadRequest,
			"Last-Event-ID must be the id of an event in this order's stream, is %.100q; without it the stream begins at the start", given)
	}
	if left, ended := quiet(timeline); given != "" && ended && left <= 0 && has.hasAll(timeline) {
		return c.NoContent(http.StatusNoContent) // which tells an EventSource not to come again
	}
	stop, err := httpapi.Linger(c, 0)
	if err != nil {
		return err
	}
	defer stop()
	w := a.live.watch(id, true)
	defer w.close()
	header := c.Response().Header()
	header.Set(echo.HeaderContentType, eventStream)
	header.Set(echo.HeaderCacheControl, "no-store")
	header.Set("X-Accel-Buffering", "no") // a proxy that heeds it passes events on as they come
	c.Response().WriteHeader(http.StatusOK)
	s := &stream{
		out: c.Response(), control: http.NewResponseController(c.Response()), limit: writeLimit, has: has,
		allowed: func() bool { return httpapi.Unchanged(c) },
	}
	err = s.follow(c.Request().Context(), w, timeline)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		a.live.metrics.cut.Inc()
	}
	return nil // there is nothing more to be said
}

// over tells whether a timeline's order has ended.
func over(timeline []moment) bool { return slices.ContainsFunc(timeline, moment.ends) }

// stream is a timeline on its way to one client.
type stream struct {
	out     http.ResponseWriter
	control *http.ResponseController
	limit   time.Duration // for the client to take what is sent
	has     cursor        // what the client has
	allowed func() bool   // tells whether the client may still listen
}

// follow sends what the client lacks of a timeline, and then what comes, until the order has ended, the client has gone or the server stops.
func (s *stream) follow(ctx context.Context, w *watcher, timeline []moment) error {
	defer func() { s.control.SetWriteDeadline(time.Now().Add(s.limit)) }() // for the end of the answer
	heartbeat, enough := time.NewTicker(heartbeatEvery), time.NewTimer(longestStream-rand.N(longestStream/5))
	defer heartbeat.Stop()
	defer enough.Stop()
	for s.allowed() {
		now, changed := w.known()
		if len(now) > len(timeline) {
			timeline = now
		}
		if err := s.sendLacking(timeline); err != nil {
			return err
		}
		var nothingMore <-chan time.Time
		if left, ended := quiet(timeline); ended {
			nothingMore = time.After(left)
		}
		select {
		case <-changed:
		case <-heartbeat.C:
			if err := s.send([]byte(": heartbeat\n\n")); err != nil {
				return err
			}
		case <-nothingMore:
			return nil
		case <-enough.C:
			return nil
		case <-httpapi.Stopping(ctx).Done():
			return nil
		case <-ctx.Done():
			return nil
		}
	}
	return nil
}

// quiet tells whether the order has ended, and for how long more events are still expected if none comes.
func quiet(timeline []moment) (left time.Duration, ended bool) {
	if !over(timeline) {
		return 0, false
	}
	return min(quietAfterEnd-time.Since(timeline[len(timeline)-1].SeenAt), quietAfterEnd), true // the database has another clock
}

// sendLacking sends the events of a timeline that the client does not have; where it has all, the answer's header.
func (s *stream) sendLacking(timeline []moment) error {
	var frames []byte
	for _, m := range timeline {
		if s.has.has(m.ID) {
			continue
		}
		data, err := json.Marshal(m)
		if err != nil {
			return err
		}
		s.has = s.has.with(m.ID)
		frames = fmt.Appendf(frames, "id: %s\nevent: %s\ndata: %s\n\n", s.has, m.Type, data)
	}
	return s.send(frames)
}

// send has the client take something. One that does not within the limit is not waited for.
func (s *stream) send(frames []byte) error {
	if err := s.control.SetWriteDeadline(time.Now().Add(s.limit)); err != nil {
		return err
	}
	if _, err := s.out.Write(frames); err != nil {
		return err
	}
	if err := s.control.Flush(); err != nil {
		return err
	}
	return s.control.SetWriteDeadline(time.Time{})
}
