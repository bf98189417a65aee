package dlq

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/google/uuid"

	"orderflow/pkg/broker"
)

const (
	// imported is the fate of what came from a file.
	imported Fate = "imported"
	// wasThere is that of what was in the queue already: an import that was killed may have put it there, and not told.
	wasThere Fate = "already_there"
)

// Imported says what became of the messages of a file.
type Imported struct {
	RunID    string         `json:"run_id"`
	Imported map[string]int `json:"imported"` // by dead-letter queue
	There    int            `json:"already_there"`
	Twice    int            `json:"twice_in_the_file"`
}

// StoredQueues lists the dead-letter queues that the messages of a file come from. It reads the file to its end, so that one that is wrong
// somewhere is refused as a whole.
func StoredQueues(path string) (queues []string, err error) {
	err = ReadStore(path, func(s Stored) error {
		if !slices.Contains(queues, s.DLQ) {
			queues = append(queues, s.DLQ)
		}
		return nil
	})
	return queues, err
}

// Import puts the messages of a file, as a Store has them, into their dead-letter queues, or all of them into queue where that is not "". One
// that is there already, the same in everything, is left out, so that what was interrupted can be run again; and so is one that is in the
// file twice, since an interrupted drop writes some again. from are the queues that are written to. A message comes without its CC and BCC,
// which would send it to other queues, too.
func Import(ctx context.Context, b *broker.Broker, path, queue string, from []Source, history *History) (Imported, error) {
	i := importing{
		Imported: Imported{RunID: uuid.NewString(), Imported: map[string]int{}}, history: history, there: map[identity]int{}, seen: map[identity]bool{},
	}
	from = sorted(from)
	for _, source := range from { // until the end: two imports of one file must not both find that nothing is there
		claim, err := claimOf(ctx, b, source)
		if err != nil {
			return i.Imported, err
		}
		defer claim.Release()
		if _, err := look(ctx, b, source, true, func(l Letter) error {
			if same, err := identify(source.Queue, l.Message); err == nil { // what cannot be written is in no file
				i.there[same]++
			}
			return nil
		}); err != nil {
			return i.Imported, fmt.Errorf("look at %s: %w", source.Queue, err)
		}
	}
	i.publisher = b.NewPublisher()
	patient, stop := context.WithTimeout(ctx, connectLimit)
	defer stop()
	if err := i.publisher.Await(patient); err != nil {
		return i.Imported, err
	}
	err := ReadStore(path, func(s Stored) error {
		from := s.DLQ
		if queue != "" {
			s.DLQ = queue
		}
		known, err := i.knows(from, s)
		if err != nil {
			return err
		}
		if !known {
			i.batch = append(i.batch, s)
		}
		if len(i.batch) < inFlight && len(i.told) < inFlight {
			return nil
		}
		return i.flush(ctx)
	})
	return i.Imported, errors.Join(err, i.flush(ctx))
}

// identity is what makes two dead letters of a queue the same: everything that is in a file of them. An event that has died in two queues is
// two of them, and so are two that differ in a header.
type identity struct {
	queue string
	hash  [sha256.Size]byte
}

func identify(queue string, m broker.Message) (identity, error) {
	m.Headers = withoutCopies(m.Headers)
	text, err := json.Marshal(m)
	return identity{queue, sha256.Sum256(text)}, err
}

// withoutCopies is headers without those that would send a message to further queues.
func withoutCopies(headers map[string]any) map[string]any {
	headers = maps.Clone(headers)
	delete(headers, "CC")
	delete(headers, "BCC")
	return headers
}

// importing is an Import under way.
type importing struct {
	Imported
	publisher *broker.Publisher
	history   *History
	there     map[identity]int  // in the queues, before
	seen      map[identity]bool // in the file, so far; but for those without an id, of which nobody can tell
	batch     []Stored
	told      []deed // not yet
}

// knows tells whether a message is left out, and counts it then. from is the queue that it was in when it was written.
func (i *importing) knows(from string, s Stored) (bool, error) {
	same, err := identify(from, s.Message)
	if err != nil {
		return false, err
	}
	if i.seen[same] {
		i.Twice++
		return true, nil
	}
	i.seen[same] = s.Message.ID != ""
	if same.queue = s.DLQ; i.there[same] == 0 {
		return false, nil
	}
	i.there[same]--
	i.There++
	l := Read(s.Message)
	i.told = append(i.told, deed{fate: wasThere, letter: &l, to: s.DLQ})
	return true, nil
}

// flush publishes what has been gathered, and writes it into the history.
func (i *importing) flush(ctx context.Context) error {
	batch, deeds := i.batch, i.told
	i.batch, i.told = nil, nil
	if err := ctx.Err(); err != nil {
		return err
	}
	begun, stop := context.WithTimeout(context.WithoutCancel(ctx), finishLimit)
	defer stop()
	messages := make([]broker.Message, len(batch))
	for n, s := range batch {
		messages[n] = s.Message
		messages[n].Headers = withoutCopies(messages[n].Headers)
		messages[n].RoutingKey, messages[n].Mandatory = s.DLQ, true
	}
	var failed error
	for n, err := range i.publisher.PublishAll(begun, messages) {
		l := Read(batch[n].Message)
		d := deed{fate: imported, letter: &l, sent: l.ID, to: batch[n].DLQ}
		switch {
		case err == nil:
			i.Imported.Imported[d.to]++
		case fateOf(err, imported) == Unknown:
			d.fate, failed = Unknown, err
		default:
			failed = fmt.Errorf("message %q: %w", l.ID, err)
			continue
		}
		deeds = append(deeds, d)
	}
	told, stop := context.WithTimeout(context.WithoutCancel(ctx), finishLimit)
	defer stop()
	if err := i.history.note(told, i.RunID, "import", deeds); err != nil {
		failed = errors.Join(failed, fmt.Errorf("%d messages were dealt with, but that is not in the history: %w", len(deeds), err))
	}
	return failed
}
