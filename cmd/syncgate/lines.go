package main

import (
	"bytes"
	"io"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

const (
	// linesPace is how long a line waits for others at most, while the log is read.
	linesPace = 10 * time.Millisecond
	// linesTogether is how many bytes of lines are written without waiting for more.
	linesTogether = 64 << 10
	// linesQueue is how many bytes of lines wait at most, and linesReserve how many more of those of warn or above.
	linesQueue   = 1 << 20
	linesReserve = 64 << 10
	// linesRetry is the time between two attempts to write what could not be written.
	linesRetry = 100 * time.Millisecond
	// linesEnd is how long finish waits for the reader.
	linesEnd = time.Second
)

// lineWriter writes lines to a reader that may be slow, or may not read at all. Nobody who logs waits for it: WriteLevel
// copies the line into a queue, and the goroutine run writes the queue. A line that finds the queue full is dropped and
// counted; when there is room again, one line says how many were dropped.
//
// Lines of a busy log are written together, as a write for each would be a good part of what a trip costs. A line that
// comes when nothing has been written for linesPace is written at once. So is one of warn or above, with those that wait
// before it. Lines keep their order and are whole.
//
// It holds at most linesQueue+linesReserve bytes of lines that wait, as many again that are being written, and what render makes
// of these.
type lineWriter struct {
	out    io.Writer                 // used by run alone
	render func(lines []byte) []byte // makes what is written; called by run alone. nil: the lines are written as they are
	wake   chan struct{}             // tells run to write now; sent and drained with mu held
	recent recentWarnings            // has its own lock; lines that are dropped are in it as well
	quit   chan struct{}             // closed by finish
	ended  chan struct{}             // closed when run has returned

	// Owned by run.
	notes  zerolog.Logger // writes to note
	note   bytes.Buffer
	failed error // why a write failed since the last take; nil: none did

	mu       sync.Mutex // held for a copy at most, never while out writes
	waiting  []byte     // lines
	idle     bool       // nothing waits, and nothing was written for linesPace: run sleeps until wake
	finished bool       // run writes what waits and takes no more
	dropped  lineCounts // since the start
	reported lineCounts // those of dropped that a line has reported
}

// lineCounts are numbers of lines by level, from debug to error. See levelIndex.
type lineCounts [zerolog.ErrorLevel + 1]uint64

// levelIndex gives the index in lineCounts: what is below debug counts as debug, what is above error as error.
func levelIndex(level zerolog.Level) int {
	return int(min(max(level, zerolog.DebugLevel), zerolog.ErrorLevel))
}

// newLineWriter starts run, which finish ends.
func newLineWriter(out io.Writer, render func(lines []byte) []byte) *lineWriter {
	w := &lineWriter{
		out: out, render: render, waiting: make([]byte, 0, linesTogether),
		wake: make(chan struct{}, 1), quit: make(chan struct{}), ended: make(chan struct{}),
	}
	w.notes = zerolog.New(&w.note).Hook(new(clock))
	go w.run()
	return w
}

// Write takes a line whose level is not known.
func (w *lineWriter) Write(line []byte) (int, error) { return w.WriteLevel(zerolog.NoLevel, line) }

// WriteLevel takes or drops a line, and never waits for out. It reports no error: zerolog would write that to the standard
// error itself, and wait.
func (w *lineWriter) WriteLevel(level zerolog.Level, line []byte) (int, error) {
	urgent := level >= zerolog.WarnLevel
	room := linesQueue
	if urgent {
		room += linesReserve
		w.recent.add(line)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.finished || len(w.waiting)+len(line) > room {
		w.dropped[levelIndex(level)]++
	} else {
		w.waiting = append(w.waiting, line...)
	}
	if w.idle || urgent || len(w.waiting) >= linesTogether {
		w.idle = false
		select {
		case w.wake <- struct{}{}:
		default: // run has not woken up yet
		}
	}
	return len(line), nil
}

// droppedLines gives the number of lines of a level that were dropped.
func (w *lineWriter) droppedLines(level zerolog.Level) uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.dropped[levelIndex(level)]
}

// warnings gives the last lines at warn or above, none without a writer.
func (w *lineWriter) warnings() *recentWarnings {
	if w == nil {
		return new(recentWarnings)
	}
	return &w.recent
}

// finish writes what waits, as far as the reader takes it within linesEnd. Each line that comes later is dropped.
func (w *lineWriter) finish() {
	w.mu.Lock()
	if !w.finished {
		w.finished = true
		close(w.quit)
	}
	w.mu.Unlock()
	select {
	case <-w.ended:
	case <-time.After(linesEnd): // the end of the process ends the write
	}
}

// run writes what waits: at most once in linesPace, unless it is woken up. It returns after finish.
func (w *lineWriter) run() {
	defer close(w.ended)
	pace := time.NewTimer(linesPace)
	defer pace.Stop()
	spare := make([]byte, 0, linesTogether)
	for {
		lines, finished := w.take(spare)
		var paced <-chan time.Time // never, if there was nothing to write
		if len(lines) > 0 {
			if !w.write(lines) {
				return
			}
			pace.Reset(linesPace)
			paced = pace.C
		} else if finished {
			return
		}
		if spare = lines; cap(spare) > 2*linesTogether && len(lines) < linesTogether {
			spare = make([]byte, 0, linesTogether) // it had grown while out took nothing, and is not needed any more
		}
		select {
		case <-w.wake:
		case <-paced:
		case <-w.quit:
		}
	}
}

// take gives the lines that wait, and leaves the spare buffer for those that come. The lines that were dropped meanwhile would
// have been next; a line says so in their place.
func (w *lineWriter) take(spare []byte) (lines []byte, finished bool) {
	w.mu.Lock()
	lines, w.waiting = w.waiting, spare[:0]
	before := w.reported
	w.reported = w.dropped
	now := w.reported
	finished = w.finished
	w.idle = len(lines) == 0 && now == before
	select {
	case <-w.wake: // it was about these lines
	default:
	}
	w.mu.Unlock()
	if now != before {
		lines = w.report(lines, before, now)
	}
	w.failed = nil
	return lines, finished
}

// report appends a line about those that were dropped. It is a warning at every level of the log, as nothing else shows the gap.
func (w *lineWriter) report(lines []byte, before, now lineCounts) []byte {
	var all, warnings uint64
	for i := range now {
		n := now[i] - before[i]
		all += n
		if i >= levelIndex(zerolog.WarnLevel) {
			warnings += n
		}
	}
	w.note.Reset()
	w.notes.Log().Str(zerolog.LevelFieldName, zerolog.WarnLevel.String()).Uint64("dropped", all).Uint64("warnings", warnings).
		AnErr(zerolog.ErrorFieldName, w.failed).Msg("lines of the log were dropped: they could not be written in time")
	w.recent.add(w.note.Bytes())
	return append(lines, w.note.Bytes()...)
}

// write writes lines to the end. Where that fails, as on a full disk, it tries the rest again, so that lines stay whole;
// those that come meanwhile wait, and are dropped when the queue is full. After finish it tries once more, and reports false
// if that fails too.
func (w *lineWriter) write(lines []byte) bool {
	if w.render != nil {
		lines = w.render(lines)
	}
	for last := false; ; {
		n, err := w.out.Write(lines)
		lines = lines[n:]
		switch {
		case len(lines) == 0:
			return true
		case last:
			return false
		}
		w.failed = err
		select {
		case <-time.After(linesRetry):
		case <-w.quit:
			last = true
		}
	}
}
