package whereabouts

import (
	"cmp"
	"fmt"
	"strings"
	"time"
)

// patience is how long after the engine's answer a callback may be missing before anybody should look for it.
const patience = 2 * time.Second

// engineGoesOn is for a trip that was cancelled.
const engineGoesOn = "The engine goes on with its work, unless it has cancel.url or has itself cancelled."

// WhatNext says what to check next of a trip that timed out, was refused, or waits in vain at a time: sentences, the most promising first. nil: there is
// nothing to check.
func (t *Trip) WhatNext(now time.Time) []string {
	switch {
	case t.State == StateQueued:
		return []string{"Every connection to the engine " + t.engine() + " is in use: find out why it is slow, or raise its max_connections."}
	case t.State == StateWaiting:
		return t.whileWaiting(now)
	case t.Outcome == "timeout" && len(t.Late) > 0:
		return t.whenLate()
	case t.Outcome == "timeout" && t.OpCount > 0 && !t.missesCallback():
		return []string{"It was cancelled after its client had heard of the time-out. " + engineGoesOn}
	case t.Outcome == "timeout":
		return append(t.withoutResult(), t.later(now)...)
	case t.Outcome == "handed_over":
		if t.missesCallback() && len(t.Late) == 0 && now.Sub(t.Accepted) > patience {
			return t.withoutResult()
		}
		return nil
	}
	if next := cmp.Or(ofReason(t.Reason), t.ofOutcome()); next != "" {
		return []string{next}
	}
	if t.HungUp {
		return []string{"The client did not get the reply. With an Idempotency-Key it can ask again, and makes no second task."}
	}
	return nil
}

func (t *Trip) engine() string { return cmp.Or(t.Engine, "in question") }

// missesCallback reports whether ops of the trip are open.
func (t *Trip) missesCallback() bool {
	for i := range t.Ops {
		if t.Ops[i].State == opOpen {
			return true
		}
	}
	return t.OpCount > len(t.Ops) && t.Callbacks < t.OpCount // those that are not shown
}

// whileWaiting is for a trip that waits: it is too early to say anything of one that has just come.
func (t *Trip) whileWaiting(now time.Time) []string {
	since := t.Accepted
	if t.EngineAnswered != nil {
		since = *t.EngineAnswered
	}
	switch {
	case now.Sub(since) < patience:
		return nil
	case t.Joined:
		return []string{"It waits for another request with the same Idempotency-Key: ask for the trip " + t.Trip + ", which shows both."}
	}
	return t.withoutResult()
}

// withoutResult is for a trip whose ops are not all final.
func (t *Trip) withoutResult() []string {
	switch {
	case t.Forwarded == nil && t.Joined:
		return []string{"It waited for another request with the same Idempotency-Key: ask for the trip " + t.Trip + ", which shows both."}
	case t.Forwarded == nil:
		return []string{"Nothing was sent to an engine: the operation is completed by its name. See whether its sender calls, and with which name: syncgate waiters prints the URLs."}
	case t.EngineAnswered == nil:
		return []string{"The engine " + t.engine() + " has not answered the request itself: see whether it is slow. It may have the task."}
	case t.EngineStatus == 0:
		return append([]string{"The engine " + t.engine() + " gave no complete answer, so nobody knows whether it has the task. The log has a warning with this trip."}, t.withoutCallback()...)
	}
	return t.withoutCallback()
}

// withoutCallback is for a trip of which a callback is missing.
func (t *Trip) withoutCallback() []string {
	look := "No callback came. "
	if t.Callbacks > 0 {
		look = fmt.Sprintf("%d of %d callbacks came. ", t.Callbacks, t.OpCount)
	}
	return []string{
		look + "Look for " + t.tasks() + " in the engine " + t.engine() + ": does it still run, has it failed, or does it end without calling the URL that it was given?",
		"If it has called: can it reach callback.base_url? From its network, curl -i BASE_URL/api/1/plugins/callback/x must get 404 or 405 from syncgate.",
		`If it could: the log has a warning "callback refused" with this trip, and the reason.`,
	}
}

// tasks names the ops that are open, as the engine knows them: at most three.
func (t *Trip) tasks() string {
	var names []string
	for i := range t.Ops {
		switch op := &t.Ops[i]; {
		case op.State != opOpen:
		case op.EngineTask != "":
			names = append(names, "the task "+op.EngineTask)
		case op.Ref != "":
			names = append(names, "the ref "+op.Ref)
		case op.Process != "":
			names = append(names, "a task of process "+op.Process)
		}
	}
	if len(names) == 0 {
		return "the task"
	}
	return strings.Join(names[:min(len(names), 3)], ", ")
}

