package main_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"syncgate/internal/enginesim"
	"syncgate/internal/redistest"
)

// outcome is how a trip may end that the engine answers in one way or another.
type outcome uint8

const (
	served      outcome = iota // its callback's result, whatever the engine itself has answered
	opError                    // the engine's own error of the op
	packError                  // the engine's own error of the package
	badGateway                 // 502, and its callback's result to be fetched, unless the callback was first
	unspecified outcome = 255
)

func outcomeOf(a enginesim.Ack) outcome {
	switch a {
	case enginesim.AckOK, enginesim.AckObject, enginesim.AckReversed, enginesim.AckUnanswered, enginesim.AckHang, enginesim.AckReset,
		enginesim.AckTruncated, enginesim.AckSlow, enginesim.AckBadChunks, enginesim.AckNotHTTP, enginesim.AckClose:
		return served
	case enginesim.AckNotUnicalRef, enginesim.AckAccessDenied, enginesim.AckNotActive:
		return opError
	case enginesim.AckFormatError, enginesim.AckHTTP400:
		return packError
	case enginesim.AckHTTP500, enginesim.AckHTML502, enginesim.AckHTML200, enginesim.AckEmpty, enginesim.AckRedirect:
		return badGateway
	}
	return unspecified
}

// TestEveryAnswerOfTheEngine has the engine answer in all its ways at once, with callbacks that come early, late and
// several times over, to either of two nodes. Every client gets what the protocol says, and of its own trip.
func TestEveryAnswerOfTheEngine(t *testing.T) {
	const each = 10
	r := redistest.StartTCP(t)
	at := free(t, 2)
	e := simulate(t, func(c *enginesim.Config) { c.Record = 10_000 })
	settings := append(shared(e.URL(), r), "SYNCGATE_ENGINE_TIMEOUT=2s")
	a, b := serve(t, at[0], settings...), serve(t, at[1], settings...)
	eventually(t, "both are ready", func() bool { return a.ready() == 200 && b.ready() == 200 })
	nodes := []*client{caller(t, at[0], 100), caller(t, at[1], 100)}

	var all sync.WaitGroup
	for _, ack := range enginesim.Acks() {
		for _, when := range []enginesim.When{enginesim.CallbackAfter, enginesim.CallbackBefore} {
			for n := range each {
				home, callback := n%2, at[(n/2)%2]
				nonce := fmt.Sprintf("%s-%s-%d", ack, when, n)
				sim := fmt.Sprintf(`{"ack":%q,"ack_delay_ms":50,"callback":%q,"duplicates":2,"delay_ms":[0,60],"to":%q}`, ack, when, callback)
				all.Go(func() { checkOutcome(t, nodes[home], nodes[1-home], ack, nonce, sim) })
			}
		}
	}
	all.Wait()
	allHeard(t, e)
	for _, task := range e.Tasks() {
		if n := e.Created(task.Ref); n != 1 {
			t.Errorf("the create of %s was sent %d times", task.Ref, n)
		}
	}
	a.stop()
	b.stop()
}

func checkOutcome(t *testing.T, home, other *client, ack enginesim.Ack, nonce, sim string) {
	body := fmt.Sprintf(`{"timeout":30,"ops":[{"type":"create","obj":"task","conv_id":1,"ref":%q,"data":{"nonce":%q,"__sim":%s}}]}`, nonce, nonce, sim)
	own := fmt.Sprintf(`{"request_proc":"ok","ops":[{"proc":"ok","ref":%q,"data":{"nonce":%q}}]}`, nonce, nonce)
	a, err := home.create(body)
	if err != nil {
		t.Errorf("%s: %v", nonce, err)
		return
	}
	good := false
	switch outcomeOf(ack) {
	case served:
		good = a.status == 200 && a.body == own
	case opError:
		good = a.status == 200 && strings.Contains(a.body, `"request_proc":"ok"`) && strings.Contains(a.body, `"proc":"`+string(ack)+`"`)
	case packError:
		good = strings.Contains(a.body, `"request_proc":"`) && !strings.Contains(a.body, `"request_proc":"ok"`) && a.header.Get("Location") == ""
	case badGateway:
		if good = a.status == 200 && a.body == own; !good {
			good = a.status == 502 && strings.Contains(a.body, `"description":"Bad gateway"`) && later(t, other, a, own)
		}
	case unspecified:
	}
	if !good {
		t.Errorf("%s got %+v", nonce, a)
	}
}

