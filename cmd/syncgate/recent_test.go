package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"syncgate/configs"
)

// warned gives what the admin listener would show, as it would be read.
func warned(t *testing.T, w *recentWarnings) (all []warning) {
	t.Helper()
	text, err := json.Marshal(shownWarnings{w.newest()})
	if err != nil {
		t.Fatal(err)
	}
	var shown shownWarnings
	if err := json.Unmarshal(text, &shown); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return shown.Warnings
}

// TestWarningsAreRemembered has a reader that reads nothing and a full queue: what the log drops is remembered all the same, and nobody waits.
func TestWarningsAreRemembered(t *testing.T) {
	s := &sink{broken: errors.New("full")}
	log, lines := newLog(s, configs.Log{Level: "info", Format: "console"})
	defer lines.finish()
	filler := strings.Repeat("x", linesQueue/8)
	for range 10 {
		log.Info().Msg(filler)
	}
	for lines.droppedLines(zerolog.ErrorLevel) == 0 {
		log.Error().Msg("until there is no room for one more")
	}
	log.Warn().Str("key", "limits.ops").Int("n", 1).Msg(filler[:linesReserve/2])
	log.Error().Str("b", "é\n").Float64("a", 1.50).Bool("c", true).Msg("the last")
	all := warned(t, lines.warnings())
	if len(all) < 2 {
		t.Fatalf("%d lines", len(all))
	}
	last := all[0]
	at, err := time.Parse(time.RFC3339, last.Time)
	if err != nil || time.Since(at).Abs() > time.Minute || !strings.Contains(last.Time, ".") {
		t.Errorf("time %q: %v", last.Time, err)
	}
	if last.Level != "error" || last.Message != "the last" || string(last.Fields) != `{"b":"é\n","a":1.5,"c":true}` {
		t.Errorf("%+v %s", last, last.Fields)
	}
	if all[1].Level != "warn" || string(all[1].Fields) != `{"key":"limits.ops","n":1}` {
		t.Errorf("%+v %s", all[1], all[1].Fields)
	}
	if lines.droppedLines(zerolog.ErrorLevel) != 2 || lines.droppedLines(zerolog.WarnLevel) != 1 {
		t.Error("the last lines were not dropped: the test proves nothing")
	}
	s.breakBy(nil, 0)
	wantsDropped(t, lines.warnings())
}

// wantsDropped waits for the line about those that were dropped, which comes with the next write.
func wantsDropped(t *testing.T, w *recentWarnings) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !strings.HasPrefix(warned(t, w)[0].Message, "lines of the log were dropped"); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatal("that lines were dropped is not remembered")
		}
	}
}

// TestWarningsAreBounded wants the last ones alone.
func TestWarningsAreBounded(t *testing.T) {
	var w recentWarnings
	for n := range 3*mostWarnings + 7 {
		w.add(fmt.Appendf(nil, `{"level":"warn","n":%d,"message":"m"}`, n))
	}
	all := warned(t, &w)
	if len(all) != mostWarnings {
		t.Fatalf("%d lines", len(all))
	}
	for i := range all {
		if want := fmt.Sprintf(`{"n":%d}`, 3*mostWarnings+6-i); string(all[i].Fields) != want {
			t.Fatalf("line %d has %s, want %s", i, all[i].Fields, want)
		}
	}
}

// TestLongWarningsAreCut moves the place at which a line is cut over every kind of character, and wants its own time and message.
func TestLongWarningsAreCut(t *testing.T) {
	for n := range 120 {
		value := strings.Repeat("a", warningBytes-warningEnd-n) + strings.Repeat(`é"\u0001😀`, 20) + `,"time":"never"` + strings.Repeat("z", 2*warningBytes)
		var out strings.Builder
		log := zerolog.New(&out)
		log.Error().Str("first", "1").Str("stack", value).Str("behind", "2").
			Str("time", "2026-01-02T03:04:05.678Z").Msg(strings.Repeat("m", n*20))
		kept := cutWarning([]byte(out.String()))
		if size := len(kept.start) + len(kept.end); size > warningBytes {
			t.Fatalf("%d bytes are kept", size)
		}
		w := kept.read()
		var fields map[string]string
		if err := json.Unmarshal(w.Fields, &fields); err != nil {
			t.Fatalf("%v in %s", err, w.Fields)
		}
		stack, cut := strings.CutSuffix(fields["stack"], "…")
		if w.Level != "error" || w.Time != "2026-01-02T03:04:05.678Z" || fields["first"] != "1" || !cut || !strings.HasPrefix(value, stack) || len(stack) < 2000 {
			t.Fatalf("%d: %s %s %q %s", n, w.Level, w.Time, w.Message, w.Fields)
		}
		if message := strings.TrimSuffix(w.Message, "…"); len(w.Message) < min(20*n, 900) || strings.Trim(message, "m") != "" {
			t.Fatalf("%d: %q", n, w.Message)
		}
	}
}

// TestOddWarnings: what is no line of zerolog's is shown as far as it can be read.
func TestOddWarnings(t *testing.T) {
	f := func(line, want string) {
		t.Helper()
		kept := cutWarning([]byte(line))
		w := kept.read()
		if got := fmt.Sprintf("%s|%s|%s", w.Level, w.Message, w.Fields); got != want {
			t.Errorf("%.40s: %s, want %s", line, got, want)
		}
	}
	long := strings.Repeat("1", 2*warningBytes)
	f("", "||{}")
	f("panic: no JSON", "||{}")
	f(`{"level":"warn","a":{"b":[1,2]},"a":2,"message":"m"}`+"\n", `warn|m|{"a":{"b":[1,2]}}`)
	f(`{"level":"warn","message":7}`, `warn||{}`)
	f(`{"level":"warn","n":`+long+`,"message":"m"}`, `warn||{}`)
	f(`{"level":"warn","n":`+long+`,"time":"now","message":"m"}`, `warn|m|{}`)
	f(`{"level":"warn","o":{"p":"`+long+`"},"time":"now","message":"m"}`, `warn|m|{}`)
	f(`{"`+long+`":1,"time":"now","message":"m"}`, `|m|{}`)
}