// whenLate is for a trip that timed out before its callback came.
func (t *Trip) whenLate() []string {
	came := "A callback came"
	if t.Replied != nil {
		came = fmt.Sprintf("A callback came %v after the client had its answer", t.Late[0].At.Sub(*t.Replied).Round(time.Millisecond))
	}
	came += ": let clients wait longer (timeout of the request, timeouts.default, wait of the route), or the work be done sooner."
	if t.Late[0].Kept {
		return []string{came, "The result is kept: the client finds it at the Location of its answer."}
	}
	return []string{came, "The result was dropped: see results.retention."}
}

// later is for a trip that timed out: what becomes of a callback that comes later.
func (t *Trip) later(now time.Time) []string {
	switch {
	case t.KeptUntil == nil:
		return []string{"A result that comes later is dropped: see results.retention."}
	case now.Before(*t.KeptUntil):
		return []string{"A result that comes later is still kept: the client finds it at the Location of its answer."}
	}
	return nil
}

// ofReason says what to check where a request was refused for a reason; empty: the outcome says more.
func ofReason(reason string) string {
	if next := ofLimit(reason); next != "" {
		return next
	}
	switch reason {
	case "body", "malformed", "accept", "status":
		return "The request is not what the route or the protocol takes: the client's answer says what is wrong with it."
	case "encoding":
		return "The body is compressed: the client has to send it as it is."
	case "body_size":
		return "The body is larger than limits.body, or than limits.body of the route."
	case "head_size":
		return "The header is larger than 16 KiB: look for cookies and tokens that the client does not need here."
	case "slow":
		return "The request did not come within listen.header_timeout and listen.body_timeout: look at the client's network."
	case "key":
		return "The Idempotency-Key is malformed, or was used with another body: a new request needs a new key."
	case "signature":
		return "The login is unknown, or the signature is over other bytes or with another secret: compare with syncgate sign."
	case "time":
		return "The clocks of the client and of this node differ by more than auth.window: set both by NTP."
	case "origin":
		return "A page asked whose origin is not allowed: add it to cors.origins, or to the route's, if it is yours."
	case "subscription":
		return "The receiver may not be called, or the caller has too many subscriptions: the client's answer says which."
	case "path", "method":
		return "There is no such path, or it takes other methods: compare with the paths of the routes."
	case "forged", "gone":
		return "The task is unknown here: it has expired, was not kept, or another key made its id (callback.keys)."
	}
	return ""
}

// ofLimit says what to check where a request was refused for a limit.
func ofLimit(reason string) string {
	switch reason {
	case "login_limit":
		return "As many clients of this login wait as limits.parked_per_login allows: raise it, or let the login send less at once."
	case "login_rate":
		return "The login has reached limits.rate_per_login: raise it, or let the login send more slowly."
	case "route_limit":
		return "As many clients of the route wait as limits.parked of the route allows: raise it, or find out why its engine is slow."
	case "route_rate":
		return "limits.rate of the route, or rate of the access entry, is reached: raise it, or let clients send more slowly."
	case "parked":
		return "As many clients wait as limits.parked allows: find out why they wait so long, raise it, or add nodes."
	case "files":
		return "Hardly any descriptor was left: raise the process's limit of open files (LimitNOFILE), or add nodes."
	case "memory":
		return "The bodies that were on their way were as many bytes as may be: large requests came at once, or clients send slowly."
	case "results":
		return "The results that are kept fill limits.results: raise it, or lower results.retention."
	}
	return ""
}

// ofOutcome says what to check where a trip ended in a way; empty: nothing.
func (t *Trip) ofOutcome() string {
	engine := t.engine()
	switch t.Outcome {
	case "failed":
		return "The engine " + engine + " says that the task has failed, or nobody can complete it any more: the client's answer has the engine's words."
	case "cancelled":
		return "The engine, the client or an operator has cancelled it. " + engineGoesOn
	case "hung_up":
		return "The client closed its connection before there was a result: its time-out, and those of the proxies before the gateway, have to be longer than the wait."
	case "not_allowed":
		return "auth.ops does not allow what was asked for: nothing was sent to the engine."
	case "engine_refused":
		return "The engine " + engine + " has refused the task: the client has its answer, and the log has its words as engine_says. Does the engine know the gateway's login, token and process?"
	case "engine_error":
		return "The engine's answer is not one of its protocol: the log has a warning with this trip. Does the url of the engine " + engine + " lead to a proxy's page, or another service?"
	case "engine_unreachable":
		return "Nothing was sent to the engine " + engine + ": does it run, is its url right, does its name resolve, and does it take a proxy to reach it?"
	case "engine_busy":
		return "Every connection to the engine " + engine + " was in use for its timeout, and nothing was sent: find out why it is slow, or raise its max_connections."
	case "correlator_down":
		return "Redis could not be used: see the last line of the log with correlator:, and syncgate_correlator_up."
	case "draining":
		return "The node was stopping: the client repeats its request at another node. Raise drain.timeout if clients wait for longer."
	case "internal_error":
		return "The gateway has failed: the log has an error with this request id or trip. Please report it."
	case "bad_request", "unauthorized", "forbidden", "limited", "overloaded":
		return "It was refused: the client's answer says why."
	}
	return ""
}
