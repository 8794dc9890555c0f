package redis

import (
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"
)

// reported is a link, and what it has reported.
type reported struct {
	*link
	lines []string
}

func newReported() *reported {
	r := new(reported)
	r.link = newLink(func(err error) {
		line := "well"
		if err != nil {
			line = err.Error()
		}
		r.lines = append(r.lines, line)
	})
	return r
}

// well makes it ready.
func (r *reported) well() {
	r.up(io.NopCloser(nil))
	n, _ := r.next()
	r.published()
	r.came(n)
}

func (r *reported) expect(t *testing.T, when string, lines int) {
	t.Helper()
	synctest.Wait()
	if len(r.lines) != lines {
		t.Errorf("%s: %q, want %d lines", when, r.lines, lines)
	}
}

// TestReports: what lasts is reported once, each cause of it, and its end; what comes and goes is not a flood.
func TestReports(t *testing.T) {
	refused, closed := unready(stepSubscribe, errServer), unready(stepListen, errLost)
	synctest.Test(t, func(t *testing.T) {
		l := newReported()
		defer l.close()
		<-time.After(500 * time.Millisecond)
		l.well()
		<-time.After(time.Minute)
		l.expect(t, "after a start", 1)
		l.down(closed)
		<-time.After(900 * time.Millisecond)
		l.well()
		l.expect(t, "after a moment's trouble", 1)
		l.down(closed)
		<-time.After(1100 * time.Millisecond)
		l.expect(t, "after a second of it", 2)
		for range 100 {
			l.down(closed)
			l.down(refused)
			l.unsent(refused)
			<-time.After(time.Second)
		}
		l.expect(t, "with two causes by turns", 3)
		l.well()
		l.expect(t, "at its end", 4)
		before := len(l.lines)
		for range 300 { // ten minutes
			l.down(refused)
			<-time.After(1500 * time.Millisecond)
			l.well()
			<-time.After(500 * time.Millisecond)
		}
		synctest.Wait()
		if n := len(l.lines) - before; n == 0 || n > 2*600/10 {
			t.Errorf("%d lines in ten minutes of coming and going", n)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		l := newReported()
		defer l.close()
		<-time.After(5 * time.Second)
		l.expect(t, "when nothing at all is known for five seconds", 1)
	})
}

// TestGrace: new trips are refused when Redis takes nothing for a second, and not for a subscription that is replaced.
func TestGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newReported()
		defer l.close()
		admits := func(when string, want bool) {
			t.Helper()
			if err := l.reachable(); (err == nil) != want {
				t.Errorf("%s: %v", when, err)
			}
		}
		admits("at the start", false)
		l.well()
		admits("when ready", true)
		l.down(unready(stepListen, errUnsubscribed))
		for range 20 {
			l.next()
			l.published()
			admits("while it is not subscribed", true)
			<-time.After(time.Second)
		}
		l.well()
		for range 5 {
			l.next()
			l.published()
			<-time.After(time.Second)
			admits("while it is deaf", true)
		}
		l.well()
		l.next()
		l.unsent(errors.New("away"))
		l.down(errors.New("away"))
		admits("just after a probe has failed", true)
		<-time.After(grace - 1)
		admits("within the grace", true)
		<-time.After(1)
		admits("after it", false)
		l.next()
		l.published()
		admits("when it takes something again", true)
	})
}
