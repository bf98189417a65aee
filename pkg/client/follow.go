package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"mime"
	"net/http"
	"time"

	"github.com/google/uuid"
)

// Follow goes through the events of an order as orderflow sees them: those that were there, and then each as it comes, until the order
// has ended and nothing more will come. A connection that is lost, or silent for too long, is made again, and the stream goes on where it
// was: no event is missing, and none comes twice. After an error there are no more events; who has kept the Cursor of the last one
// can go on later with [After].
//
// Events that overtook each other come in the order in which they were seen, which need not be the one in which they happened.
func (c *Client) Follow(ctx context.Context, orderID uuid.UUID, options ...CallOption) iter.Seq2[TimelineEvent, error] {
	return func(yield func(TimelineEvent, error) bool) {
		request := newRequest(http.MethodGet, timelinePath(orderID), options...)
		request.header.Set("Accept", "text/event-stream")
		f := &follower{client: c, request: request, cursor: request.header.Get(cursorHeader), pause: pauseOfStream}
		f.run(ctx, yield)
	}
}

// follower is one who follows an order.
type follower struct {
	client  *Client
	request *request
	cursor  string        // of the last event
	pause   time.Duration // before a connection is made again
	failed  int           // connections in a row that have brought nothing
	ended   bool          // the last event was the order's end
}

var (
	errOver   = errors.New("nothing more will come, or nobody listens")
	errSilent = errors.New("the stream is silent, its connection must be dead")
	errClosed = errors.New("the server has closed the stream")
)

// run connects until there is nothing more to come.
func (f *follower) run(ctx context.Context, yield func(TimelineEvent, error) bool) {
	for {
		f.failed++
		err := f.listen(ctx, yield)
		if errors.Is(err, errOver) {
			return
		}
		if !errors.Is(err, errClosed) || !f.ended { // what has ended is only asked whether that was all
			if !temporary(err) || f.failed >= f.client.attempts || !pauseFor(ctx, pauseAfter(err, f.pause, f.failed)) {
				yield(TimelineEvent{}, fmt.Errorf("follow %s: %w", f.request.path, ended(ctx, err)))
				return
			}
		}
		f.ended = false
	}
}

// listen connects once and hands on what comes. It returns why it came to an end.
func (f *follower) listen(ctx context.Context, yield func(TimelineEvent, error) bool) error {
	ctx, cut := context.WithCancelCause(ctx)
	defer cut(nil)
	silence := time.AfterFunc(f.client.silence, func() { cut(errSilent) })
	defer silence.Stop()
	stream, err := f.connect(ctx)
	if err != nil {
		return because(ctx, err)
	}
	defer stream.Close()
	messages := newMessages(stream, f.cursor, func() {
		silence.Reset(f.client.silence)
		f.failed = 0
	})
	for {
		silence.Reset(f.client.silence)
		m, err := messages.next()
		if err != nil {
			return because(ctx, err)
		}
		silence.Stop() // it is ours, not the server's, while the event is looked at
		if err := f.hand(m, yield); err != nil {
			return err
		}
	}
}

// because is the error of a stream, or what the stream was cut for.
func because(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if errors.Is(err, io.EOF) {
		return errClosed
	}
	return err
}

// connect asks for the stream.
func (f *follower) connect(ctx context.Context) (io.ReadCloser, error) {
	if f.cursor != "" {
		f.request.header.Set(cursorHeader, f.cursor)
	}
	response, err := f.client.send(ctx, f.request)
	if err != nil {
		return nil, err
	}
	kind, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	if response.StatusCode == http.StatusOK && kind == "text/event-stream" {
		return response.Body, nil
	}
	defer response.Body.Close()
	switch _, err := read(response); {
	case err != nil:
		return nil, err
	case response.StatusCode == http.StatusNoContent:
		return nil, errOver
	}
	return nil, fmt.Errorf("%w: a stream of events; it is %d, %q", errUnexpected, response.StatusCode, kind)
}

// hand hands an event on.
func (f *follower) hand(m message, yield func(TimelineEvent, error) bool) error {
	f.cursor = m.id
	if m.retry > 0 {
		f.pause = m.retry
	}
	if m.data == nil {
		return nil
	}
	var e TimelineEvent
	if err := json.Unmarshal(m.data, &e); err != nil {
		return fmt.Errorf("%w: an event: %w", errUnexpected, err)
	}
	e.Cursor, f.ended = m.id, e.Type.Ends()
	if !yield(e, nil) {
		return errOver
	}
	return nil
}
