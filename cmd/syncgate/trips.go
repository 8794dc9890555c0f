package main

import (
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"syncgate/internal/redact"
	"syncgate/internal/whereabouts"
)

const tripsHelp = `Lists the requests of a running gateway: those that are in flight, the oldest first, or those that are over, the newest first. A line has
the trip, how long the request has been in flight or took, the route, the login, the state or how it ended, and the ref. syncgate trip says
more about each.

States are in_flight (the default), of which queued wait for a connection to the engine and waiting for a callback, and over. With --outcome
and without --state those are listed that are over.

Without --admin it reads the same configuration as serve, to know the address. Each node knows its own requests, and remembers the last
admin.trips that are over.
`

const (
	// tripsPath is where operators ask for trips.
	tripsPath = "/api/trips"
	// tripsLimit is how many trips a list has where nobody says how many.
	tripsLimit = 100
	// mostCell bounds what a table shows of a text that others chose, in bytes.
	mostCell = 48
)

// tripStates are those by which trips can be listed.
func tripStates() []string {
	return []string{whereabouts.StateInFlight, whereabouts.StateQueued, whereabouts.StateWaiting, whereabouts.StateOver}
}

// tripsFlags are the flags of trips.
type tripsFlags struct {
	path, admin, state, route, login, outcome *string
	older                                     *time.Duration
	limit                                     *int
	raw                                       *bool
}

func trips(p *program, fs *flag.FlagSet, args []string) error {
	f := tripsFlags{
		path: configFlag(fs), admin: adminFlag(fs), raw: jsonFlag(fs),
		state:   fs.String("state", "", "list those of this `state`: in_flight, queued, waiting or over; empty: in_flight, with --outcome over"),
		route:   fs.String("route", "", "list those of this `route` alone; corezoid is the Sync API"),
		login:   fs.String("login", "", "list those of this `login` alone, as the log has it"),
		outcome: fs.String("outcome", "", "list those that ended with this `outcome` alone, such as timeout"),
		older:   fs.Duration("older", 0, "list those alone that were accepted longer ago than this `duration`"),
		limit:   fs.Int("limit", tripsLimit, "list so many at most, up to 1000"),
	}
	if err := parseConfigFlags(fs, args); err != nil {
		return err
	}
	if err := f.check(); err != nil {
		return err
	}
	address, err := p.adminAddress(*f.admin, *f.path)
	if err != nil {
		return err
	}
	return f.list(p.out, address)
}

// check completes the state, and reports what is wrong with the command line.
func (f *tripsFlags) check() error {
	if *f.state == "" {
		*f.state = whereabouts.StateInFlight
		if *f.outcome != "" {
			*f.state = whereabouts.StateOver
		}
	}
	switch {
	case !slices.Contains(tripStates(), *f.state):
		return usageError("--state must be " + strings.Join(tripStates(), ", "))
	case *f.outcome != "" && *f.state != whereabouts.StateOver:
		return usageError("--outcome is how a request ended: only those of --state over have one")
	case *f.older < 0:
		return usageError("--older must not be less than 0: write 500ms, 30s, 5m")
	case *f.limit < 1 || *f.limit > whereabouts.MostListed:
		return usageError("--limit must be from 1 to " + strconv.Itoa(whereabouts.MostListed))
	}
	return nil
}

// query gives the parameters of the list.
func (f *tripsFlags) query() string {
	q := url.Values{"state": {*f.state}, "limit": {strconv.Itoa(*f.limit)}}
	for name, value := range map[string]string{"route": *f.route, "login": *f.login, "outcome": *f.outcome} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if *f.older > 0 {
		q.Set("older_ms", strconv.FormatInt(f.older.Milliseconds(), 10))
	}
	return "?" + q.Encode()
}

// list asks for the list and prints it.
func (f *tripsFlags) list(w io.Writer, address string) error {
	l, body, err := answerOf(http.MethodGet, address, tripsPath+f.query(), "which requests there are", func(l *whereabouts.Trips) bool { return l.Trips != nil })
	switch {
	case err != nil:
		return err
	case *f.raw:
		_, err = w.Write(body)
		return err
	}
	printTrips(w, *f.state, &l, time.Now())
	return nil
}

// printTrips prints a list for people.
func printTrips(w io.Writer, state string, l *whereabouts.Trips, now time.Time) {
	if len(l.Trips) == 0 {
		fmt.Fprintf(w, "There are no requests that are %s and match.\n", strings.ReplaceAll(state, "_", " "))
		return
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if state == whereabouts.StateOver {
		fmt.Fprint(t, "TRIP\tTOOK\tROUTE\tLOGIN\tOUTCOME\tREF\n")
	} else {
		fmt.Fprint(t, "TRIP\tAGE\tROUTE\tLOGIN\tSTATE\tREF\n")
	}
	for i := range l.Trips {
		one := &l.Trips[i]
		took, became := roughly(now.Sub(one.Accepted)), one.State
		if one.State == whereabouts.StateOver {
			took, became = tookOf(one), one.Outcome
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", cell(one.Trip), took, cell(one.Route), cell(one.Login), cell(became), cell(refOf(one)))
	}
	_ = t.Flush() // there is no other place to report an error
	switch {
	case l.More && len(l.Trips) < whereabouts.MostListed:
		fmt.Fprintf(w, "These are %d of %d: --limit shows more, at most %d.\n", len(l.Trips), l.Total, whereabouts.MostListed)
	case l.More:
		fmt.Fprintf(w, "These are %d of %d: --route, --login, --outcome and --older show fewer.\n", len(l.Trips), l.Total)
	}
}

// tookOf is how long a request took that is over.
func tookOf(t *whereabouts.Trip) string {
	if t.Replied == nil {
		return "-"
	}
	return briefly(t.Replied.Sub(t.Accepted))
}

// refOf is the first ref that a request has, and how many operations there are beside that one.
func refOf(t *whereabouts.Trip) string {
	for _, op := range t.Ops {
		if op.Ref != "" && t.OpCount > 1 {
			return fmt.Sprintf("%s and %s", op.Ref, count(t.OpCount-1, "more op"))
		} else if op.Ref != "" {
			return op.Ref
		}
	}
	return ""
}

// cell is what a table shows of a text: printable, bounded, and a dash for none.
func cell(text string) string {
	if text == "" {
		return "-"
	}
	return string(redact.AppendText(nil, []byte(text), mostCell))
}

// briefly writes a duration with its milliseconds where it is short. It is for what was measured by one clock.
func briefly(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%dms", max(0, d.Milliseconds()))
	case d < time.Minute:
		return fmt.Sprintf("%.1fs", d.Seconds())
	}
	return roughly(d)
}
