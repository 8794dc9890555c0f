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

	"syncgate/notify"
)

const notifyHelp = `Asks the admin listener of a running gateway for notifications: results that are sent to a URL which a client has named.

  list         those of one state, oldest first: open (the default), refused, gone or dead
  show ID      all that is known of one, a delivered one too: for an hour
  retry ID     have it sent now. One that had ended is tried again for the whole window
  drop ID      forget it: it is not sent any more

retry and drop need admin.actions: true in the gateway's configuration. Without --admin notify reads the same configuration as serve, to know the
address. With Redis every gateway knows the notifications of all, in memory each knows its own. Nothing shows a body, a header, a secret, or the
query of a URL. Exit status: 0 if it is done, 1 if not.
`

// notifyActions are the words that notify takes.
const notifyActions = "list show retry drop"

// notifyFlags are the flags of notify.
type notifyFlags struct {
	path, admin, state, subscription, after *string
	limit                                   *int
	raw                                     *bool
}

func notifications(p *program, fs *flag.FlagSet, args []string) error {
	f := notifyFlags{
		path:         configFlag(fs),
		admin:        adminFlag(fs),
		state:        fs.String("state", "open", "list those of this `state`: open, refused, gone or dead"),
		subscription: fs.String("subscription", "", "list those of this `subscription` alone"),
		limit:        fs.Int("limit", listLimit, "list so many at most, up to 1000"),
		after:        fs.String("after", "", "list those behind this `cursor`, which the list before has printed"),
		raw:          jsonFlag(fs),
	}
	if err := parseConfigArgs(fs, args, 2); err != nil {
		return err
	}
	action, id := fs.Arg(0), fs.Arg(1)
	if err := f.check(fs, action, id); err != nil {
		return err
	}
	address, err := p.adminAddress(*f.admin, *f.path)
	if err != nil {
		return err
	}
	if action == "list" {
		return f.list(p.out, address)
	}
	return f.one(p.out, address, action, id)
}

// check reports what is wrong with the command line.
func (f *notifyFlags) check(fs *flag.FlagSet, action, id string) error {
	actions := strings.Fields(notifyActions)
	var ofList []string
	fs.Visit(func(f *flag.Flag) {
		if slices.Contains([]string{"state", "subscription", "limit", "after"}, f.Name) {
			ofList = append(ofList, "--"+f.Name)
		}
	})
	switch {
	case !slices.Contains(actions, action):
		return usageError("say what to do: " + strings.Join(actions, ", ") + "; " + helpHint(fs))
	case action == "list" && id != "":
		return usageError("list takes no id: write syncgate notify show ID")
	case action != "list" && id == "":
		return usageError(action + " which notification? Name its id; syncgate notify list has them")
	case action != "list" && len(ofList) > 0:
		return usageError(ofList[0] + " is for list alone")
	case !slices.Contains(listed(), notify.State(*f.state)):
		return usageError("--state must be open, refused, gone or dead; delivered ones are not listed: show one by its id")
	case *f.limit < 1 || *f.limit > notify.MaxList:
		return usageError("--limit must be from 1 to " + strconv.Itoa(notify.MaxList))
	}
	return nil
}

func (f *notifyFlags) list(w io.Writer, address string) error {
	query := url.Values{"state": {*f.state}, "limit": {strconv.Itoa(*f.limit)}}
	if *f.subscription != "" {
		query.Set("subscription", *f.subscription)
	}
	if *f.after != "" {
		query.Set("after", *f.after)
	}
	path := notificationsPath + "?" + query.Encode()
	l, body, err := answerOf(http.MethodGet, address, path, whichNotifications, func(l *notificationList) bool { return l.Notifications != nil })
	switch {
	case err != nil:
		return err
	case *f.raw:
		_, err = w.Write(body)
		return err
	}
	printNotifications(escaping{w}, *f.state, l, time.Now())
	return nil
}

