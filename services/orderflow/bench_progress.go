package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/schollz/progressbar/v3"

	"orderflow/services/bench"
)

// progress shows how a run of bench goes: as a bar on a terminal, elsewhere as a line a second.
type progress struct {
	w     io.Writer
	bars  bool
	phase string
	bar   *progressbar.ProgressBar
	told  time.Time
}

func newProgress(w io.Writer) *progress {
	f, ok := w.(*os.File)
	return &progress{w: w, bars: ok && isatty.IsTerminal(f.Fd())}
}

func (p *progress) tell(now bench.Progress) {
	if p.phase != now.Phase {
		p.end()
		p.phase = now.Phase
		if p.bars && now.Of > 0 {
			p.bar = progressbar.NewOptions(now.Of, progressbar.OptionSetWriter(p.w), progressbar.OptionSetDescription(now.Phase),
				progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetItsString("ended"), progressbar.OptionFullWidth())
		} else {
			fmt.Fprintln(p.w, now.Phase)
		}
		p.told = time.Now()
	}
	switch {
	case p.bar != nil:
		p.bar.Set(now.Ended)
	case now.Of > 0 && time.Since(p.told) >= time.Second:
		fmt.Fprintf(p.w, "%s: %d of %d accepted, %d ended\n", now.Phase, now.Accepted, now.Of, now.Ended)
		p.told = time.Now()
	}
}

// end leaves the bar as it is.
func (p *progress) end() {
	if p.bar != nil {
		p.bar.Exit()
		fmt.Fprintln(p.w)
		p.bar = nil
	}
}
