package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"syncgate/configs"
)

// sink keeps what is written, write by write.
type sink struct {
	mu     sync.Mutex
	writes []string
	broken error
}

func (s *sink) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken != nil {
		return 0, s.broken
	}
	s.writes = append(s.writes, string(b))
	return len(b), nil
}

func (s *sink) breakBy(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken = err
}

// want takes the writes so far and compares them.
func (s *sink) want(t *testing.T, when string, writes ...string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if got := fmt.Sprintf("%q", s.writes); got != fmt.Sprintf("%q", writes) {
		t.Errorf("%s: %s, want %q", when, got, writes)
	}
	s.writes = nil
}

// onLines runs a test with a lineWriter and its sink, in time that passes only while all wait.
func onLines(t *testing.T, test func(t *testing.T, w *lineWriter, s *sink, say func(zerolog.Level, string))) {
	synctest.Test(t, func(t *testing.T) {
		s := new(sink)
		w := newLineWriter(s)
		defer w.finish()
		test(t, w, s, func(level zerolog.Level, line string) {
			t.Helper()
			if n, err := w.WriteLevel(level, []byte(line)); n != len(line) || err != nil {
				t.Errorf("%q: %d, %v", line, n, err)
			}
		})
	})
}

// pass lets d pass, and what is due then happen.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func TestRareLinesAreWrittenAtOnce(t *testing.T) {
	onLines(t, func(t *testing.T, _ *lineWriter, s *sink, say func(zerolog.Level, string)) {
		for range 5 {
			say(zerolog.InfoLevel, "rare\n")
			s.want(t, "at once", "rare\n")
			pass(linesPace)
		}
	})
}

func TestBusyLinesAreWrittenTogether(t *testing.T) {
	onLines(t, func(t *testing.T, _ *lineWriter, s *sink, say func(zerolog.Level, string)) {
		say(zerolog.InfoLevel, "1\n")
		s.want(t, "nothing before", "1\n")
		say(zerolog.InfoLevel, "2\n")
		pass(linesPace - 1)
		say(zerolog.DebugLevel, "3\n")
		s.want(t, "before the pace")
		pass(1)
		s.want(t, "at the pace", "2\n3\n")
		say(zerolog.InfoLevel, "4\n")
		s.want(t, "a moment after it")
		pass(linesPace)
		s.want(t, "at the next pace", "4\n")
		pass(linesPace)
		say(zerolog.InfoLevel, "5\n")
		s.want(t, "after a while", "5\n")
	})
}

func TestWarningsAreWrittenAtOnce(t *testing.T) {
	onLines(t, func(t *testing.T, w *lineWriter, s *sink, say func(zerolog.Level, string)) {
		say(zerolog.InfoLevel, "1\n")
		say(zerolog.InfoLevel, "2\n")
		say(zerolog.WarnLevel, "3\n")
		say(zerolog.ErrorLevel, "4\n")
		say(zerolog.InfoLevel, "5\n")
		say(zerolog.NoLevel, "6\n")
		s.want(t, "together with those before", "1\n", "2\n3\n", "4\n", "5\n6\n")
		if _, err := w.Write([]byte("7\n")); err != nil {
			t.Error(err)
		}
		s.want(t, "a line of no known level", "7\n")
	})
}

func TestFullBufferIsWritten(t *testing.T) {
	onLines(t, func(t *testing.T, _ *lineWriter, s *sink, say func(zerolog.Level, string)) {
		half := strings.Repeat("x", linesRoom/2-1) + "\n"
		huge := strings.Repeat("y", linesRoom) + "\n"
		say(zerolog.InfoLevel, "1\n")
		say(zerolog.InfoLevel, half)
		say(zerolog.InfoLevel, half)
		s.want(t, "just full", "1\n")
		say(zerolog.InfoLevel, "2\n")
		s.want(t, "too full", half+half)
		say(zerolog.InfoLevel, huge)
		s.want(t, "a line longer than all that may wait", "2\n", huge)
	})
}

func TestFinishWritesAll(t *testing.T) {
	onLines(t, func(t *testing.T, w *lineWriter, s *sink, say func(zerolog.Level, string)) {
		newLineWriter(s).finish() // of one that has written nothing
		say(zerolog.InfoLevel, "1\n")
		say(zerolog.InfoLevel, "2\n")
		w.finish()
		s.want(t, "what waits", "1\n", "2\n")
		say(zerolog.InfoLevel, "3\n")
		say(zerolog.InfoLevel, "4\n")
		s.want(t, "afterwards at once", "3\n", "4\n")
		w.finish()
		pass(time.Second)
		s.want(t, "nothing twice")
	})
}