// one shows, sends again or drops a notification.
func (f *notifyFlags) one(w io.Writer, address, action, id string) error {
	method, path := http.MethodGet, notificationsPath+"/"+url.PathEscape(id)
	switch action {
	case "drop":
		return f.drop(w, address, path)
	case "retry":
		method, path = http.MethodPost, path+"/retry"
	}
	e, body, err := answerOf(method, address, path, whichNotifications, func(e *notify.Entry) bool { return e.ID != "" })
	switch {
	case err != nil:
		return err
	case *f.raw:
		_, err = w.Write(body)
		return err
	}
	printNotification(escaping{w}, e, time.Now())
	return nil
}

// drop drops the notification at a path.
func (f *notifyFlags) drop(w io.Writer, address, path string) error {
	answer, err := askAdmin(http.MethodDelete, address, path)
	if err == nil {
		err = answer.refusal()
	}
	if err == nil && answer.status != http.StatusNoContent {
		err = errElsewhere(address, whichNotifications)
	}
	if err == nil && !*f.raw {
		fmt.Fprintln(w, "It is dropped. An attempt that runs goes on.")
	}
	return err
}

// whichNotifications is what an admin listener is asked for here.
const whichNotifications = "which notifications there are"

// printNotifications prints a list for people.
func printNotifications(w io.Writer, state string, l notificationList, now time.Time) {
	if len(l.Notifications) == 0 {
		fmt.Fprintf(w, "There are no notifications that are %s.\n", state)
		return
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprint(t, "ID\tSTATE\tAGE\tHOST\tATTEMPTS\tLAST\tNEXT\n")
	for _, e := range l.Notifications {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d\t%s\t%s\n", e.ID, e.State, roughly(now.Sub(e.Created)), hostOfEntry(e), e.Attempts, lastOutcome(e), nextAttempt(e, now))
	}
	_ = t.Flush() // there is no other place to report an error
	if l.After != "" {
		fmt.Fprintf(w, "There are more: --after %s\n", l.After)
	}
}

// printNotification prints one for people.
func printNotification(w io.Writer, e notify.Entry, now time.Time) {
	line := func(name, format string, args ...any) {
		fmt.Fprintf(w, "%-14s%s\n", name, fmt.Sprintf(format, args...))
	}
	at := func(t time.Time) string { return t.Format("2006-01-02 15:04:05 MST") }
	line("notification", "%s", e.ID)
	if e.Trip != "" {
		line("trip", "%s", e.Trip)
	}
	if e.Subscription != "" {
		line("subscription", "%s", e.Subscription)
	}
	line("receiver", "%s", e.URL)
	line("state", "%s", e.State)
	line("created", "%s, %s ago", at(e.Created), roughly(now.Sub(e.Created)))
	if !e.Ended.IsZero() {
		line("ended", "%s", at(e.Ended))
	}
	line("body", "%s", count(e.Size, "byte"))
	line("attempts", "%d", e.Attempts)
	if l := e.Last; l != nil {
		line("last", "%s at %s, after %v%s", lastOutcome(e), at(l.At), l.Duration.Round(time.Millisecond), named(": ", l.Error))
	}
	if e.State == notify.Open {
		line("next", "%s", nextAttempt(e, now))
	}
}

// hostOfEntry gives the host of the receiver, with its port where that is not the scheme's.
func hostOfEntry(e notify.Entry) string {
	if u, err := url.Parse(e.URL); err == nil && u.Host != "" {
		return u.Host
	}
	return "-"
}

// lastOutcome gives what came of the last attempt.
func lastOutcome(e notify.Entry) string {
	switch {
	case e.Last == nil:
		return "-"
	case e.Last.Status > 0:
		return fmt.Sprintf("%s (%d)", e.Last.Outcome, e.Last.Status)
	}
	return string(e.Last.Outcome)
}

// nextAttempt says when the next attempt is made.
func nextAttempt(e notify.Entry, now time.Time) string {
	switch {
	case e.Sending:
		return "runs"
	case e.State != notify.Open || e.Due.IsZero():
		return "-"
	case !e.Due.After(now):
		return "now"
	}
	return "in " + roughly(e.Due.Sub(now))
}

// roughly writes a duration as its largest unit. Clocks may differ, so one below zero is 0s.
func roughly(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", max(0, int(d.Seconds())))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}
