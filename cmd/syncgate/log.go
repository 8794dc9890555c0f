package main

import (
	"bytes"
	"io"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"syncgate/configs"
)

// newLog makes the log and sets its level, which reload may change. lines.finish is called before the program ends.
func newLog(w io.Writer, c configs.Log) (log zerolog.Logger, lines *lineWriter) {
	zerolog.TimeFieldFormat = timeBefore + "000" + timeAfter // what the console takes apart again
	setLevel(c.Level)
	var render func([]byte) []byte
	if c.Format == "console" {
		render = newConsole().render
	}
	lines = newLineWriter(w, render)
	return zerolog.New(lines).Hook(new(clock)), lines
}

// logMetrics counts the lines that were dropped, by level. Without lines it counts nothing.
func logMetrics(lines *lineWriter) (metrics []prometheus.Collector) {
	if lines == nil {
		return nil
	}
	for level := zerolog.DebugLevel; level <= zerolog.ErrorLevel; level++ {
		metrics = append(metrics, prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name:        "syncgate_log_dropped_total",
			Help:        "Lines of the log that were dropped because they could not be written in time.",
			ConstLabels: prometheus.Labels{"level": level.String()},
		}, func() float64 { return float64(lines.droppedLines(level)) }))
	}
	return metrics
}

// console turns lines into text for people. It is used by one goroutine.
type console struct {
	text   bytes.Buffer
	writer zerolog.ConsoleWriter // writes to text
}

func newConsole() *console {
	c := new(console)
	c.writer = zerolog.ConsoleWriter{Out: &c.text, TimeFormat: "15:04:05.000", NoColor: true}
	return c
}

// render gives the text of some lines. It is valid until the next call.
func (c *console) render(lines []byte) []byte {
	if c.text.Reset(); c.text.Cap() > 2*linesTogether {
		c.text = bytes.Buffer{} // it has grown while nobody read
	}
	for line := range bytes.Lines(lines) {
		if _, err := c.writer.Write(line); err != nil {
			c.text.Write(line) // not a line of zerolog's
		}
	}
	return c.text.Bytes()
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