// TestLinesOfABrokenSink are lost, do not pile up, and come again when it works again.
func TestLinesOfABrokenSink(t *testing.T) {
	onLines(t, func(t *testing.T, w *lineWriter, s *sink, say func(zerolog.Level, string)) {
		full := errors.New("no space left")
		s.breakBy(full)
		line := []byte(strings.Repeat("x", 999) + "\n")
		told := 0
		for range 1000 {
			switch n, err := w.WriteLevel(zerolog.InfoLevel, line); {
			case errors.Is(err, full) && n == 0:
				told++
			case err != nil || n != len(line):
				t.Fatalf("%d, %v", n, err)
			}
		}
		if told < 1000*len(line)/linesRoom {
			t.Errorf("told %d times", told)
		}
		if cap(w.waiting) > linesRoom {
			t.Errorf("%d bytes of lines", cap(w.waiting))
		}
		if _, err := w.WriteLevel(zerolog.WarnLevel, line); !errors.Is(err, full) {
			t.Errorf("a warning: %v", err)
		}
		pass(linesPace)
		s.breakBy(nil)
		pass(linesPace)
		say(zerolog.InfoLevel, "again\n")
		s.want(t, "when it works again", "again\n")
	})
}

// TestLinesOfMany writes to a real file from many goroutines: every line is there once, whole, and in its writer's order.
func TestLinesOfMany(t *testing.T) {
	const writers, each = 8, 5000
	name := filepath.Join(t.TempDir(), "log")
	file, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	w := newLineWriter(file)
	var all sync.WaitGroup
	for who := range writers {
		all.Go(func() { writeNumbered(t, w, who, each) })
	}
	all.Wait()
	w.finish()
	text, err := os.ReadFile(name)
	if err := errors.Join(err, file.Close()); err != nil {
		t.Fatal(err)
	}
	var next [writers]int
	for line := range bytes.Lines(text) {
		var who, i int
		if _, err := fmt.Sscanf(string(line), "%d %d", &who, &i); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if want := numbered(who, next[who]); !bytes.Equal(line, want) {
			t.Fatalf("%q, want %q", line, want)
		}
		next[who]++
	}
	for who, n := range next {
		if n != each {
			t.Errorf("%d lines of writer %d", n, who)
		}
	}
}

func numbered(who, i int) []byte {
	return fmt.Appendf(nil, "%d %d %s\n", who, i, strings.Repeat("z", i%50))
}

// writeNumbered writes so many lines, warnings among them.
func writeNumbered(t *testing.T, w *lineWriter, who, lines int) {
	for i := range lines {
		level := zerolog.InfoLevel
		if i%1000 == 999 {
			level = zerolog.WarnLevel
		}
		if _, err := w.WriteLevel(level, numbered(who, i)); err != nil {
			t.Error(err)
		}
	}
}

// TestLogTimes: a line's time is what zerolog's own would be, in any second and zone.
func TestLogTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(sink)
		log, finish := newLog(s, configs.Log{Level: "info", Format: "json"})
		defer finish()
		for range 300 {
			log.Warn().Msg("now")
			s.want(t, "a line", `{"level":"warn","time":"`+time.Now().Format("2006-01-02T15:04:05.000Z07:00")+`","message":"now"}`+"\n")
			<-time.After(37 * time.Millisecond)
		}
	})
}

func TestConsoleLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(sink)
		log, finish := newLog(s, configs.Log{Level: "warn", Format: "console"})
		defer finish()
		now := time.Now().Format("15:04:05.000")
		log.Info().Msg("not shown")
		log.Warn().Int("n", 1).Msg("first")
		log.Error().Msg("second")
		s.want(t, "at once", now+" WRN first n=1\n", now+" ERR second\n")
	})
}

func BenchmarkLog(b *testing.B) {
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		b.Fatal(err)
	}
	defer null.Close()
	log, finish := newLog(null, configs.Log{Level: "info", Format: "json"})
	defer finish()
	b.ReportAllocs()
	for b.Loop() {
		log.Info().Str("request_id", "c3ab8ff13720e8ad").Str("login", "12345").Int("status", 200).Dur("took", time.Millisecond).Msg("trip")
	}
}
