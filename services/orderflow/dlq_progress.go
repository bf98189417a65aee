package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/schollz/progressbar/v3"

	"orderflow/pkg/dlq"
)

// meterEvery is how often a meter prints a line where there is no terminal. What is done sooner needs none.
const meterEvery = 2 * time.Second

// meter shows how far something has got: as a bar on a terminal, elsewhere as a line now and then.
type meter struct {
	w    io.Writer
	past string
	of   int
	bar  *progressbar.ProgressBar
	told time.Time
}

func newMeter(w io.Writer, past string, of int) *meter {
	m := &meter{w: w, past: past, of: of, told: time.Now()}
	if f, ok := w.(*os.File); ok && isatty.IsTerminal(f.Fd()) && of > 0 {
		m.bar = progressbar.NewOptions(of, progressbar.OptionSetWriter(w), progressbar.OptionSetDescription(past), progressbar.OptionShowCount(),
			progressbar.OptionShowIts(), progressbar.OptionSetItsString("messages"), progressbar.OptionFullWidth())
	}
	return m
}

func (m *meter) set(n int) {
	switch {
	case m.bar != nil:
		m.bar.Set(n)
	case time.Since(m.told) >= meterEvery:
		fmt.Fprintf(m.w, "%d of %d %s\n", n, m.of, m.past)
		m.told = time.Now()
	}
}

// canaries tells what has become of those that went ahead.
func (m *meter) canaries(c dlq.Canaries) {
	text := fmt.Sprintf("sent ahead: %d, of which %d were handled, %d died again, and %d are under way", c.Sent, c.Handled, c.Died, c.Waiting)
	switch {
	case m.bar != nil:
		m.bar.Describe(text)
	case time.Since(m.told) >= meterEvery:
		fmt.Fprintln(m.w, text)
		m.told = time.Now()
	}
}

// end leaves the bar as it is.
func (m *meter) end() {
	if m.bar != nil {
		m.bar.Exit()
		fmt.Fprintln(m.w)
		m.bar = nil
	}
}
