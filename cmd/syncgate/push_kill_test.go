package main_test

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"syncgate/internal/hooksim"
	"syncgate/notify"
)

// TestSenderDiesInTheMiddle kills the home while each of its attempts waits for an answer. The other node makes them again.
func TestSenderDiesInTheMiddle(t *testing.T) {
	t.Parallel()
	p := startPushes(t, durableRedis(t).URL())
	p.hooks.Answers(hooksim.Hang)
	uuids := p.orders(p.atHome, pushCrowd)
	p.completes(p.atHome, 0, pushCrowd)
	p.runs(pushCrowd)
	<-time.After(2 * time.Second) // the other node looks for what is due, and must not take these
	p.runs(pushCrowd)
	p.hooks.Answers(hooksim.Status(http.StatusOK))
	p.kill()
	killed := time.Now()
	p.accepted(pushCrowd)
	t.Logf("all are delivered %v after the kill", time.Since(killed))
	p.settles(p.other)
	p.wantEach(uuids, nil)
	p.end()
}

// TestSenderDiesBetweenAttempts kills the home when each of its first attempts has failed. The other node makes the second ones.
func TestSenderDiesBetweenAttempts(t *testing.T) {
	t.Parallel()
	p := startPushes(t, durableRedis(t).URL())
	p.hooks.Answers(func(_ http.ResponseWriter, _ *http.Request, n int) int {
		if n == 1 {
			return http.StatusInternalServerError
		}
		return http.StatusAccepted
	})
	uuids := p.orders(p.atHome, pushCrowd)
	p.completes(p.atHome, 0, pushCrowd)
	p.tried(p.other, pushCrowd, notify.OutcomeStatus)
	p.kill()
	p.accepted(pushCrowd)
	p.settles(p.other)
	p.wantEach(uuids, nil)
	p.end()
}

// TestReceiversAreKilled: what could not be delivered is listed as open on every node, and is delivered when the receivers are back.
func TestReceiversAreKilled(t *testing.T) {
	t.Parallel()
	p := startPushes(t, durableRedis(t).URL())
	uuids := p.orders(p.atHome, pushCrowd)
	p.completes(p.atOther, 0, pushCrowd/2)
	p.accepted(pushCrowd / 2)
	p.hooks.Down()
	p.completes(p.atOther, pushCrowd/2, pushCrowd)
	p.tried(p.home, pushCrowd/2, notify.OutcomeUnreachable)
	if err := p.hooks.Up(); err != nil {
		t.Fatal(err)
	}
	p.accepted(pushCrowd)
	p.settles(p.home)
	p.wantEach(uuids, nil)
	p.home.stop()
	p.end()
}

// TestHomeDiesBeforeTheHandOver kills the home when it has heard each result, and could hand none over to be sent. The other node does that.
func TestHomeDiesBeforeTheHandOver(t *testing.T) {
	t.Parallel()
	r := durableRedis(t)
	p := startPushes(t, r.URL())
	uuids := p.orders(p.atHome, pushCrowd)
	allow(t, r, "~syncgate:[^n]*", "~syncgate:n[^o]*", "~syncgate:no[^t]*") // all but syncgate:notify
	p.completes(p.atHome, 0, pushCrowd)
	eventually(t, "the home has tried each", func() bool {
		return p.home.metric("syncgate_outbox_looks_total", `outcome="error"`) >= pushCrowd
	})
	if came, _, _ := p.hooks.Count(); came > 0 {
		t.Errorf("the receivers had %d requests though nothing could be handed over", came)
	}
	p.kill()
	allow(t, r, "~*")
	p.accepted(pushCrowd)
	p.settles(p.other)
	p.wantEach(uuids, nil)
	p.other.stop()
}

// TestHomeDiesInTheMiddleOfHandOvers kills the home when it has handed each result over to be sent, and could not append it to a topic. The other node appends it, and the
// receivers hear no more.
func TestHomeDiesInTheMiddleOfHandOvers(t *testing.T) {
	t.Parallel()
	r := durableRedis(t)
	p := startPushes(t, r.URL())
	topic := p.subscribeAll(0, "")
	uuids := p.orders(p.atHome, pushCrowd)
	allow(t, r, "~syncgate:[^s]*", "~syncgate:s*}:[^t]*") // all but topics
	p.completes(p.atHome, 0, pushCrowd)
	p.accepted(pushCrowd)
	eventually(t, "the home has tried each twice", func() bool {
		return p.home.metric("syncgate_outbox_looks_total", `outcome="error"`) >= 2*pushCrowd
	})
	p.kill()
	allow(t, r, "~*")
	p.wantTopic(r, topic)
	p.settles(p.other)
	p.wantEach(uuids, nil)
	p.other.stop()
}

// TestHomeDiesWhileResultsCome kills the home when it has heard half of the results. The engine brings the others to the other node. Beside each task's own receiver a receiver
// and a topic are to have all results.
func TestHomeDiesWhileResultsCome(t *testing.T) {
	t.Parallel()
	r := durableRedis(t)
	p := startPushes(t, r.URL())
	p.subscribeAll(0, "all")
	topic := p.subscribeAll(0, "")
	uuids := p.orders(p.atHome, pushCrowd)
	half := newCountdown(pushCrowd/2, p.kill)
	each(0, pushCrowd, func(n int) {
		j, _ := p.engine.job(nonceOf(n))
		a := p.atHome.reach(http.MethodPost, j.callback, resultOf(nonceOf(n)), "X-Callback-Status: complete")
		if a.status == 200 {
			half.count()
			return
		}
		p.awaitDeath()
		p.report(p.atOther, nonceOf(n), "complete", resultOf(nonceOf(n)))
	})
	p.accepted(2 * pushCrowd)
	p.settles(p.other)
	heard := p.delivered(p.home, p.other)
	t.Logf("%d came twice, as the home was killed before it heard that they were accepted", p.wantEach(uuids, heard))
	p.wantAll("all", pushCrowd, heard)
	p.wantTopic(r, topic)
	p.end()
}

// TestAllNodesDie kills both nodes while a third of the results is not there yet, a third waits for its second attempt, and a third is being sent. Both are started again.
func TestAllNodesDie(t *testing.T) {
	t.Parallel()
	const third = pushCrowd / 3
	p := startPushes(t, durableRedis(t).URL())
	p.hooks.Answers(hooksim.Status(http.StatusServiceUnavailable))
	uuids := p.orders(p.atHome, pushCrowd)
	p.completes(p.atOther, 0, third)
	p.tried(p.home, third, notify.OutcomeStatus)
	p.hooks.Answers(hooksim.Hang)
	p.completes(p.atHome, third, 2*third)
	p.runs(third)
	var dead sync.WaitGroup
	dead.Go(func() { p.die(p.other) })
	p.kill()
	dead.Wait()
	p.hooks.Answers(hooksim.Status(http.StatusNoContent))
	p.home, p.other = p.restart(p.home), p.restart(p.other)
	p.ready()
	p.completes(p.atOther, 2*third, pushCrowd)
	p.accepted(pushCrowd)
	p.settles(p.home)
	p.wantEach(uuids, nil)
	p.home.stop()
	p.end()
}
