package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"time"
)

// The bench writes what is between these lines, and nothing else of a document.
const (
	partBegins = "<!-- Written by make bench; a change by hand is lost with the next run. -->\n"
	partEnds   = "<!-- Here ends what make bench writes. -->\n"
)

var versionNumber = regexp.MustCompile(`\d+\.\d+(\.\d+)?`)

// conclude prints every table, and writes the documents where that is wanted.
func (b *bench) conclude(ctx context.Context, played []namedScene) error {
	var all []section
	for _, s := range played {
		all = append(all, s.sections(b)...)
	}
	all = append([]section{goals(all)}, all...)
	for _, s := range all {
		if err := s.print(b.out); err != nil {
			return err
		}
	}
	for _, a := range b.absent {
		fmt.Fprintf(b.out, "\nleft out: %s: %s\n", a.title, a.why)
	}
	if b.options.out == "" {
		return nil
	}
	dir := filepath.Join(b.options.out, "benchmarks")
	if err := fill(filepath.Join(dir, "README.md"), b.report(ctx, all)); err != nil {
		return err
	}
	for _, s := range all {
		for _, c := range s.charts {
			if err := c.draw(dir); err != nil {
				return err
			}
		}
	}
	constants, ok := constantsOf(played)
	if !ok {
		return nil
	}
	return fill(filepath.Join(b.options.out, "scaling.md"), constants.plan())
}

// report words the sections for the document.
func (b *bench) report(ctx context.Context, all []section) string {
	var s strings.Builder
	kind := "Medians"
	if b.sizes.rounds > 1 {
		kind += ", in brackets the least and the most,"
	}
	fmt.Fprintf(&s, "%s of %d rounds, on a machine with %d processors (%s, %s, Redis %s, node %s), %s. A load was measured for %s s in each round. "+
		"A median is of its own column, so parts need not add up to their sum.\n\n",
		kind, b.sizes.rounds, runtime.NumCPU(), runtime.GOOS, runtime.Version(), version(ctx, "redis-server"), version(ctx, "node"),
		time.Now().UTC().Format("January 2006"), figure(b.during.Seconds(), 1))
	for _, part := range all {
		part.markdown(&s)
	}
	if len(b.absent) > 0 {
		s.WriteString("## Left out\n\n")
		for _, a := range b.absent {
			fmt.Fprintf(&s, "- %s: %s.\n", a.title, a.why)
		}
		s.WriteByte('\n')
	}
	fmt.Fprintf(&s, "A process may have %s files open here, which bounds how many clients it can park (SUBSCRIBE from Go takes two for each); a cell with - is beyond that, or there is no such figure.\n",
		figure(float64(b.files), 0))
	return s.String()
}

// fill replaces the bench's part of a document. It appends that where there is none, and makes the document where there is none.
func fill(file, part string) error {
	text, err := os.ReadFile(file) //nolint:gosec // the user of the bench names the document
	if err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("read the document: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
		return fmt.Errorf("make the directory of documents: %w", err)
	}
	if err := os.WriteFile(file, []byte(replacePart(string(text), part)), 0o600); err != nil { //nolint:gosec // the user names it
		return fmt.Errorf("write the document: %w", err)
	}
	return nil
}

func replacePart(text, part string) string {
	before, rest, found := strings.Cut(text, partBegins)
	_, after, closed := strings.Cut(rest, partEnds)
	if !found || !closed {
		before, after = text, ""
	}
	if before != "" && !strings.HasSuffix(before, "\n") {
		before += "\n"
	}
	return before + partBegins + "\n" + strings.TrimSpace(part) + "\n\n" + partEnds + after
}
