package main

import (
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
)

// reportHead is what stands before the tables. It has no date, so that a run that shows the same changes nothing here.
const reportHead = `# What becomes of requests when something breaks

Written by ` + "`make chaos`" + ` from what it has seen; a change by hand is lost with the next run. It builds the program and runs two
gateways as processes, with real Redis servers, haproxy where the row says so, and the simulated engine, all on the loopback: here on
%s.

In each row some dozen clients ask for one result after the other, half of them with an ` + "`Idempotency-Key`" + `, one in seven for three
operations at once. After a second the fault comes, and the load goes on until all is well again. Each operation carries a nonce that its result has
to bring back. A client with a key asks again, at the other gateway, when its connection breaks or it is refused; a client with a
` + "`Location`" + ` looks there. The engine repeats a callback every 200 ms until it is taken. In the end what each client has read is compared
with what the engine has heard. In the rows under notification a client names a receiver, which has to have the result from one request that it has
answered with 2xx, signed: then the client's trip is answered. If its client had a 202 and it has not, the result is lost.

| | |
|---|---|
| answered | its own result, as the reply to its only request |
| recovered | its own result, by asking again with its key or at its Location |
| timed out | the reply said so, and the engine has no acknowledgement of a result that the client could read |
| refused | 503, 502 or 401 at once; nothing was acknowledged either |
| cut off | its connection broke, or it left, and it had no key: it cannot ask, and nobody can ask for it |
| **lost** | the engine heard 200, the client can ask and cannot read the result; or it never had a reply at all |
| **doubled** | an operation has two tasks, or a reply said that it may be tried again though it has a task |
| **mismatched** | somebody else's result |
| **sent again** | a result that is pushed was sent again after its sender had heard a 2xx, or twice at once |
| serves | from the end of the fault until every gateway has served a new request whose callback came to the other one |
| latest | the longest that a waiting client had its answer after its callback was acknowledged and the fault was over |

`

const reportTail = `## What this does not show

- A clock that jumps: the machine's is not touched. The rows under clock have clients that sign with another time.
- Networks of several machines, and disks that fail.
- A Redis that forgets what it has acknowledged: here every server keeps its data with ` + "`appendfsync always`" + `, and a promoted replica had
  all but what was on its way. [guarantees.md](guarantees.md) says what does not hold without.
`

// report words the results.
func report(ctx context.Context, results []*result) string {
	var b strings.Builder
	fmt.Fprintf(&b, reportHead, machine(ctx))
	sum := result{counts: make(map[verdict]int)}
	component := ""
	for _, r := range results {
		if r.cell.component != component {
			component = r.cell.component
			fmt.Fprintf(&b, "%s## %s\n\n%s", gap(component, results), title(component), tableHead)
		}
		fmt.Fprintln(&b, r.row(r.cell.fault))
		sum.trips = append(sum.trips, r.trips...)
		for v, n := range r.counts {
			sum.counts[v] += n
		}
		sum.heal, sum.lag = max(sum.heal, r.heal), max(sum.lag, r.lag)
	}
	fmt.Fprintf(&b, "\n## All %d rows\n\n%s%s\n\n## What was done\n\n", len(results), tableHead, sum.row("together; the longest times"))
	for _, r := range results {
		fmt.Fprintf(&b, "- **%s: %s.** %s\n", title(r.cell.component), r.cell.fault, r.cell.what)
	}
	b.WriteString("\n" + reportTail)
	return b.String()
}

const tableHead = `| fault | trips | answered | recovered | timed out | refused | cut off | **lost** | **doubled** | **mismatched** | **sent again** | serves | latest |
|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|
`

// row is a line of the table. What has not happened is left empty, but for what must not.
func (r *result) row(name string) string {
	cells := []string{name, fmt.Sprint(len(r.trips))}
	for _, v := range []verdict{answered, recovered, timedOut, refused, cut} {
		if r.counts[v] == 0 {
			cells = append(cells, "")
		} else {
			cells = append(cells, fmt.Sprint(r.counts[v]))
		}
	}
	cells = append(cells, fmt.Sprint(r.counts[lost]+r.counts[hung]), fmt.Sprint(r.counts[doubled]), fmt.Sprint(r.counts[mistaken]), fmt.Sprint(r.counts[repeated]), seconds(r.heal), seconds(r.lag))
	return "| " + strings.Join(cells, " | ") + " |"
}

// gap separates the tables.
func gap(component string, results []*result) string {
	if component == results[0].cell.component {
		return ""
	}
	return "\n"
}

func title(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// machine says in general terms where the run was.
func machine(ctx context.Context) string {
	return fmt.Sprintf("a machine with %d processors, %s, %s, Redis %s, haproxy %s",
		runtime.NumCPU(), runtime.GOOS, runtime.Version(), version(ctx, "redis-server"), version(ctx, "haproxy"))
}

// version is the first number with dots that a program says of itself.
func version(ctx context.Context, program string) string {
	out, err := exec.CommandContext(ctx, program, "-v").CombinedOutput()
	if found := regexp.MustCompile(`\d+\.\d+(\.\d+)?`).Find(out); err == nil && found != nil {
		return string(found)
	}
	return "unknown"
}
