package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"syncgate/configs"
)

// stuck is a sink that takes nothing until its channel is closed.
func stuck() *sink { return &sink{takes: make(chan struct{})} }

// kilobyte is a line of 1 KiB.
func kilobyte(start string) string {
	return start + strings.Repeat("x", 1<<10-len(start)-1) + "\n"
}

// report is the line about dropped lines.
type report struct {
	Level    string `json:"level"`
	Dropped  uint64 `json:"dropped"`
	Warnings uint64 `json:"warnings"`
	Error    string `json:"error"`
}

const reportText = `"message":"lines of the log were dropped`

// wantReport compares a report with what it should say.
func wantReport(t *testing.T, line string, want report) {
	t.Helper()
	var got report
	err := json.Unmarshal([]byte(line), &got)
	if err != nil || got != want || !strings.Contains(line, reportText) || strings.Count(line, "\n") != 1 {
		t.Errorf("%.300q, want %+v in one line", line, want)
	}
}

// wantDropped compares the counts of lines that were dropped, from debug to error.
func wantDropped(t *testing.T, w *lineWriter, when string, counts ...uint64) {
	t.Helper()
	for level := zerolog.DebugLevel; level <= zerolog.ErrorLevel; level++ {
		if got := w.droppedLines(level); got != counts[level] {
			t.Errorf("%s: %d lines of level %s were dropped, want %d", when, got, level, counts[level])
		}
	}
}

// TestUnreadLinesAreDropped fills the queue while nobody reads: info up to its bound, warn and above up to theirs. Then
// somebody reads, and one line says what is missing, where it is missing.
func TestUnreadLinesAreDropped(t *testing.T) {
	const all, reserve = linesQueue >> 10, linesReserve >> 10 // lines of a kilobyte
	s := stuck()
	onLines(t, s, func(t *testing.T, w *lineWriter, say say) {
		say(zerolog.InfoLevel, "first\n")
		s.want(t, "nobody reads")
		var waiting strings.Builder
		queue := func(level zerolog.Level, line string) {
			say(level, line)
			waiting.WriteString(line)
		}
		for i := range all {
			queue(zerolog.InfoLevel, kilobyte(fmt.Sprint(i)))
		}
		wantDropped(t, w, "just full", 0, 0, 0, 0)
		say(zerolog.TraceLevel, "lost\n")
		say(zerolog.DebugLevel, "lost\n")
		say(zerolog.InfoLevel, "lost\n")
		wantDropped(t, w, "full", 2, 1, 0, 0)
		for i := range reserve {
			queue(zerolog.WarnLevel+zerolog.Level(i%2), kilobyte(fmt.Sprint("warning ", i)))
			say(zerolog.InfoLevel, "lost\n")
		}
		wantDropped(t, w, "the reserve is full", 2, 1+reserve, 0, 0)
		say(zerolog.WarnLevel, "lost\n")
		say(zerolog.ErrorLevel, "lost\n")
		say(zerolog.NoLevel, "lost\n")
		wantDropped(t, w, "all is full", 2, 1+reserve, 1, 2)
		if n := cap(w.waiting); n > (linesQueue+linesReserve)*3/2 {
			t.Errorf("the queue takes %d bytes", n)
		}

		close(s.takes)
		writes := s.taken()
		if len(writes) != 2 || writes[0] != "first\n" || !strings.HasPrefix(writes[1], waiting.String()) {
			t.Fatalf("%d writes: the lines that waited have not come whole and in order", len(writes))
		}
		wantReport(t, writes[1][waiting.Len():], report{Level: "warn", Dropped: 3 + reserve + 3, Warnings: 3})
		pass(linesPace)
		say(zerolog.InfoLevel, "next\n")
		s.want(t, "all is well again", "next\n")
		pass(linesPace)
		s.want(t, "no report twice")
		wantDropped(t, w, "at the end", 2, 1+reserve, 1, 2)
		if n := cap(w.waiting); n > 2*linesTogether {
			t.Errorf("%d bytes are kept for the next time", n)
		}
	})
}

// TestLongLine: a line that is longer than the queue is dropped, and that is reported at once though nothing else is written.
func TestLongLine(t *testing.T) {
	s := new(sink)
	onLines(t, s, func(t *testing.T, w *lineWriter, say say) {
		long := strings.Repeat("x", linesQueue-1) + "\n"
		say(zerolog.InfoLevel, long)
		s.want(t, "as long as the queue", long)
		pass(linesPace)
		say(zerolog.InfoLevel, "x"+long)
		wantDropped(t, w, "longer", 0, 1, 0, 0)
		if writes := s.taken(); len(writes) == 1 {
			wantReport(t, writes[0], report{Level: "warn", Dropped: 1})
		} else {
			t.Errorf("%d writes", len(writes))
		}
	})
}

