package main

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"syncgate/configs"
)

// sink keeps what is written, write by write. It is used within a bubble of synctest.
type sink struct {
	takes chan struct{} // closed while the sink takes what is written; a write waits for that. nil: it always does

	mu     sync.Mutex
	writes []string
	broken error
	most   int // bytes that are written before broken is returned
}

func (s *sink) Write(b []byte) (int, error) {
	if s.takes != nil {
		<-s.takes
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(b)
	if s.broken != nil {
		n = min(n, s.most)
		s.most -= n
	}
	if n > 0 {
		s.writes = append(s.writes, string(b[:n]))
	}
	return n, s.broken
}

// breakBy makes each write fail after so many bytes more. nil mends the sink.
func (s *sink) breakBy(err error, after int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken, s.most = err, after
}

// want waits until nothing is left to be done, takes the writes so far and compares them.
func (s *sink) want(t *testing.T, when string, writes ...string) {
	t.Helper()
	if got := fmt.Sprintf("%q", s.taken()); got != fmt.Sprintf("%q", writes) {
		t.Errorf("%s: %s, want %q", when, got, writes)
	}
}

// taken waits until nothing is left to be done, and takes the writes so far.
func (s *sink) taken() []string {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	writes := s.writes
	s.writes = nil
	return writes
}

// say gives a lineWriter a line, which must not fail. A say that waits for the sink ends the test, as nothing else goes on.
type say func(level zerolog.Level, line string)

// onLines runs a test with a lineWriter and its sink, in time that passes only while all wait. A sink that takes nothing at
// first takes when its channel is closed.
func onLines(t *testing.T, s *sink, test func(t *testing.T, w *lineWriter, say say)) {
	synctest.Test(t, func(t *testing.T) {
		if s.takes != nil {
			s.takes = make(chan struct{}) // of this bubble
		}
		w := newLineWriter(s, nil)
		defer w.finish()
		synctest.Wait()
		test(t, w, func(level zerolog.Level, line string) {
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
	s := new(sink)
	onLines(t, s, func(t *testing.T, _ *lineWriter, say say) {
		for range 5 {
			say(zerolog.InfoLevel, "rare\n")
			s.want(t, "at once", "rare\n")
			pass(linesPace)
		}
	})
}

func TestBusyLinesAreWrittenTogether(t *testing.T) {
	s := new(sink)
	onLines(t, s, func(t *testing.T, _ *lineWriter, say say) {
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
	s := new(sink)
	onLines(t, s, func(t *testing.T, w *lineWriter, say say) {
		say(zerolog.InfoLevel, "1\n")
		s.want(t, "nothing before", "1\n")
		say(zerolog.InfoLevel, "2\n")
		say(zerolog.WarnLevel, "3\n")
		s.want(t, "together with those before", "2\n3\n")
		say(zerolog.ErrorLevel, "4\n")
		s.want(t, "an error", "4\n")
		if _, err := w.Write([]byte("5\n")); err != nil {
			t.Error(err)
		}
		s.want(t, "a line of no known level", "5\n")
		say(zerolog.InfoLevel, "6\n")
		s.want(t, "others wait again")
		pass(linesPace)
		s.want(t, "at the pace", "6\n")
	})
}

func TestManyLinesAreWrittenBeforeThePace(t *testing.T) {
	s := new(sink)
	onLines(t, s, func(t *testing.T, _ *lineWriter, say say) {
		half := strings.Repeat("x", linesTogether/2-1) + "\n"
		say(zerolog.InfoLevel, "1\n")
		s.want(t, "nothing before", "1\n")
		say(zerolog.InfoLevel, half)
		s.want(t, "half of it")
		say(zerolog.InfoLevel, half)
		s.want(t, "enough for a write", half+half)
	})
}

// TestLogTimes: a line's time is what zerolog's own would be, in any second and zone.
func TestLogTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(sink)
		log, lines := newLog(s, configs.Log{Level: "info", Format: "json"})
		defer lines.finish()
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
		log, lines := newLog(s, configs.Log{Level: "warn", Format: "console"})
		defer lines.finish()
		now := time.Now().Format("15:04:05.000")
		log.Info().Msg("not shown")
		log.Warn().Int("n", 1).Msg("first")
		log.Error().Msg("second")
		s.want(t, "at once", now+" WRN first n=1\n"+now+" ERR second\n")
	})
}

func BenchmarkLog(b *testing.B) {
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		b.Fatal(err)
	}
	defer null.Close()
	log, lines := newLog(null, configs.Log{Level: "info", Format: "json"})
	defer lines.finish()
	b.ReportAllocs()
	for b.Loop() {
		log.Info().Str("request_id", "c3ab8ff13720e8ad").Str("login", "12345").Int("status", 200).Dur("took", time.Millisecond).Msg("trip")
	}
}
