package main

import (
	"strings"
	"testing"
)

// TestFindingsAreEscaped shows findings that quote a server. Their control characters are escaped, and their words stay.
func TestFindingsAreEscaped(t *testing.T) {
	found := finding{Part: "edge", Verdict: isProblem, Key: "listen.public_url", Text: "„\x1b[2J\u009b0m“ after 300µs", Do: "set \x07 it"}
	for name, show := range map[string]func(*strings.Builder){
		"doctor":         func(b *strings.Builder) { showRow(b)(found) },
		"check --online": func(b *strings.Builder) { showOnline(b)(found) },
	} {
		var b strings.Builder
		show(&b)
		if got := b.String(); strings.ContainsAny(got, "\x1b\x07\u009b") || !strings.Contains(got, `[2J`) || !strings.Contains(got, "after 300µs") || !strings.HasSuffix(got, "\n") {
			t.Errorf("%s: %q", name, got)
		}
	}
}