// TestLinesOfABrokenSink wait, do not pile up, and come whole when the sink works again.
func TestLinesOfABrokenSink(t *testing.T) {
	const all, more = linesQueue >> 10, 100
	s := new(sink)
	onLines(t, s, func(t *testing.T, w *lineWriter, say say) {
		s.breakBy(syscall.ENOSPC, 4)
		say(zerolog.InfoLevel, "torn apart\n")
		s.want(t, "full after four bytes", "torn")
		for i := range all + more {
			say(zerolog.InfoLevel, kilobyte(fmt.Sprint(i)))
		}
		say(zerolog.WarnLevel, "a warning\n")
		wantDropped(t, w, "broken", 0, more, 0, 0)
		pass(time.Hour)
		s.want(t, "still broken")
		s.breakBy(nil, 0)
		pass(linesRetry)
		writes := s.taken()
		if len(writes) != 2 || writes[0] != " apart\n" || !strings.HasPrefix(writes[1], kilobyte("0")) {
			t.Fatalf("%d writes: %.300q", len(writes), writes)
		}
		_, rest, _ := strings.Cut(writes[1], kilobyte(fmt.Sprint(all-1))+"a warning\n")
		wantReport(t, rest, report{Level: "warn", Dropped: more, Error: syscall.ENOSPC.Error()})
		pass(linesPace)
		say(zerolog.InfoLevel, "again\n")
		s.want(t, "when it works again", "again\n")
		pass(linesPace)
		say(zerolog.InfoLevel, strings.Repeat("x", linesQueue+1)+"\n")
		if writes = s.taken(); len(writes) != 1 {
			t.Fatalf("%d writes", len(writes))
		}
		wantReport(t, writes[0], report{Level: "warn", Dropped: 1}) // and no error of long ago
	})
}

func TestFinishWritesAll(t *testing.T) {
	s := new(sink)
	onLines(t, s, func(t *testing.T, w *lineWriter, say say) {
		newLineWriter(s, nil).finish() // of one that has written nothing
		say(zerolog.InfoLevel, "1\n")
		s.want(t, "nothing before", "1\n")
		say(zerolog.InfoLevel, "2\n")
		say(zerolog.InfoLevel, "3\n")
		before := time.Now()
		w.finish()
		if took := time.Since(before); took != 0 {
			t.Errorf("it took %v", took)
		}
		s.want(t, "what waits", "2\n3\n")
		say(zerolog.ErrorLevel, "4\n")
		wantDropped(t, w, "afterwards", 0, 0, 0, 1)
		w.finish()
		pass(time.Second)
		s.want(t, "nothing comes afterwards")
	})
}

// TestFinishWaitsInVain: the end does not depend on the reader, and what the reader takes later is whole.
func TestFinishWaitsInVain(t *testing.T) {
	s := stuck()
	onLines(t, s, func(t *testing.T, w *lineWriter, say say) {
		say(zerolog.InfoLevel, "1\n")
		s.want(t, "nobody reads")
		say(zerolog.InfoLevel, "2\n")
		say(zerolog.InfoLevel, strings.Repeat("x", linesQueue)+"\n")
		before := time.Now()
		w.finish()
		if took := time.Since(before); took != linesEnd {
			t.Errorf("it took %v", took)
		}
		close(s.takes)
		writes := s.taken()
		if len(writes) != 2 || writes[0] != "1\n" || !strings.HasPrefix(writes[1], "2\n") {
			t.Fatalf("%q", writes)
		}
		wantReport(t, writes[1][2:], report{Level: "warn", Dropped: 1})
	})
}

// TestFinishOfABrokenSink does not wait: it tries once more, and that is all.
func TestFinishOfABrokenSink(t *testing.T) {
	s := new(sink)
	onLines(t, s, func(t *testing.T, w *lineWriter, say say) {
		s.breakBy(syscall.EPIPE, 0)
		say(zerolog.InfoLevel, "1\n")
		s.want(t, "broken")
		say(zerolog.InfoLevel, "2\n")
		before := time.Now()
		w.finish()
		if took := time.Since(before); took != 0 {
			t.Errorf("it took %v", took)
		}
	})
	s = new(sink)
	onLines(t, s, func(t *testing.T, w *lineWriter, say say) {
		s.breakBy(syscall.EPIPE, 0)
		say(zerolog.InfoLevel, "1\n")
		s.want(t, "broken")
		say(zerolog.InfoLevel, "2\n")
		s.breakBy(nil, 0)
		w.finish()
		s.want(t, "works again in time", "1\n", "2\n")
	})
}

