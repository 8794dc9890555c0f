package main

import (
	"fmt"
	"math"
	"slices"
	"strconv"
)

// samples are the rounds' figures of one kind, by the row that they belong to.
type samples map[string][]float64

func (s *samples) add(row string, v float64) {
	if *s == nil {
		*s = make(samples)
	}
	(*s)[row] = append((*s)[row], v)
}

// median of a row; NaN when it has no figures.
func (s samples) median(row string) float64 { return median(s[row]) }

// against divides a row's figures by another's of the same rounds. It gives none when that was too small to be measured.
func (s samples) against(row, base string) (ratios []float64) {
	for i := range min(len(s[row]), len(s[base])) {
		if s[base][i] <= 0 {
			return nil
		}
		ratios = append(ratios, s[row][i]/s[base][i])
	}
	return ratios
}

// median is the middle one, or between the two in the middle; NaN of nothing.
func median(list []float64) float64 {
	n := len(list)
	if n == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(list))
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// figure words a number with so many digits behind the point, thousands apart; "-" for none.
func figure(v float64, digits int) string {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return "-"
	}
	text := strconv.FormatFloat(math.Abs(v), 'f', digits, 64)
	whole := len(text)
	if digits > 0 {
		whole -= digits + 1
	}
	for i := whole - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	if v < 0 && !allZero(text) {
		return "-" + text
	}
	return text
}

func allZero(text string) bool {
	for _, c := range text {
		if c >= '1' && c <= '9' {
			return false
		}
	}
	return true
}

// spread words a median and, where they differ, the least and the most.
func spread(list []float64, digits int) string {
	text := figure(median(list), digits)
	if len(list) == 0 {
		return text
	}
	least, most := figure(slices.Min(list), digits), figure(slices.Max(list), digits)
	if least == most {
		return text
	}
	return fmt.Sprintf("%s (%s to %s)", text, least, most)
}
