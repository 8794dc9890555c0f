package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"syncgate/internal/admin"
	"syncgate/internal/whereabouts"
)

// topView is what syncgate top shows.
type topView struct {
	status  admin.Status
	summary whereabouts.Summary
}

// whole reports whether both parts have come.
func (v *topView) whole() bool { return v.status.State != "" && v.summary.Groups != nil }

// lines words it. Times are those of the gateway's clock, but for the one that stands first.
func (v *topView) lines(now time.Time) []string {
	s := &v.status
	lines := []string{
		strings.TrimSpace(fmt.Sprintf("%s  syncgate %s%s  %s%s  up %s", now.Format(time.TimeOnly), cell(s.Version), named("  node ", s.Node),
			stateOf(s), demoOf(s), roughly(s.Now.Sub(s.Started)))),
		fmt.Sprintf("waiting %s  queued %d  streams %d%s%s  %s", ofLimit(s.Parked, s.LimitParked), s.Queued, s.Streams, keptOf(s), unsavedOf(s), correlatorOf(s)),
	}
	for _, e := range s.Engines {
		line := fmt.Sprintf("engine %s  busy %s  idle %d  queued %d", cell(e.Name), ofLimit(e.Busy, e.Limit), e.Idle, e.Queued)
		if e.BreakerOpen {
			line += "  BREAKER OPEN: it refuses connections"
		}
		lines = append(lines, line)
	}
	lines = append(append(lines, ""), v.table()...)
	for i := range lines {
		lines[i] = printableText(lines[i])
	}
	return lines
}

// stateOf words the state of a node: what /readyz says.
func stateOf(s *admin.Status) string {
	if s.State == "ready" {
		return s.State
	}
	return strings.ToUpper(cell(s.State)) + named(": ", s.Missing)
}

func demoOf(s *admin.Status) string {
	if s.Demo {
		return " (demo)"
	}
	return ""
}

// keptOf says how many results are kept, where this node keeps them.
func keptOf(s *admin.Status) string {
	if s.ResultsKept == nil || s.ResultsKeptBytes == nil {
		return ""
	}
	return fmt.Sprintf("  results kept %d (%s)", *s.ResultsKept, inBytes(*s.ResultsKeptBytes))
}

// unsavedOf warns of results that are not stored yet.
func unsavedOf(s *admin.Status) string {
	if s.Unsaved > 0 {
		return fmt.Sprintf("  UNSAVED %d", s.Unsaved)
	}
	return ""
}

func correlatorOf(s *admin.Status) string {
	if s.Correlator.Backend != "" && !s.Correlator.Up {
		return cell(s.Correlator.Backend) + " DOWN"
	}
	return cell(s.Correlator.Backend)
}

// table has a line for each group, below a head.
func (v *topView) table() []string {
	s := &v.summary
	if len(s.Groups) == 0 {
		return append([]string{"Nothing is in flight, and nothing has ended lately."}, v.covered()...)
	}
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprint(t, "ROUTE\tLOGIN\tIN FLIGHT\tOLDEST\tQUEUED\tRATE\tENGINE P50/P99\tWAIT P50/P99\tENDED\n")
	for i := range s.Groups {
		g := &s.Groups[i]
		oldest := "-"
		if g.InFlight > 0 {
			oldest = briefly(time.Duration(g.Oldest) * time.Millisecond)
		}
		fmt.Fprintf(t, "%s\t%s\t%d\t%s\t%d\t%s\t%s\t%s\t%s\n", cell(g.Route), cell(g.Login), g.InFlight, oldest, g.Queued, rateOf(g.Rate),
			percentiles(g.EngineP50, g.EngineP99), percentiles(g.WaitP50, g.WaitP99), outcomesOf(g.Outcomes))
	}
	_ = t.Flush() // a strings.Builder takes everything
	lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
	if s.More {
		lines = append(lines, fmt.Sprintf("These are the %d busiest.", len(s.Groups)))
	}
	return append(lines, v.covered()...)
}

// covered says for how long what has ended is known, where that is less than the window.
func (v *topView) covered() []string {
	const slack = 2 // seconds that the two parts may be apart
	s := &v.summary
	switch up := s.Now.Sub(v.status.Started).Seconds(); {
	case s.Covered >= s.Window:
		return nil
	case s.Covered >= up-slack:
		return []string{fmt.Sprintf("What has ended is counted since the start, %.0fs ago.", s.Covered)}
	}
	return []string{fmt.Sprintf("What has ended is known for the last %.0fs of %.0fs: raise admin.trips to remember more.", s.Covered, s.Window)}
}

// ofLimit is a number, with what it may be where there is a limit.
func ofLimit(n, limit int) string {
	if limit <= 0 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%d of %d", n, limit)
}

// rateOf is a rate per second.
func rateOf(rate float64) string {
	if rate > 0 && rate < 1 {
		return fmt.Sprintf("%.2f/s", rate)
	}
	return fmt.Sprintf("%.0f/s", rate)
}

// percentiles are two of them, a dash where nothing ended.
func percentiles(p50, p99 *float64) string {
	if p50 == nil || p99 == nil {
		return "-"
	}
	of := func(ms float64) string {
		if ms < 10 {
			return fmt.Sprintf("%.1fms", ms)
		}
		return briefly(time.Duration(ms * float64(time.Millisecond)))
	}
	return of(*p50) + " / " + of(*p99)
}

// outcomesOf lists outcomes, the most frequent first.
func outcomesOf(outcomes map[string]int) string {
	names := slices.SortedFunc(maps.Keys(outcomes), func(a, b string) int {
		return cmp.Or(cmp.Compare(outcomes[b], outcomes[a]), strings.Compare(a, b))
	})
	for i, name := range names {
		names[i] = fmt.Sprintf("%s %d", cell(name), outcomes[name])
	}
	return cmp.Or(strings.Join(names, ", "), "-")
}

// inBytes writes a number of bytes in its largest unit.
func inBytes(n int64) string {
	switch {
	case n < 1<<10:
		return fmt.Sprintf("%d B", n)
	case n < 1<<20:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	case n < 1<<30:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
}