// TestConsoleWaitsForNobody: text for people is dropped as well, and that is reported at every level of the log.
func TestConsoleWaitsForNobody(t *testing.T) {
	s := stuck()
	onLines(t, s, func(t *testing.T, _ *lineWriter, _ say) {
		log, lines := newLog(s, configs.Log{Level: "error", Format: "console"})
		defer lines.finish()
		for range 3 * linesQueue >> 10 {
			log.Error().Msg(strings.Repeat("x", 1<<10))
		}
		close(s.takes)
		text := strings.Join(s.taken(), "")
		written := strings.Count(text, " ERR xxx")
		want := fmt.Sprintf(" WRN lines of the log were dropped: they could not be written in time dropped=%[1]d warnings=%[1]d\n", 3*linesQueue>>10-written)
		if written < linesQueue>>11 || !strings.HasSuffix(text, want) {
			t.Errorf("%d lines, and at the end %q, want %q", written, text[max(0, len(text)-200):], want)
		}
	})
}

// TestEveryLineIsWrittenOrCounted writes from many goroutines to a pipe that is read late. Every line is there once, whole, and in
// its writer's order, or it was counted, and the reports add up.
func TestEveryLineIsWrittenOrCounted(t *testing.T) {
	const writers, each = 8, 20_000
	r, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	w := newLineWriter(out, nil)
	var all sync.WaitGroup
	for who := range writers {
		all.Go(func() { writeNumbered(t, w, who, each) })
	}
	all.Wait()
	read := make(chan counted)
	go func() { read <- readNumbered(t, r, 2*writers) }()
	for who := range writers {
		all.Go(func() { writeNumbered(t, w, writers+who, each) }) // while they are read
	}
	all.Wait()
	written(t, w)
	w.finish()
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	got := <-read
	var dropped uint64
	for level := zerolog.DebugLevel; level <= zerolog.ErrorLevel; level++ {
		dropped += w.droppedLines(level)
	}
	t.Logf("%d lines written, %d dropped", got.written, dropped)
	if got.written+dropped != 2*writers*each || got.reported != dropped || dropped == 0 {
		t.Errorf("%d lines written, %d dropped, %d of them reported; %d given", got.written, dropped, got.reported, 2*writers*each)
	}
}

// written waits until no line waits any more: finish would not wait for a slow reader.
func written(t *testing.T, w *lineWriter) {
	t.Helper()
	tick, end := time.NewTicker(linesPace), time.After(10*patience)
	defer tick.Stop()
	for {
		w.mu.Lock()
		idle := w.idle
		w.mu.Unlock()
		if idle {
			return
		}
		select {
		case <-tick.C:
		case <-end:
			t.Fatal("lines wait for ever")
		}
	}
}

// writeNumbered writes so many lines, warnings among them.
func writeNumbered(t *testing.T, w *lineWriter, who, lines int) {
	for i := range lines {
		level := zerolog.InfoLevel
		if i%1000 == 999 {
			level = zerolog.WarnLevel
		}
		line := numbered(who, i)
		if n, err := w.WriteLevel(level, line); n != len(line) || err != nil {
			t.Errorf("%d, %v", n, err)
		}
	}
}

func numbered(who, i int) []byte {
	return fmt.Appendf(nil, "%d %d %s\n", who, i, strings.Repeat("z", i%50))
}

// counted is what a log says.
type counted struct{ written, reported uint64 }

// readNumbered reads what writeNumbered has written for each of some writers, and reports.
func readNumbered(t *testing.T, r *os.File, writers int) (c counted) {
	defer r.Close()
	next := make([]int, writers)
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		line := lines.Text()
		if strings.Contains(line, reportText) {
			var about report
			if err := json.Unmarshal(lines.Bytes(), &about); err != nil {
				t.Errorf("%q: %v", line, err)
			}
			c.reported += about.Dropped
			continue
		}
		var who, i int
		if _, err := fmt.Sscanf(line, "%d %d", &who, &i); err != nil || who >= writers {
			t.Errorf("%q: %v", line, err)
			continue
		}
		if line+"\n" != string(numbered(who, i)) || i < next[who] {
			t.Errorf("%q is not whole, or has come after number %d", line, next[who]-1)
		}
		next[who] = i + 1
		c.written++
	}
	if err := lines.Err(); err != nil {
		t.Error(err)
	}
	return c
}