// TestCallbacksAtTheDeadline has callbacks come when their clients give up, to either of two nodes: a client gets its result
// or the time-out, and after the time-out the result is there to be fetched.
func TestCallbacksAtTheDeadline(t *testing.T) {
	const trips, connections = 1500, 30
	r := redistest.StartTCP(t)
	at := free(t, 2)
	e := simulate(t, func(c *enginesim.Config) {
		c.Behaviour.Delay = enginesim.Range{Min: 30 * time.Millisecond, Max: 90 * time.Millisecond}
	})
	a, b := serve(t, at[0], shared(e.URL(), r)...), serve(t, at[1], shared(e.URL(), r)...)
	eventually(t, "both are ready", func() bool { return a.ready() == 200 && b.ready() == 200 })
	nodes := []*client{caller(t, at[0], connections), caller(t, at[1], connections)}
	var all sync.WaitGroup
	var next, late atomic.Int64
	for range connections {
		all.Go(func() {
			for n := next.Add(1); n <= trips; n = next.Add(1) {
				home, callback := n%2, at[(n/2)%2]
				if expires(t, nodes[home], nodes[1-home], fmt.Sprintf("n%d", n), callback) {
					late.Add(1)
				}
			}
		})
	}
	all.Wait()
	t.Logf("%d of %d timed out", late.Load(), trips)
	if n := late.Load(); n < trips/20 || n > trips-trips/20 {
		t.Errorf("%d of %d timed out: the deadline was not in the middle of it", n, trips)
	}
	allHeard(t, e)
	a.stop()
	b.stop()
}

// allHeard wants that every callback was answered with 200.
func allHeard(t *testing.T, e *enginesim.Engine) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := e.Settle(ctx); err != nil {
		t.Fatal(err)
	}
	s := e.Stats()
	if s.Heard[200] != s.Callbacks || s.CallbackErrors != 0 {
		t.Errorf("of %d callbacks %d had no answer, the others %v", s.Callbacks, s.CallbackErrors, s.Heard)
	}
}

// expires makes a trip whose callback may come too late, and tells whether it did.
func expires(t *testing.T, home, other *client, nonce, callback string) bool {
	const body = `{"timeout":0.06,"ops":[{"type":"create","obj":"task","conv_id":1,"data":{"nonce":%q,"__sim":{"to":%q,"duplicates":1}}}]}`
	const timeout = `{"request_proc":"ok","ops":[{"proc":"error","description":"Timeout for create task"}]}`
	own := fmt.Sprintf(`{"request_proc":"ok","ops":[{"proc":"ok","data":{"nonce":%q}}]}`, nonce)
	a, err := home.create(fmt.Sprintf(body, nonce, callback))
	switch {
	case err == nil && a.status == 200 && a.body == own:
		return false
	case err != nil || a.status != 200 || a.body != timeout:
		t.Errorf("%s got %+v %v", nonce, a, err)
	case !later(t, other, a, own):
		t.Errorf("%s: its result is not at %s", nonce, a.header.Get("Location"))
	}
	return true
}

// later fetches what comes after a reply, at a node that is not the trip's home.
func later(t *testing.T, at *client, a answer, own string) (came bool) {
	eventually(t, "the result has come", func() bool {
		status, body := get(t, at.url+a.header.Get("Location"))
		came = status == 200 && body == own
		return came || status != 202
	})
	return came
}
