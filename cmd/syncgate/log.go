package main

import (
	"io"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"syncgate/configs"
)

// newLog makes the log and sets its level, which reload may change. finish is called before the program ends: nothing is held
// back from then on. Text for people is never held back, as they look on.
func newLog(w io.Writer, c configs.Log) (log zerolog.Logger, finish func()) {
	zerolog.TimeFieldFormat = timeBefore + "000" + timeAfter // what the console takes apart again
	setLevel(c.Level)
	if c.Format == "console" {
		w = zerolog.ConsoleWriter{Out: w, TimeFormat: "15:04:05.000", NoColor: true}
		return zerolog.New(w).Hook(new(clock)), func() {}
	}
	lines := newLineWriter(w)
	return zerolog.New(lines).Hook(new(clock)), lines.finish
}

// setLevel wants a level that configs has let through.
func setLevel(level string) {
	l, err := zerolog.ParseLevel(level)
	if err != nil {
		l = zerolog.InfoLevel
	}
	zerolog.SetGlobalLevel(l)
}

// The time of a line, but for its milliseconds.
const (
	timeBefore = "2006-01-02T15:04:05."
	timeAfter  = "Z07:00"
)

// clock gives each line its time. It keeps what is the same for all lines of a second: to word a whole time takes as long as
// the rest of a line.
type clock struct{ kept atomic.Pointer[second] }

// second is the text around the milliseconds, as JSON.
type second struct {
	unix          int64
	before, after string
}

// Run is called by zerolog for each line.
func (c *clock) Run(line *zerolog.Event, _ zerolog.Level, _ string) {
	now := time.Now()
	s := c.kept.Load()
	if s == nil || s.unix != now.Unix() {
		s = &second{unix: now.Unix(), before: now.Format(`"` + timeBefore), after: now.Format(timeAfter + `"`)}
		c.kept.Store(s)
	}
	ms := now.Nanosecond() / int(time.Millisecond)
	var room [48]byte // on the stack, and a time is shorter
	text := append(room[:0], s.before...)
	text = append(text, byte('0'+ms/100), byte('0'+ms/10%10), byte('0'+ms%10)) //nolint:gosec // digits
	line.RawJSON(zerolog.TimestampFieldName, append(text, s.after...))
}
