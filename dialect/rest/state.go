package rest

import (
	"fmt"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"syncgate/dialect/os1"
)

// state is what answering a call needs to know of its route and its client. It is recorded with the task: any node can answer, also when the
// route has changed or gone.
type state struct {
	View         string   `json:"v,omitempty"` // empty: auto
	FailedStatus bool     `json:"f,omitzero"`  // a hal problem has its own status
	End          string   `json:"e,omitempty"` // empty: task
	StatusHeader string   `json:"s,omitempty"`
	Headers      []string `json:"h,omitempty"` // of the callback that the client gets
	Wait         int      `json:"w,omitzero"`  // seconds, for which a client that is sent on waits again
	HAL          bool     `json:"x,omitzero"`  // the client wants hal+json
	Push         *pushed  `json:"p,omitempty"` // of a route with subscriptions

	States map[string]int `json:"t,omitempty"` // as of RouteConfig

	OS1 jsontext.Value `json:"o,omitempty"` // as it is recorded, of a call with ViewOS1
	os1 *os1.State     // what OS1 says; nil: another view

	text []byte // as it is recorded; not to be changed
}

// pushed is who is to have the result of a task.
type pushed struct {
	Group  string `json:"g"`           // of subscriptions that are continuous
	URL    string `json:"u,omitempty"` // of the receiver that the request named
	Secret []byte `json:"k,omitempty"` // that signs what it gets, sealed; empty: the caller's
	Once   bool   `json:"o,omitzero"`  // there is a subscription for this task alone
}

// newState is that of a call which says nothing.
func newState(r *RouteConfig) state {
	s := state{StatusHeader: r.Respond.StatusHeader, Headers: r.Respond.Headers, FailedStatus: r.HAL.Failed == FailedStatus, States: r.States}
	if r.View == ViewOS1 { // whose replies have statuses and headers of their own
		s.StatusHeader, s.Headers = "", nil
	}
	if r.View != ViewAuto {
		s.View = r.View
	}
	if r.AtWaitEnd != EndTask {
		s.End = r.AtWaitEnd
	}
	s.Wait = seconds(r.Wait.Default)
	s.HAL = r.View == ViewHAL
	s.text = s.encode()
	return s
}

func (s *state) encode() []byte {
	b, err := json.Marshal(s)
	if err != nil {
		panic(fmt.Sprintf("the state of a call cannot be written: %v", err)) // it holds nothing that has no JSON form
	}
	return b
}

// with gives the state of a call, and its recorded form: the route's own where the call says nothing else.
func (s *state) with(end string, wait time.Duration, hal bool, to addressed) []byte {
	if end == s.End && seconds(wait) == s.Wait && hal == s.HAL && to == (addressed{}) {
		return s.text
	}
	own := *s
	own.End, own.Wait, own.HAL, own.Push = end, seconds(wait), hal, to.push
	if to.os1 != nil {
		own.OS1 = to.os1.state.Encode()
	}
	return own.encode()
}

// stateOf reads a recorded state. Those of calls that say nothing are known.
func (t *table) stateOf(text []byte) state {
	if s := t.states[string(text)]; s != nil {
		return *s
	}
	return stateOf(text)
}

// stateOf reads a recorded state. What is none is that of a route of which nothing is said.
func stateOf(text []byte) (s state) {
	if json.Unmarshal(text, &s) != nil {
		return state{}
	}
	if s.OS1 != nil {
		if said, err := os1.ParseState(s.OS1); err == nil {
			s.os1 = &said
		}
	}
	return s
}

// end says what a client hears at the end of its wait.
func (s *state) end() string {
	if s.End == "" {
		return EndTask
	}
	return s.End
}

// shows reports whether the client gets a header of the callback. name is in lower case.
func (s *state) shows(name string) bool {
	return !isOurs(name) && slices.ContainsFunc(s.Headers, func(h string) bool { return lowerEqual(h, name) })
}

func seconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }
