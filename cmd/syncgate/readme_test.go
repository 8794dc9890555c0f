package main

import (
	"os"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// block writes a block of the README into a file, as the reader would copy it. A block is found by the comment before it,
// <!-- test: NAME -->. The arguments after FILE replace text of the block: OLD NEW...
func block(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 2, "block NAME FILE [OLD NEW]...")
	readme, err := os.ReadFile("../../README.md")
	ts.Check(err)
	_, rest, found := strings.Cut(string(readme), "<!-- test: "+args[0]+" -->\n```")
	language, text, opened := strings.Cut(rest, "\n")
	text, _, closed := strings.Cut(text, "```\n")
	if !found || !opened || !closed {
		ts.Fatalf("the README has no block %q", args[0])
	}
	if language == "json" { // the body of a reply, which ends without a newline
		text = strings.TrimSuffix(text, "\n")
	}
	text = strings.NewReplacer(args[2:]...).Replace(text)
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(text), 0o600))
}
