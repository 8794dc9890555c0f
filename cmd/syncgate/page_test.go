package main

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// page is a document whose blocks a script runs. The comment <!-- test: NAME --> before a block names it.
type page struct {
	file   string
	edits  *strings.Replacer // addresses of the page, and those of the script
	blocks map[string]string
	unused map[string]bool
	shell  *shell // nil until the script types something
}

type pageKey struct{}

var (
	markedBlock = regexp.MustCompile("(?ms)^<!-- test: ([^\n]+) -->\n```\\w*\n(.*?)^```$")
	blanks      = regexp.MustCompile("  +")
	shellBlock  = regexp.MustCompile("(?m)^```sh$")
)

// openPage opens a page for the other commands, and writes it to page.md. The arguments after FILE are pairs: NEW replaces OLD in the page. It fails
// where a block of shell has no name.
func openPage(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 1, "page FILE [OLD NEW]...")
	text, err := os.ReadFile("../../" + args[0])
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs("page.md"), text, 0o600))
	p := &page{file: args[0], edits: strings.NewReplacer(args[1:]...), blocks: make(map[string]string), unused: make(map[string]bool)}
	for _, m := range markedBlock.FindAllStringSubmatch(string(text), -1) {
		if p.unused[m[1]] {
			ts.Fatalf("%s has two blocks %q", p.file, m[1])
		}
		p.blocks[m[1]], p.unused[m[1]] = m[2], true
		text = []byte(strings.Replace(string(text), m[0], "", 1))
	}
	if shellBlock.Match(text) {
		ts.Fatalf("%s has a block of shell without a name: no test runs it", p.file)
	}
	*opened(ts) = p
}

func opened(ts *testscript.TestScript) **page {
	p, ok := ts.Value(pageKey{}).(**page)
	if !ok {
		ts.Fatalf("Setup has made no place for a page")
	}
	return p
}

// take gives a block.
func take(ts *testscript.TestScript, name string) (p *page, text string) {
	p = *opened(ts)
	if p == nil {
		ts.Fatalf("no page is open")
	}
	text, found := p.blocks[name]
	if !found {
		ts.Fatalf("%s has no block %q", p.file, name)
	}
	delete(p.unused, name)
	return p, p.edits.Replace(text)
}

// writes puts a block into a file. The arguments after FILE replace text: OLD NEW...
func writes(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 2, "writes BLOCK FILE [OLD NEW]...")
	_, text := take(ts, args[0])
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(strings.NewReplacer(args[2:]...).Replace(text)), 0o600))
}

// types pastes a block into a terminal, waits until it is done, and wants that its last command succeeded. What it has printed is in the file typed. All
// blocks of a script go to one shell, so a block sees the variables of those before it.
func types(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 1, "types BLOCK [OLD NEW]...")
	p, text := take(ts, args[0])
	if p.shell == nil {
		p.shell = newShell(ts)
	}
	printed, status := p.shell.paste(ts, strings.NewReplacer(args[1:]...).Replace(text))
	ts.Logf("[%s]\n%s", args[0], printed)
	ts.Check(os.WriteFile(ts.MkAbs("typed"), []byte(printed), 0o600))
	if status != "0" {
		ts.Fatalf("the block %q of %s ends with status %s", args[0], p.file, status)
	}
}

// shows wants that a file, typed if none is named, is what a block shows. In the block … stands for any text of a line, and a line … for any lines.
func shows(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 1, "shows BLOCK [FILE]")
	p, text := take(ts, args[0])
	file := "typed"
	if len(args) > 1 {
		file = args[1]
	}
	got := strings.TrimSpace(strings.ReplaceAll(ts.ReadFile(file), "\r\n", "\n"))
	if !patternOf(text).MatchString(got) {
		ts.Fatalf("the block %q of %s shows\n%s\nand not\n%s", args[0], p.file, text, got)
	}
}

// patternOf gives the pattern that a block of output is.
func patternOf(block string) *regexp.Regexp {
	var lines []string
	for line := range strings.Lines(strings.TrimSpace(block)) {
		if line = strings.TrimSuffix(line, "\n"); line == "…" {
			lines = append(lines, `(?:[^\n]*\n)*?`)
			continue
		}
		line = strings.ReplaceAll(regexp.QuoteMeta(line), "…", `[^\n]*`)
		line = blanks.ReplaceAllString(line, " +") // the width of a table's columns depends on the cells
		lines = append(lines, line+"\n")
	}
	pattern := strings.Join(lines, "")
	return regexp.MustCompile(`\A` + strings.TrimSuffix(pattern, "\n") + `\z`)
}

// whole wants that every block of the page was used.
func whole(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 0, "whole")
	p := *opened(ts)
	if left := slices.Sorted(maps.Keys(p.unused)); len(left) > 0 {
		ts.Fatalf("the script does not use these blocks of %s: %q", p.file, left)
	}
}

// shell is a terminal of a script. Its commands have the environment that the script had when it was opened.
type shell struct {
	in  io.Writer
	out *bufio.Reader
}

const endOfBlock = "== the block has ended, with status "

func newShell(ts *testscript.TestScript) *shell {
	cmd := exec.Command("sh")
	cmd.Dir = ts.MkAbs(".")
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "GORACE"} {
		cmd.Env = append(cmd.Env, name+"="+ts.Getenv(name))
	}
	in, err := cmd.StdinPipe()
	ts.Check(err)
	out, err := cmd.StdoutPipe()
	ts.Check(err)
	cmd.Stderr = cmd.Stdout
	ts.Check(cmd.Start())
	timer := time.AfterFunc(4*patience, func() { _ = cmd.Process.Kill() }) // a block that hangs
	ts.Defer(func() {
		timer.Stop()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return &shell{in, bufio.NewReader(out)}
}

// paste gives what a text prints, and the status of its last command.
func (s *shell) paste(ts *testscript.TestScript, text string) (printed, status string) {
	_, err := fmt.Fprintf(s.in, "%s\nprintf '\\n%s%%s\\n' $?\n", strings.TrimSuffix(text, "\n"), endOfBlock)
	ts.Check(err)
	var all strings.Builder
	for {
		line, err := s.out.ReadString('\n')
		if err != nil {
			ts.Fatalf("the shell has ended (%v); it has printed\n%s", err, &all)
		}
		if rest, ended := strings.CutPrefix(line, endOfBlock); ended {
			return all.String(), strings.TrimSpace(rest)
		}
		all.WriteString(line)
	}
}
