package main

import (
	"fmt"
	"io"
	"math"
	"strings"
	"text/tabwriter"
)

// section is a part of the report.
type section struct {
	title  string
	text   string // what was done
	head   []string
	rows   [][]string
	charts []chart
	goals  []goal
}

// goal is something aimed at, and what was reached.
type goal struct {
	what   string
	most   float64
	got    float64 // NaN: it was not measured
	unit   string
	digits int
}

// verdict is for people; a goal that was missed is named so.
func (g goal) verdict() string {
	switch {
	case math.IsNaN(g.got):
		return "not measured"
	case math.Round(g.got*math.Pow10(g.digits)) <= math.Round(g.most*math.Pow10(g.digits)): // as they are shown
		return "met"
	}
	return "**missed**"
}

func (g goal) row() []string {
	return []string{g.what, "at most " + figure(g.most, g.digits) + g.unit, figure(g.got, g.digits) + g.unit, g.verdict()}
}

// goals gathers those of all sections into one of their own.
func goals(all []section) section {
	s := section{title: "What was aimed at", head: []string{"", "aim", "measured", ""}}
	for _, part := range all {
		for _, g := range part.goals {
			s.rows = append(s.rows, g.row())
		}
	}
	return s
}

// print writes the table for a terminal.
func (s section) print(out io.Writer) error {
	if len(s.rows) == 0 {
		return nil
	}
	fmt.Fprintf(out, "\n%s\n\n", s.title)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, row := range append([][]string{s.head}, s.rows...) {
		fmt.Fprintln(w, strings.ReplaceAll(strings.Join(row, "\t"), "**", ""))
	}
	return w.Flush()
}

// markdown writes the section for the documents.
func (s section) markdown(b *strings.Builder) {
	if len(s.rows) == 0 {
		return
	}
	fmt.Fprintf(b, "## %s\n\n", s.title)
	if s.text != "" {
		fmt.Fprintf(b, "%s\n\n", s.text)
	}
	fmt.Fprintf(b, "| %s |\n|---|%s\n", strings.Join(s.head, " | "), strings.Repeat("--:|", len(s.head)-1))
	for _, row := range s.rows {
		fmt.Fprintf(b, "| %s |\n", strings.Join(row, " | "))
	}
	b.WriteByte('\n')
	for _, c := range s.charts {
		fmt.Fprintf(b, "![%s](%s)\n\n", c.title, c.file)
	}
}
