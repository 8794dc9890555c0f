package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"syncgate/internal/whereabouts"
)

const tripHelp = `Asks the admin listener of a running gateway where a request is: when it was accepted and forwarded, what the engine answered, when its
callbacks came, what the client got, until when the result is kept, and what to check next where something went wrong. ID is any of

  the request id    X-Request-Id of the answer, request_id in the log
  the ref           as the client sent it
  the engine's id   obj_id of the engine's own answer, engine_task in the log
  the trip          the first 8 characters of a callback token or task id, trip in the log
  a task id         the end of the Location of an answer; a whole callback token does too

With --cancel the gateway ends the task, as its client can: the client that waits is answered, and an engine that can cancel is asked to.

Without --admin it reads the same configuration as serve, to know the address. The gateway remembers the last admin.trips requests that are
over, and knows all that wait: syncgate trips lists them. Exit status: 0 if there is one, 1 if not.
`

// isDashedID reports whether an argument is an id that begins with a dash, as one of 64 does: it names no flag, and has the length of a trip's name, or more than
// flags have.
func isDashedID(fs *flag.FlagSet, arg string) bool {
	const name, long = 8, 40
	return (len(arg) == name || len(arg) >= long) && arg[1] != '-' && !strings.Contains(arg, "=") && fs.Lookup(arg[1:]) == nil
}

// tripFlags are the flags of trip.
type tripFlags struct {
	path, admin *string
	cancel, raw *bool
}

func whereIs(p *program, fs *flag.FlagSet, args []string) error {
	f := tripFlags{
		path: configFlag(fs), admin: adminFlag(fs), raw: jsonFlag(fs),
		cancel: fs.Bool("cancel", false, "end its task, as its client can; needs admin.actions: true"),
	}
	id := ""
	if len(args) > 0 && (!strings.HasPrefix(args[0], "-") || isDashedID(fs, args[0])) { // before the flags, too
		id, args = args[0], args[1:]
	}
	most := 1
	if id != "" {
		most = 0
	}
	if err := parseConfigArgs(fs, args, most); err != nil {
		return err
	}
	if id == "" {
		id = fs.Arg(0)
	}
	if id == "" {
		return usageError("which trip? Name a request id, ref, engine's task id, task id, or the first 8 characters of a token; syncgate trips lists those that are in flight")
	}
	address, err := p.adminAddress(*f.admin, *f.path)
	if err != nil {
		return err
	}
	return f.show(p.out, address, id)
}

// show asks for a trip, or ends its task, and prints where it is.
func (f *tripFlags) show(w io.Writer, address, id string) error {
	method, path := http.MethodGet, tripsPath+"/"+url.PathEscape(id)
	if *f.cancel {
		method, path = http.MethodPost, path+"/cancel"
	}
	a, body, err := answerOf(method, address, path, "where a trip is", func(a *whereabouts.Answer) bool { return a.Trips != nil })
	if err != nil {
		return err
	}
	if *f.raw {
		fmt.Fprintf(w, "%s", body)
	} else {
		printWhereabouts(escaping{w}, &a)
	}
	if len(a.Trips) == 0 && a.Record == nil {
		return errors.New("this gateway knows no such trip: a request that was refused before its login was proved is only in the log, and each node knows its own requests")
	}
	return nil
}

// printWhereabouts prints the answer for people.
func printWhereabouts(w io.Writer, a *whereabouts.Answer) {
	for i := range a.Trips {
		printTrip(w, &a.Trips[i])
	}
	if a.More {
		fmt.Fprintf(w, "There are more; these are the newest %d.\n", len(a.Trips))
	}
	if a.Record != nil {
		fmt.Fprintf(w, "The store has a result for it: %d of %s final.\n", a.Record.Final, count(a.Record.Ops, "op"))
	}
	if a.Home != "" {
		fmt.Fprintf(w, "It is at another node, %s: ask there. The node is in the line \"serving\" of its log and in syncgate_node_info. This one is %s.\n", a.Home, a.Node)
	}
	if len(a.Trips) == 0 && a.Remembered == 0 {
		fmt.Fprint(w, "This gateway remembers no trips that are over: admin.trips is 0.\n")
	}
}

