package dlq

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"orderflow/pkg/broker"
)

// kept reads what is in a file.
func kept(t *testing.T, path string) (stored []Stored) {
	t.Helper()
	if err := ReadStore(path, func(s Stored) error {
		stored = append(stored, s)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return stored
}

func TestDropAndImport(t *testing.T) {
	b := newBench(t)
	_, db := b.database()
	odd := deadLetter("odd", work)
	odd.Body, odd.Headers["odd"] = []byte{0xff, 0, '\n'}, []any{int32(1), []byte{2}, time.Unix(3, 0)}
	b.publish(odd, deadLetter("2", work), deadLetter("twin", work), deadLetter("twin", work))
	before := withoutCount(b.look(dead, 0))
	path := filepath.Join(t.TempDir(), "kept")
	store, err := OpenStore(path, false)
	if err != nil {
		t.Fatal(err)
	}
	run := b.replay(Job{Do: Drop(store)})
	if err := store.Close(); err != nil || run.Count(Dropped) != 4 || len(b.ids(dead)) != 0 {
		t.Errorf("%+v, %v", run, err)
	}
	if got := kept(t, path); len(got) != 4 || got[0].DLQ != dead {
		t.Errorf("kept %+v", got)
	}
	if _, err := OpenStore(path, false); !errors.Is(err, ErrTaken) {
		t.Errorf("a file with something in it: %v", err)
	}

	history := &History{DB: db, Who: "x"}
	from := []Source{{Queue: dead}}
	for n, want := range []Imported{{Imported: map[string]int{dead: 3}, Twice: 1}, {Imported: map[string]int{}, There: 3, Twice: 1}} {
		got, err := Import(t.Context(), b.broker, path, "", from, history)
		if want.RunID = got.RunID; err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("import %d: %+v, %v", n+1, got, err)
		}
	}
	after := withoutCount(b.look(dead, 0))
	if before = before[:3]; !reflect.DeepEqual(after, before) {
		t.Errorf("came back as\n%+v\nfrom\n%+v", after, before)
	}
	if got, err := Import(t.Context(), b.broker, path, "t.other.dlq", []Source{{Queue: "t.other.dlq"}}, nil); err != nil || got.Imported["t.other.dlq"] != 3 {
		t.Errorf("elsewhere: %+v, %v", got, err)
	}
	if entries, err := history.Entries(t.Context(), HistoryQuery{Message: "twin", Limit: 9}); err != nil || len(entries) != 2 ||
		entries[0].Outcome != "already_there" || entries[1].Outcome != "imported" {
		t.Errorf("history %+v, %v", entries, err)
	}
}

// Two messages are the same only if everything in them is.
func TestImportOfNamesakes(t *testing.T) {
	b := newBench(t)
	one, two := deadLetter("same", work), deadLetter("same", work)
	two.Headers["part"], two.Headers["CC"] = "2", []any{"t.other"}
	path := filepath.Join(t.TempDir(), "kept")
	store, err := OpenStore(path, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.keep([]*held{{Letter: Read(one), tally: &Tally{Queue: dead}}, {Letter: Read(two), tally: &Tally{Queue: dead}}}); err != nil {
		t.Fatal(err)
	}
	store.Close()
	for n, want := range []Imported{{Imported: map[string]int{dead: 2}}, {Imported: map[string]int{}, There: 2}} {
		got, err := Import(t.Context(), b.broker, path, "", []Source{{Queue: dead}}, nil)
		if want.RunID = got.RunID; err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("import %d: %+v, %v", n+1, got, err)
		}
	}
	if got := b.ids("t.other"); len(got) != 0 {
		t.Errorf("copies %v", got)
	}
}

// Two that import the same file at the same time put each message into its queue once.
func TestImportsAtTheSameTime(t *testing.T) {
	b := newBench(t)
	ids := b.die(600)
	path := filepath.Join(t.TempDir(), "kept")
	store, err := OpenStore(path, false)
	if err != nil {
		t.Fatal(err)
	}
	b.replay(Job{Do: Drop(store)})
	store.Close()
	var imports sync.WaitGroup
	for range 3 {
		other := open(t, b.env.AMQPURL)
		imports.Go(func() {
			if _, err := Import(t.Context(), other, path, "", []Source{{Queue: dead}}, nil); err != nil {
				t.Error(err)
			}
		})
	}
	imports.Wait()
	if got := b.ids(dead); !slices.Equal(got, ids) {
		t.Errorf("%d messages, want %d", len(got), len(ids))
	}
}

// A file that is wrong somewhere is refused before anything is done.
func TestImportOfAWrongFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "wrong")
	for text, want := range map[string]string{
		`{"dlq":"t.work.dlq","message":{"body":"x"}}` + "\n" + `{"dlq":"t.work.d`: "line 2: it is cut off; nothing was imported",
		`{"specversion":"1.0","id":"1"}`:                                          "line 1: json: unknown field",
		`{"dlq":"t.work.dlq"}`:                                                    "line 1: it has no message",
		`{"dlq":"t.work.dlq","message":{"bodi":"x"}}`:                             "line 1: json: unknown field",
		`{"dlq":"t.work.dlq","message":{"headers":[]}}`:                           "line 1: ",
		`{"dlq":"t.work.dlq","message":{"body":"x"}} xyz`:                         "line 1: something follows the message",
	} {
		write(t, path, text)
		if _, err := StoredQueues(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

// A line that was not written to its end is cut off: its message was not removed. Nothing else is.
func TestStoreMendsTheEnd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kept")
	line := `{"dlq":"q","message":{"id":"0","body":"` + strings.Repeat("x", 100_000) + `"}}`
	for text, want := range map[string]string{
		"": "", line + "\n": line + "\n", line + "\n" + line[:60_000]: line + "\n", line[:3]: "", line: line + "\n", line + "\n" + line: line + "\n" + line + "\n",
	} {
		write(t, path, text)
		store, err := OpenStore(path, true)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := OpenStore(path, true); err == nil || !strings.Contains(err.Error(), "another process writes to it") {
			t.Errorf("opened twice: %v", err)
		}
		if err := store.keep([]*held{{Letter: Letter{Message: broker.Message{ID: "1"}}, tally: &Tally{Queue: "q"}}}); err != nil {
			t.Fatal(err)
		}
		store.Close()
		got, err := os.ReadFile(path)
		if want += `{"dlq":"q","message":{"id":"1","body":""}}` + "\n"; err != nil || string(got) != want {
			t.Errorf("%.20q became %.80q, %v", text, got, err)
		}
	}
	written := line + "\n" + line + " ,"
	write(t, path, written)
	if _, err := OpenStore(path, true); err == nil || !strings.Contains(err.Error(), "its last line is no dead letter") {
		t.Errorf("a line that something was added to: %v", err)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != written {
		t.Errorf("%.20q became %.80q, %v", written, got, err)
	}
	write(t, path, "what I must not forget")
	if _, err := OpenStore(path, true); err == nil || !strings.Contains(err.Error(), "no file of dead letters, nothing is added") {
		t.Errorf("a file of something else: %v", err)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
