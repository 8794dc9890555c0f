package main

import (
	"fmt"
	"io"
	"strings"
)

// verdict is what is said of one thing that was looked at.
type verdict string

const (
	isOK      verdict = "ok"
	isWarning verdict = "warning"
	isProblem verdict = "problem"
)

// finding is what was found out about one thing.
type finding struct {
	Part    string  `json:"part"`
	Verdict verdict `json:"verdict"`
	Key     string  `json:"key"`          // of the configuration, or a word for what was looked at
	Text    string  `json:"text"`         // what is so
	Do      string  `json:"do,omitempty"` // what to set, where Text does not say it
}

// findings are what check --online and doctor find. Each goes to show as it is found.
type findings struct {
	show  func(finding)
	part  string // of those that follow
	count map[verdict]int
	over  <-chan struct{} // closed by a signal. What is not reached from then on says nothing; nil: never
}

func newFindings(show func(finding)) *findings {
	return &findings{show: show, count: make(map[verdict]int)}
}

func (r *findings) ok(key, format string, args ...any)   { r.add(isOK, key, "", format, args...) }
func (r *findings) warn(key, format string, args ...any) { r.add(isWarning, key, "", format, args...) }

func (r *findings) fail(key, format string, args ...any) { r.add(isProblem, key, "", format, args...) }

// add adds a finding with what to do.
func (r *findings) add(v verdict, key, do, format string, args ...any) {
	select {
	case <-r.over:
		return
	default:
	}
	r.count[v]++
	r.show(finding{r.part, v, key, fmt.Sprintf(format, args...), do})
}

// showOnline prints a finding as check --online does, which says error for what keeps a gateway from serving.
func showOnline(w io.Writer) func(finding) {
	w = escaping{w}
	return func(f finding) {
		word := string(f.Verdict)
		if f.Verdict == isProblem {
			word = "error"
		}
		fmt.Fprintf(w, "%-8s %s: %s\n", word+":", f.Key, f.Text)
	}
}

// showRow prints a finding as a row of a table, and what to do in a line below. A finding may quote what a server has answered, so it is escaped.
func showRow(w io.Writer) func(finding) {
	w = escaping{w}
	return func(f finding) {
		fmt.Fprintf(w, "%-8s %-9s %s: %s\n", f.Verdict, f.Part, f.Key, f.Text)
		if f.Do != "" {
			fmt.Fprintf(w, "%s-> %s\n", strings.Repeat(" ", 19), f.Do)
		}
	}
}