func printTrip(w io.Writer, t *whereabouts.Trip) {
	name := t.Trip
	if name == "" {
		name = "(not forwarded)"
	}
	fmt.Fprintf(w, "trip %s  request %s  login %s%s\n", name, t.RequestID, t.Login, named("  route ", t.Route)+named("  engine ", t.Engine))
	for _, op := range t.Ops {
		fmt.Fprintf(w, "  op %d: %s%s\n", op.Op, op.State, named(" process ", op.Process)+named(" ref ", op.Ref)+named(" engine task ", op.EngineTask))
	}
	if n := t.OpCount - len(t.Ops); n > 0 {
		fmt.Fprintf(w, "  and %s\n", count(n, "more op"))
	}
	step := func(what string, at *time.Time, more string) {
		if at != nil {
			fmt.Fprintf(w, "  %-16s %s  +%v%s\n", what, at.Format("15:04:05.000"), at.Sub(t.Accepted).Round(time.Millisecond), more)
		}
	}
	fmt.Fprintf(w, "  %-16s %s\n", "accepted", t.Accepted.Format("2006-01-02 15:04:05.000 MST"))
	for _, s := range engineSteps(t) {
		step(s.what, s.at, s.more)
	}
	if t.State == "over" {
		step("replied", t.Replied, fmt.Sprintf(" %d %s%s", t.Status, t.Outcome, named(": ", t.Reason)))
	} else {
		fmt.Fprintf(w, "  %-16s %s\n", "now", t.State)
		step("deadline", t.Deadline, "")
	}
	if t.HungUp {
		fmt.Fprint(w, "  the client had left, and did not get the reply\n")
	}
	shown := t.Late[:min(len(t.Late), mostLateSteps)]
	for i := range shown {
		step(lateName(t), &shown[i].At, ofOp(t, shown[i].Op)+map[bool]string{true: " kept", false: " not kept"}[shown[i].Kept])
	}
	if n := len(t.Late) - len(shown); n > 0 {
		fmt.Fprintf(w, "  and %s\n", count(n, "more "+lateName(t)))
	}
	step("kept until", t.KeptUntil, "")
	for _, next := range t.Next {
		fmt.Fprintf(w, "  check: %s\n", next)
	}
}

// mostLateSteps is how many callbacks that came late are printed of a trip.
const mostLateSteps = 20

// tripStep is something that happened to a trip.
type tripStep struct {
	what string
	at   *time.Time // nil: it has not happened
	more string
}

// engineSteps gives what the gateway said to the engine of a trip, and heard of it, in the order of the times.
func engineSteps(t *whereabouts.Trip) []tripStep {
	engine := " without an answer"
	if t.EngineStatus != 0 {
		engine = " with " + strconv.Itoa(t.EngineStatus)
	}
	steps := []tripStep{{"forwarded", t.Forwarded, ""}, {"engine answered", t.EngineAnswered, engine}}
	switch {
	case t.Reports == 1:
		steps = append(steps, tripStep{"report", t.FirstReport, ""})
	case t.Reports > 1:
		steps = append(steps, tripStep{"first report", t.FirstReport, ""}, tripStep{"last report", t.LastReport, fmt.Sprintf(" of %d", t.Reports)})
	}
	steps = slices.DeleteFunc(append(steps, callbackSteps(t)...), func(s tripStep) bool { return s.at == nil })
	slices.SortStableFunc(steps, func(a, b tripStep) int { return a.at.Compare(*b.at) })
	return steps
}

// callbackSteps gives the callbacks of a trip, by op. Of one with more ops than are shown the first and the last are among them too.
func callbackSteps(t *whereabouts.Trip) (steps []tripStep) {
	known := false // when the first came
	for i := range t.Ops {
		if op := &t.Ops[i]; op.Callback != nil && t.OpCount > 1 {
			steps = append(steps, tripStep{"callback", op.Callback, ofOp(t, op.Op)})
			known = known || t.FirstCallback != nil && op.Callback.Equal(*t.FirstCallback)
		}
	}
	if len(steps) >= t.Callbacks {
		return steps
	}
	if t.Callbacks > 1 && !known {
		steps = append(steps, tripStep{"first callback", t.FirstCallback, ""})
	}
	name := "callback"
	if t.Callbacks > 1 {
		name = "last callback"
	}
	return append(steps, tripStep{name, t.LastCallback, fmt.Sprintf(" %d of %d", t.Callbacks, t.OpCount)})
}

// ofOp names an op of a trip that has several.
func ofOp(t *whereabouts.Trip, op int) string {
	if t.OpCount == 1 {
		return ""
	}
	return fmt.Sprintf(" op %d", op)
}

// lateName names a callback that came when its client had its reply. It is not late for a client that did not wait for it.
func lateName(t *whereabouts.Trip) string {
	if t.Outcome == "handed_over" {
		return "callback"
	}
	return "late callback"
}

// named gives a text behind its name, nothing if it is empty.
func named(name, text string) string {
	if text == "" {
		return ""
	}
	return name + text
}
