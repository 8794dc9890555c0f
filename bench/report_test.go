package main

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSamples(t *testing.T) {
	var s samples
	for _, v := range []float64{40, 10, 20} {
		s.add("floor", v)
		s.add("other", v+10)
	}
	s.add("other", 7) // of a round that the floor has no figure of
	if m := s.median("floor"); m != 20 {
		t.Errorf("median is %v", m)
	}
	if got := spread(s.against("other", "floor"), 2); got != "1.50 (1.25 to 2.00)" {
		t.Errorf("against the floor: %s", got)
	}
	s.add("floor", 0)
	if got := s.against("other", "floor"); got != nil {
		t.Errorf("against what was too short to be measured: %v", got)
	}
	if got := median([]float64{4, 1, 2, 3}); got != 2.5 {
		t.Errorf("median of four: %v", got)
	}
	if !math.IsNaN(s.median("nobody")) {
		t.Errorf("median of nothing: %v", s.median("nobody"))
	}
}

func TestFigure(t *testing.T) {
	f := func(v float64, digits int, want string) {
		t.Helper()
		if got := figure(v, digits); got != want {
			t.Errorf("%v with %d digits is %s, want %s", v, digits, got, want)
		}
	}
	f(0, 0, "0")
	f(999, 0, "999")
	f(1000, 0, "1,000")
	f(1234567.891, 2, "1,234,567.89")
	f(-1234.5, 1, "-1,234.5")
	f(-0.01, 1, "0.0")
	f(math.NaN(), 1, "-")
	f(math.Inf(1), 1, "-")
}

func TestGoal(t *testing.T) {
	f := func(got float64, want string) {
		t.Helper()
		if v := (goal{most: 1.25, got: got, digits: 2}).verdict(); v != want {
			t.Errorf("%v is %s, want %s", got, v, want)
		}
	}
	f(1.25, "met")
	f(1.254, "met") // it is shown as 1.25
	f(1.26, "**missed**")
	f(math.NaN(), "not measured")
}

func TestSection(t *testing.T) {
	s := section{
		title: "Title", text: "Text.", head: []string{"", "a", "b"}, rows: [][]string{{"one", "1", "**2**"}},
		charts: []chart{{file: "c.svg", title: "Chart"}},
	}
	var b strings.Builder
	s.markdown(&b)
	if want := "## Title\n\nText.\n\n|  | a | b |\n|---|--:|--:|\n| one | 1 | **2** |\n\n![Chart](c.svg)\n\n"; b.String() != want {
		t.Errorf("markdown is\n%s, want\n%s", &b, want)
	}
	var out bytes.Buffer
	if err := s.print(&out); err != nil || out.String() != "\nTitle\n\n     a  b\none  1  2\n" {
		t.Errorf("printed %q, %v", &out, err)
	}
}

// The bench writes its own part of a document and leaves what people wrote.
func TestFill(t *testing.T) {
	file := filepath.Join(t.TempDir(), "docs", "README.md")
	f := func(part, want string) {
		t.Helper()
		if err := fill(file, part); err != nil {
			t.Fatal(err)
		}
		if text, err := os.ReadFile(file); err != nil || string(text) != want {
			t.Errorf("%s, %v, want\n%s", text, err, want)
		}
	}
	f("one\n\n", partBegins+"\none\n\n"+partEnds)
	if err := os.WriteFile(file, []byte("before\n"+partBegins+"\none\n\n"+partEnds+"after\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f("two", "before\n"+partBegins+"\ntwo\n\n"+partEnds+"after\n")
	f("three", "before\n"+partBegins+"\nthree\n\n"+partEnds+"after\n")
	if err := os.WriteFile(file, []byte("no end"), 0o600); err != nil {
		t.Fatal(err)
	}
	f("four", "no end\n"+partBegins+"\nfour\n\n"+partEnds)
}

func TestDraw(t *testing.T) {
	dir := t.TempDir()
	c := chart{file: "c.svg", title: "A chart", x: "across", y: "up", lines: []line{{"first", []point{{0, 1}, {20_000, 3000}}}, {"empty", nil}}}
	if err := c.draw(dir); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "c.svg"))
	for _, want := range []string{"<svg", "A chart", "across", "up", "first", "20,000"} {
		if err != nil || !bytes.Contains(text, []byte(want)) {
			t.Errorf("no %s: %v", want, err)
		}
	}
}

// The plan's arithmetic with round numbers: 30 million clients make a million trips a second.
func TestNeeds(t *testing.T) {
	c := constants{resident: 2 << 10, kernel: 2 << 10, own: 100, across: 100, redis: 10}
	n := c.needs(30e6)
	if n.trips != 1e6 || n.gateways != 120 || n.perGateway != 250_000 || math.Abs(n.gatewayCores-100) > 1e-9 {
		t.Errorf("%+v", n)
	}
	if n.redisCores < 9.9 || n.redisCores > 10 || n.shards != 20 || n.balancers != 61 || n.addressesPerTarget != 1 {
		t.Errorf("%+v", n)
	}
	if c.own, c.across = 1000, 1000; c.needs(30e6).gateways != 250 { // a thousand processors, four of each gateway
		t.Errorf("by processors: %+v", c.needs(30e6))
	}
	if n := c.needs(10); n.gateways != 2 || n.shards != 1 || n.balancers != 2 {
		t.Errorf("few: %+v", n)
	}
	if _, ok := constantsOf(scenes()); ok {
		t.Error("there are constants of nothing measured")
	}
	if text := c.plan(); !strings.Contains(text, "| 10 thousand | 1 million | 100 million |\n") || strings.Contains(text, "NaN") {
		t.Errorf("the plan is\n%s", text)
	}
}
