package dlq

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"orderflow/pkg/broker"
)

// Imported says what became of the messages of a file.
type Imported struct {
	RunID    string         `json:"run_id"`
	Imported map[string]int `json:"imported"` // by dead-letter queue
	There    int            `json:"already_there"`
}

// Import puts messages, as a Store has them, into their dead-letter queues, or all of them into queue where that is not "". One that is there
// already, with the same id and body, is left out, so that what was interrupted can be run again.
func Import(ctx context.Context, b *broker.Broker, path, queue string, history *History) (Imported, error) {
	in := Imported{RunID: uuid.NewString(), Imported: map[string]int{}}
	queues, err := storedQueues(path, queue)
	if err != nil {
		return in, err
	}
	there := map[Planned]int{}
	for _, name := range queues {
		if _, err := Look(ctx, b, Source{Queue: name}, func(l Letter) error {
			there[identity(name, l.Message)]++
			return nil
		}); err != nil {
			return in, fmt.Errorf("look at %s: %w", name, err)
		}
	}
	publisher := b.NewPublisher()
	patient, stop := context.WithTimeout(ctx, connectLimit)
	defer stop()
	if err := publisher.Await(patient); err != nil {
		return in, err
	}
	i := importing{Imported: &in, publisher: publisher, history: history}
	err = ReadStore(path, func(s Stored) error {
		if queue != "" {
			s.DLQ = queue
		}
		if key := identity(s.DLQ, s.Message); there[key] > 0 {
			there[key]--
			in.There++
			return nil
		}
		i.batch = append(i.batch, s)
		if len(i.batch) < inFlight {
			return nil
		}
		return i.flush(ctx)
	})
	return in, errors.Join(err, i.flush(ctx))
}

func identity(queue string, m broker.Message) Planned {
	l := Read(m)
	return keyOf(queue, &l)
}

// storedQueues reads a file to its end before anything is done, so that one that is wrong somewhere is refused as a whole.
func storedQueues(path, queue string) (queues []string, err error) {
	err = ReadStore(path, func(s Stored) error {
		if queue != "" {
			s.DLQ = queue
		}
		if s.DLQ == "" {
			return errors.New("nothing tells which dead-letter queue it belongs to; name one by --queue")
		}
		if !slices.Contains(queues, s.DLQ) {
			queues = append(queues, s.DLQ)
		}
		return nil
	})
	return queues, err
}

type importing struct {
	*Imported
	publisher *broker.Publisher
	history   *History
	batch     []Stored
}

// flush publishes what has been gathered.
func (i *importing) flush(ctx context.Context) error {
	batch := i.batch
	i.batch = nil
	if err := ctx.Err(); err != nil || len(batch) == 0 {
		return err
	}
	begun, stop := context.WithTimeout(context.WithoutCancel(ctx), finishLimit)
	defer stop()
	messages := make([]broker.Message, len(batch))
	for n, s := range batch {
		messages[n] = s.Message
		messages[n].RoutingKey, messages[n].Mandatory = s.DLQ, true
	}
	var arrived []*held
	var failed error
	for n, err := range i.publisher.PublishAll(begun, messages) {
		if err != nil {
			failed = fmt.Errorf("message %s: %w", batch[n].Message.ID, err)
			continue
		}
		l := &held{Letter: Read(batch[n].Message), copy: messages[n], outcome: Outcome{Fate: imported, Target: batch[n].DLQ}, tally: &Tally{}}
		arrived = append(arrived, l)
		i.Imported.Imported[batch[n].DLQ]++
	}
	act := Action{Name: "import", Done: imported, Send: func(*Letter, string) (broker.Message, error) { return broker.Message{}, nil }}
	return errors.Join(failed, i.history.note(begun, i.RunID, act, arrived))
}

// imported is the fate of what came from a file.
const imported Fate = "imported"
