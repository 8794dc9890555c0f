package main

import (
	"io"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

const (
	// linesPace is how long a line waits for others at most.
	linesPace = 10 * time.Millisecond
	// linesRoom is how many bytes of lines wait at most.
	linesRoom = 64 << 10
)

// lineWriter writes the lines of a busy log together, as a write for each would be a good part of what a trip costs. A line
// that comes when nothing has been written for a moment is written at once; one of warn or above always is, with those that
// wait. Lines keep their order and are whole. It has no goroutine but its timer's, for the time of a write.
type lineWriter struct {
	out io.Writer

	mu       sync.Mutex  // guards what follows and the order of lines: held while out writes
	waiting  []byte      // lines; at most linesRoom, and none unless paced
	paced    bool        // something was written a moment ago, and pace is about to be called
	finished bool        // nothing waits any more
	timer    *time.Timer // calls pace
}

func newLineWriter(out io.Writer) *lineWriter {
	return &lineWriter{out: out, waiting: make([]byte, 0, linesRoom)}
}

// Write takes a line whose level is not known.
func (w *lineWriter) Write(line []byte) (int, error) { return w.WriteLevel(zerolog.NoLevel, line) }

// WriteLevel takes a line. An error means that it is lost, and those with it that waited: the log of a full disk must not
// fill the memory.
func (w *lineWriter) WriteLevel(level zerolog.Level, line []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.waiting)+len(line) > linesRoom {
		if err := w.flush(); err != nil {
			return 0, err
		}
	}
	if len(line) > linesRoom {
		return w.out.Write(line)
	}
	w.waiting = append(w.waiting, line...)
	if w.paced && level < zerolog.WarnLevel {
		return len(line), nil
	}
	if err := w.flush(); err != nil {
		return 0, err
	}
	return len(line), nil
}

// flush writes what waits. Called with mu held.
func (w *lineWriter) flush() error {
	if len(w.waiting) == 0 {
		return nil
	}
	_, err := w.out.Write(w.waiting)
	w.waiting = w.waiting[:0]
	switch {
	case w.paced, w.finished:
	case w.timer == nil:
		w.paced = true
		w.timer = time.AfterFunc(linesPace, w.pace)
	default:
		w.paced = true
		w.timer.Reset(linesPace)
	}
	return err
}

// pace is called linesPace after the first of some writes, and again for as long as it finds something.
func (w *lineWriter) pace() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.paced = false
	_ = w.flush() // there is nobody to tell; the next line that is written at once hears the same
}

// finish writes what waits. Each line that comes later is written at once.
func (w *lineWriter) finish() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.finished, w.paced = true, false
	if w.timer != nil {
		w.timer.Stop()
	}
	_ = w.flush() // there is nobody to tell
}
