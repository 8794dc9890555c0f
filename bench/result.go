package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
)

// errMismatch says that a reply carries another trip's result, which no other figure makes good.
var errMismatch = errors.New("a reply has another trip's result")

// failure is an error of a trip with the kind that it is counted under.
type failure struct {
	kind string
	err  error
}

func (f failure) Error() string {
	if f.err == nil {
		return f.kind
	}
	return f.kind + ": " + f.err.Error()
}

func (f failure) Unwrap() error { return f.err }

// check says whether a reply brings the result with that nonce, and that alone.
func check(status int, body, nonce []byte) error {
	const name = `"nonce":"`
	rest, found := body, false
	for {
		_, after, more := bytes.Cut(rest, []byte(name))
		if !more {
			break
		}
		value, _, _ := bytes.Cut(after, []byte(`"`))
		if !bytes.Equal(value, nonce) {
			return errMismatch
		}
		rest, found = after, true
	}
	switch {
	case status != 200:
		return failure{kind: fmt.Sprintf("status %d", status), err: fmt.Errorf("%.200s", body)}
	case !found:
		return failure{kind: "no result", err: fmt.Errorf("%.200s", body)}
	}
	return nil
}

// result of a load.
type result struct {
	trips      int            // ended, well or not
	missing    int            // not ended when the run's time was up
	mismatches int            // of trips: another trip's result came
	errors     map[string]int // of trips: the others that went wrong, by kind
	example    string         // one of these in full
	elapsed    time.Duration

	latencies []time.Duration // of the good ones; sorted
}

func (r *result) count(latency time.Duration, err error) {
	r.trips++
	var f failure
	switch {
	case err == nil:
		r.latencies = append(r.latencies, latency)
	case errors.As(err, &f):
		if r.errors == nil {
			r.errors = make(map[string]int)
		}
		r.errors[f.kind]++
		r.example = f.Error()
	default: // errMismatch
		r.mismatches++
	}
}

// sum puts the connections' results together.
func sum(parts []result, trips int, elapsed time.Duration) *result {
	all := &result{missing: trips, elapsed: elapsed, errors: make(map[string]int)}
	for _, r := range parts {
		all.trips += r.trips
		all.missing -= r.trips
		all.mismatches += r.mismatches
		all.example = cmp.Or(all.example, r.example)
		all.latencies = append(all.latencies, r.latencies...)
		for kind, n := range r.errors {
			all.errors[kind] += n
		}
	}
	slices.Sort(all.latencies)
	return all
}

// good is how many trips brought their own result.
func (r *result) good() int { return len(r.latencies) }

// rate is good trips a second.
func (r *result) rate() float64 { return float64(r.good()) / r.elapsed.Seconds() }

// percentile is the latency that p percent of the good trips do not exceed; 0 when there are none.
func (r *result) percentile(p float64) time.Duration {
	n := len(r.latencies)
	if n == 0 {
		return 0
	}
	i := int(math.Ceil(float64(n)*p/100)) - 1 // nearest rank
	return r.latencies[max(i, 0)]
}

// err is nil when every trip was made and brought its own result.
func (r *result) err() error {
	if r.good() == r.trips && r.missing == 0 {
		return nil
	}
	var parts []string
	if r.mismatches > 0 {
		parts = append(parts, fmt.Sprintf("%d mismatches", r.mismatches))
	}
	for _, kind := range slices.Sorted(maps.Keys(r.errors)) {
		parts = append(parts, fmt.Sprintf("%d times %s", r.errors[kind], kind))
	}
	if r.missing > 0 {
		parts = append(parts, fmt.Sprintf("%d trips not made in time", r.missing))
	}
	text := strings.Join(parts, ", ")
	if r.example != "" {
		text += "; e.g. " + r.example
	}
	if r.mismatches > 0 {
		return fmt.Errorf("%w: %s", errMismatch, text)
	}
	return errors.New(text)
}

// String is one line for people.
func (r *result) String() string {
	return fmt.Sprintf("%d trips in %s, %.0f trips/s, p50 %s, p90 %s, p99 %s, max %s, %d mismatches, %d other errors, %d missing",
		r.trips, r.elapsed.Round(time.Millisecond), r.rate(), short(r.percentile(50)), short(r.percentile(90)),
		short(r.percentile(99)), short(r.percentile(100)), r.mismatches, r.trips-r.good()-r.mismatches, r.missing)
}

// short is a latency with three digits or so.
func short(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return d.Round(time.Microsecond).String()
	case d < time.Second:
		return fmt.Sprintf("%.2fms", d.Seconds()*1000)
	}
	return d.Round(10 * time.Millisecond).String()
}
