package openapi

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"syncgate/dialect/rest"
	"syncgate/internal/setting"
)

// words says of a route what a schema cannot: who may call it, how long it waits, and its limits.
func (b *builder) words(r *rest.RouteConfig) string {
	all := []string{b.callerWords(r)}
	all = append(all, waitWords(r)...)
	if r.Subscriptions {
		all = append(all, "A request whose body has callbackUrl is answered with 202, and the result is sent to this URL.")
	}
	if r.View == rest.ViewOS1 {
		all = append(all, "The requests and answers are those of OS1's asynchronous APIs. A request whose body has callback is answered with 202, and the result is sent to its URL.")
	}
	all = append(all, b.limitWords(r)...)
	if r.OnDisconnect == "cancel" {
		all = append(all, "A client that closes its connection cancels its task, unless it has an Idempotency-Key.")
	}
	return strings.Join(all, "\n\n")
}

// callerWords says who may call.
func (b *builder) callerWords(r *rest.RouteConfig) string {
	switch r.Auth {
	case rest.AuthNone:
		return "Anybody may call, and who has the id of a task can read it."
	case rest.AuthCorezoid:
		return "The caller signs the body, and the path ends with its login, the time and the signature. Without these three segments the path is answered with 401."
	}
	text := "Callers are known by their key."
	if r.Auth == rest.AuthBasic {
		text = "Callers are known by their user and password."
	}
	pages := func(a rest.AccessConfig) bool { return len(a.Origins) > 0 && slices.Contains(a.Routes, r.Name) }
	if slices.ContainsFunc(b.Config.Access, pages) {
		text += " Some are good for pages of certain origins alone."
	}
	return text + " A task can be read by the caller that has made it."
}

func waitWords(r *rest.RouteConfig) []string {
	var all []string
	most := duration(r.Wait.Max)
	if r.Wait.Default == 0 {
		all = append(all, "The client is answered with a task as soon as the engine has taken the request. With `Prefer: wait=N` it waits for the result, at most "+most+".")
	} else {
		all = append(all, "The client waits "+duration(r.Wait.Default)+" for the result, or what `Prefer: wait=N` says, at most "+most+". With `Prefer: respond-async` it gets a task at once.")
	}
	switch r.AtWaitEnd {
	case rest.EndTimeout:
		all = append(all, "At the end of the wait it gets 504.")
	case rest.EndRedirect:
		all = append(all, "At the end of the wait it gets 303, and waits on at Location, up to nine times.")
	default:
		all = append(all, "At the end of the wait it gets 202 and the task.")
	}
	if r.Idle > 0 {
		all = append(all, "The wait also ends when the engine has begun and then reports nothing for "+duration(r.Idle)+".")
	}
	return append(all, "With `Accept: text/event-stream` it gets the events of the task, for "+most+" at most, or for what `Prefer: wait=N` says.")
}

func (b *builder) limitWords(r *rest.RouteConfig) []string {
	body := r.Limits.Body
	if body == 0 {
		body = b.Config.Limits.Body
	}
	all := []string{"A body has at most " + strconv.FormatInt(int64(body), 10) + " bytes, and no Content-Encoding."}
	if r.Limits.Rate > 0 {
		all = append(all, "Each node takes "+number(r.Limits.Rate)+" requests a second.")
	}
	if r.Limits.Parked > 0 {
		all = append(all, fmt.Sprintf("At each node %d clients can wait at the same time.", r.Limits.Parked))
	}
	for i := range b.Config.Access {
		if a := &b.Config.Access[i]; a.Rate > 0 && slices.Contains(a.Routes, r.Name) {
			all = append(all, "Some callers have a rate for each client address.")
			break
		}
	}
	if r.Subscriptions {
		all = append(all, fmt.Sprintf("A caller has at most %d active subscriptions of this route.", r.Limits.Subscriptions))
	}
	return append(all, "A result that is kept can be read for "+duration(b.Config.Results.Retention)+".")
}

// duration writes one for people who read it.
func duration(d time.Duration) string { return setting.FormatDuration(d) }

func number(n float64) string { return strconv.FormatFloat(n, 'f', -1, 64) }
