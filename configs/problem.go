package configs

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// Problem is one thing that is wrong with the configuration.
type Problem struct {
	Key      string // key path such as auth.credentials[0].secret; empty for the file as a whole
	File     string // where it was written, empty for a default
	Line     int    // in File, from 1; 0 where there is none
	Variable string // the environment variable that set it, instead of File
	Text     string // what is wrong and what would do
}

// Error writes the problem as "file:line: key: text", leaving out what there is none of.
func (p *Problem) Error() string {
	parts := make([]string, 0, 3)
	switch {
	case p.Variable != "":
		parts = append(parts, p.Variable)
	case p.File != "" && p.Line > 0:
		parts = append(parts, p.File+":"+strconv.Itoa(p.Line))
	case p.File != "":
		parts = append(parts, p.File)
	}
	if p.Key != "" {
		parts = append(parts, p.Key)
	}
	return strings.Join(append(parts, p.Text), ": ")
}

// Problems is the error of Load: everything that is wrong, in the order of the file.
type Problems []*Problem

// Error writes one problem a line.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}

// sort puts the problems of the file first, by line; the others stay in the order in which they were found.
func (ps Problems) sort() {
	slices.SortStableFunc(ps, func(a, b *Problem) int {
		if a.Line == 0 || b.Line == 0 {
			return cmp.Compare(b.Line, a.Line)
		}
		return cmp.Compare(a.Line, b.Line)
	})
}

func (ps Problems) about(key string) bool {
	return slices.ContainsFunc(ps, func(p *Problem) bool { return p.Key == key })
}
