package whereabouts_test

import (
	"strings"
	"testing"
	"time"

	"syncgate/internal/whereabouts"
)

// TestWhatNext: a trip says what to check, as its times and its ops are.
func TestWhatNext(t *testing.T) {
	now := time.Now()
	before := func(d time.Duration) *time.Time { at := now.Add(-d); return &at }
	// made gives a trip that was accepted 10 s ago, forwarded and answered at once, and waits.
	made := func(change func(*whereabouts.Trip)) *whereabouts.Trip {
		trip := &whereabouts.Trip{
			Trip: "AAAAAAAA", State: "waiting", Engine: "flow", Accepted: *before(10 * time.Second), Forwarded: before(10 * time.Second), EngineAnswered: before(10 * time.Second),
			EngineStatus: 200, OpCount: 1, Ops: []whereabouts.Op{{State: "open", EngineTask: "77"}},
		}
		change(trip)
		return trip
	}
	timedOut := func(trip *whereabouts.Trip) {
		trip.State, trip.Outcome, trip.Replied = "over", "timeout", before(5*time.Second)
	}
	f := func(want []string, change func(*whereabouts.Trip)) {
		t.Helper()
		got := made(change).WhatNext(now)
		if len(got) < len(want) || len(want) == 0 && len(got) > 0 {
			t.Errorf("%q, want %q", got, want)
			return
		}
		for i := range want {
			if !strings.Contains(got[i], want[i]) {
				t.Errorf("%q, want %q", got[i], want[i])
			}
		}
	}
	f([]string{"No callback came. Look for the task 77 in the engine flow", "callback.base_url", "callback refused"}, func(*whereabouts.Trip) {})
	f(nil, func(trip *whereabouts.Trip) { trip.EngineAnswered = before(time.Second) }) // too early to say
	f([]string{"Every connection to the engine flow is in use"}, func(trip *whereabouts.Trip) { trip.State = "queued" })
	f([]string{"has not answered the request itself"}, func(trip *whereabouts.Trip) { trip.EngineAnswered, trip.EngineStatus = nil, 0 })
	f([]string{"gave no complete answer", "No callback came"}, func(trip *whereabouts.Trip) { trip.EngineStatus = 0 })
	f([]string{"completed by its name"}, func(trip *whereabouts.Trip) { trip.Forwarded, trip.EngineAnswered, trip.EngineStatus = nil, nil, 0 })
	f([]string{"ask for the trip AAAAAAAA"}, func(trip *whereabouts.Trip) { trip.Forwarded, trip.EngineAnswered, trip.Joined = nil, nil, true })
	f([]string{"2 of 4 callbacks came. Look for the ref r, a task of process 5 in"}, func(trip *whereabouts.Trip) {
		trip.OpCount, trip.Callbacks = 4, 2
		trip.Ops = []whereabouts.Op{{State: "final", EngineTask: "1"}, {State: "open", Ref: "r"}, {State: "not_allowed"}, {State: "open", Process: "5"}}
	})
	f([]string{"No callback came", "callback.base_url", "callback refused", "dropped: see results.retention"}, timedOut)
	f([]string{"No callback came", "callback.base_url", "callback refused", "is still kept: the client finds it"}, func(trip *whereabouts.Trip) {
		timedOut(trip)
		trip.KeptUntil = before(-time.Hour)
	})
	f([]string{"A callback came 3s after the client had its answer", "The result is kept"}, func(trip *whereabouts.Trip) {
		timedOut(trip)
		trip.Late = []whereabouts.Late{{At: *before(2 * time.Second), Kept: true}}
	})
	f([]string{"A callback came 3s after", "was dropped"}, func(trip *whereabouts.Trip) {
		timedOut(trip)
		trip.Late = []whereabouts.Late{{At: *before(2 * time.Second)}}
	})
	f([]string{"It was cancelled after its client had heard of the time-out. The engine goes on"}, func(trip *whereabouts.Trip) {
		timedOut(trip)
		trip.Ops[0].State = "final"
	})
	handedOver := func(trip *whereabouts.Trip) { trip.State, trip.Outcome = "over", "handed_over" }
	f([]string{"No callback came"}, handedOver)
	f(nil, func(trip *whereabouts.Trip) { handedOver(trip); trip.Accepted = *before(time.Second) })
	f(nil, func(trip *whereabouts.Trip) { handedOver(trip); trip.Late = []whereabouts.Late{{Kept: true}} })
	f(nil, func(trip *whereabouts.Trip) { trip.State, trip.Outcome = "over", "complete" })
	f([]string{"The client did not get the reply"}, func(trip *whereabouts.Trip) { trip.State, trip.Outcome, trip.HungUp = "over", "complete", true })
	f([]string{"limits.parked_per_login"}, func(trip *whereabouts.Trip) { trip.State, trip.Outcome, trip.Reason = "over", "limited", "login_limit" })
}
