package gateway_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"syncgate/correlator"
	"syncgate/dialect"
	"syncgate/dialect/httpengine"
	"syncgate/dialect/rest"
)

// cancellable is an engine that can be asked to cancel.
func cancellable(_ *rest.RouteConfig, e *httpengine.Config) {
	e.Cancel = httpengine.Cancel{Method: "DELETE", URL: strings.TrimSuffix(e.URL, "/hooks/{kind}") + "/jobs/{accepted.id}"}
}

// counter is how often an engine is asked to cancel each task.
type counter struct {
	engine *hooks
	came   chan struct{} // a request to cancel
	mu     sync.Mutex
	counts map[string]int // by path; guarded by mu
}

// countCancels has the engine accept every task, and counts, until the end of the test.
func countCancels(t *testing.T, e *hooks) *counter {
	c := &counter{engine: e, came: make(chan struct{}, 1000), counts: make(map[string]int)}
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for n := 0; ; n++ {
			select {
			case h := <-e.asked:
				c.serve(h, n)
			case <-stop:
				return
			}
		}
	}()
	t.Cleanup(func() { close(stop); <-ended })
	return c
}

func (c *counter) serve(h *hook, n int) {
	if h.method != http.MethodDelete {
		h.answer(202, "application/json", fmt.Sprintf(`{"id":"n%d"}`, n))
		return
	}
	c.mu.Lock()
	c.counts[h.path]++
	c.mu.Unlock()
	h.answer(204, "", "")
	c.came <- struct{}{}
}

// want wants one request for each of n tasks, and no more.
func (c *counter) want(t *testing.T, n int) {
	t.Helper()
	late := time.After(30 * time.Second)
	for i := range n {
		select {
		case <-c.came:
		case <-late:
			t.Fatalf("the engine was asked %d times within 30 s, want %d", i, n)
		}
	}
	select {
	case <-c.came:
	case <-time.After(200 * time.Millisecond): // nothing says that none will come
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for path, times := range c.counts {
		if times != 1 {
			t.Errorf("the engine was asked %d times for %s", times, path)
		}
	}
	if len(c.counts) != n {
		t.Errorf("the engine was asked for %d tasks of %d", len(c.counts), n)
	}
}

// cancelAtOnce has clients cancel their tasks as soon as they hear of them, at all of some nodes at the same time.
func cancelAtOnce(t *testing.T, home *routed, nodes ...*routed) {
	const tasks = 20
	t.Helper()
	asked := countCancels(t, home.hooks)
	var all sync.WaitGroup
	for range tasks {
		all.Go(func() {
			a := home.untilServed(func() answer { return <-home.post(`{}`, "Prefer", "respond-async") })
			if a.status != 202 {
				t.Errorf("%+v", a)
				return
			}
			location := a.header.Get("Location")
			var both sync.WaitGroup
			for _, at := range nodes {
				both.Go(func() { at.cancel(location, len(nodes) == 1) })
			}
			both.Wait()
			wantReply(t, home.untilServed(func() answer { return nodes[0].do(http.MethodGet, location, "") }), 409, "")
		})
	}
	all.Wait()
	asked.want(t, tasks)
}

// cancel cancels a task. One that is alone has to be the first, unless it had to repeat its request.
func (r *routed) cancel(location string, alone bool) {
	tries := 0
	a := r.untilServed(func() answer { tries++; return r.do(http.MethodDelete, location, "") })
	if a.status != 202 && (alone && tries == 1 || a.status != 409) {
		r.t.Errorf("%+v", a)
	}
}

// untilServed repeats a request while it gets 503, as a client does: a busy machine may let Redis time out.
func (*routed) untilServed(ask func() answer) (a answer) {
	for range 20 {
		if a = ask(); a.status != 503 {
			break
		}
	}
	return a
}

// The engine is asked once to cancel a task, whatever nodes find that it is cancelled.
func TestEngineIsAskedOnceToCancel(t *testing.T) {
	t.Run("one node", func(t *testing.T) {
		n := startRouted(t, cancellable)
		cancelAtOnce(t, n, n)
	})
	t.Run("another node", func(t *testing.T) {
		n := startTwoNodes(t, cancellable)
		cancelAtOnce(t, n.home, n.other)
	})
	t.Run("both nodes", func(t *testing.T) {
		n := startTwoNodes(t, cancellable)
		cancelAtOnce(t, n.home, n.home, n.other)
	})
}

// A client whose request has joined one that the engine refuses had a 202: its task is gone, and does not run for ever.
func TestTaskOfARefusedRequestIsGone(t *testing.T) {
	refuse := func(t *testing.T, home, other *routed) {
		for n := range 10 {
			key := fmt.Sprintf("k%d", n)
			first := home.post(`{}`, "Prefer", "respond-async", "Idempotency-Key", key)
			h := home.next(t)
			joined := <-other.post(`{}`, "Prefer", "respond-async", "Idempotency-Key", key)
			h.answer(422, "application/json", `{"reason":"no funds"}`)
			wantReply(t, got(t, first), 422, `{"reason":"no funds"}`)
			location := joined.header.Get("Location")
			for end := time.Now().Add(50 * time.Millisecond); time.Now().Before(end); {
				wantReply(t, other.do(http.MethodGet, location, ""), 410, "")
			}
		}
	}
	t.Run("one node", func(t *testing.T) {
		n := startRouted(t, cancellable)
		refuse(t, n, n)
	})
	t.Run("two nodes", func(t *testing.T) {
		n := startTwoNodes(t, cancellable)
		refuse(t, n.home, n.other)
	})
}

// Operators hear of every task that was cancelled and that its engine may go on with, and of no other.
func TestUncancelledTasksAreLogged(t *testing.T) {
	r := startRouted(t, func(_ *rest.RouteConfig, e *httpengine.Config) { cancellable(nil, e) })
	const refused, unasked = `"message":"an engine has refused to cancel a task"`, `"message":"an engine cannot be asked to cancel a task"`
	for _, f := range []struct {
		accepted string
		status   int // of the answer to the cancel; 0: it is not asked
		line     string
	}{
		{`{"id":"1"}`, 401, refused},
		{`{"id":"2"}`, 302, refused},
		{`{}`, 0, unasked},
		{`{"id":".."}`, 0, unasked},
		{`{"id":"3"}`, 204, ""},
		{`{"id":"4"}`, 404, ""},
		{`{"id":"5"}`, 409, ""},
	} {
		before := r.log.String()
		reply := r.post(`{}`, "Prefer", "respond-async")
		r.next(t).answer(202, "application/json", f.accepted)
		location := got(t, reply).header.Get("Location")
		wantReply(t, r.do(http.MethodDelete, location, ""), 202, "")
		if f.status != 0 {
			r.next(t).answer(f.status, "", "")
		}
		if f.line != "" {
			waitFor(t, func() bool { return strings.Contains(strings.TrimPrefix(r.log.String(), before), f.line) })
		}
	}
	if lines := r.log.String(); strings.Count(lines, refused) != 2 || strings.Count(lines, unasked) != 2 {
		t.Errorf("%s", lines)
	}
}

// An engine that has no request to cancel is no trouble.
func TestEngineWithoutCancelIsNotLogged(t *testing.T) {
	r := startRouted(t)
	reply := r.post(`{}`, "Prefer", "respond-async")
	h := r.next(t)
	h.answer(202, "", "")
	wantReply(t, r.do(http.MethodDelete, got(t, reply).header.Get("Location"), ""), 202, "")
	wantReply(t, r.report(h, `{}`), 200, `{}`)
	if lines := r.log.String(); strings.Contains(lines, `"level":"warn"`) {
		t.Errorf("%s", lines)
	}
}

// slowStore is a store that counts what it saves, and whose answers to some look-ups come too late.
type slowStore struct {
	*correlator.Memory
	saves atomic.Int64
	late  atomic.Int64 // look-ups that fail from now on
	first func()       // called when the first record is saved, before anybody hears that; nil: nothing is
}

func (s *slowStore) Save(ctx context.Context, id correlator.ID, rec correlator.Record) error {
	err := s.Memory.Save(ctx, id, rec)
	if s.saves.Add(1) == 1 && s.first != nil {
		s.first()
	}
	return err
}

func (s *slowStore) Lookup(ctx context.Context, id correlator.ID) (correlator.Record, error) {
	if s.late.Add(-1) >= 0 {
		return correlator.Record{}, correlator.ErrUnavailable
	}
	return s.Memory.Lookup(ctx, id)
}

// The engine is asked to cancel although the store does not answer at first: nobody repeats what the gateway has to ask.
func TestCancelOutlastsASlowStore(t *testing.T) {
	store := new(slowStore)
	r := startRoutedOver(t, func(m *correlator.Memory) correlator.Correlator { store.Memory = m; return store }, cancellable)
	opened := make(chan *events, 1)
	go func() { opened <- r.stream(http.MethodPost, "/v1/transfers/p2p", `{}`) }()
	h := r.next(t)
	s := <-opened // after a second, without the engine's answer
	v, _ := s.next()
	var task struct{ Location string }
	if err := json.Unmarshal([]byte(v.data), &task); err != nil {
		t.Fatal(err)
	}
	wantReply(t, r.do(http.MethodDelete, task.Location, ""), 202, "")
	s.want("end", "cancelled", "")
	s.wantEnd()
	store.late.Store(2)
	h.answer(202, "application/json", `{"id":"17"}`)
	if stop := r.next(t); stop.method != http.MethodDelete || stop.path != "/jobs/17" {
		t.Errorf("%s %s", stop.method, stop.path)
	} else {
		stop.answer(204, "", "")
	}
}

// A task costs one write more where the engine can be asked to cancel, and none where it cannot.
func TestCancelCostsItsEnginesAlone(t *testing.T) {
	for _, f := range []struct {
		saves  int64
		change []func(*rest.RouteConfig, *httpengine.Config)
	}{{1, nil}, {2, []func(*rest.RouteConfig, *httpengine.Config){cancellable}}} {
		store := new(slowStore)
		r := startRoutedOver(t, func(m *correlator.Memory) correlator.Correlator { store.Memory = m; return store }, f.change...)
		reply := r.post(`{}`, "Prefer", "respond-async")
		h := r.next(t)
		h.answer(202, "application/json", `{"id":"1"}`)
		wantReply(t, got(t, reply), 202, "")
		waitFor(t, func() bool { return store.saves.Load() >= f.saves })
		want(t, r.report(h, `{}`), 200, `{}`)
		if n := store.saves.Load(); n != f.saves {
			t.Errorf("%d writes, want %d", n, f.saves)
		}
	}
}

// The engine answers in the moment when its client has left: it is asked to cancel by one of the two, and not by both.
func TestEngineAnswersWhileItsClientLeaves(t *testing.T) {
	store, saved, leave := new(slowStore), make(chan struct{}), make(chan struct{})
	store.first = func() { close(saved); <-leave }
	r := startRoutedOver(t, func(m *correlator.Memory) correlator.Correlator { store.Memory = m; return store }, func(c *rest.RouteConfig, e *httpengine.Config) {
		cancellable(c, e)
		c.OnDisconnect = dialect.Cancel
	})
	c := r.dial()
	_, _ = io.WriteString(c, request(http.MethodPost, "/v1/transfers/p2p", `{}`, "Prefer: respond-async"))
	h := r.next(t)
	_ = c.Close()
	<-saved
	h.answer(202, "application/json", `{"id":"17"}`)
	r.next(t).answer(204, "", "") // the one that saw the engine's answer
	close(leave)
	waitFor(t, func() bool { return strings.Contains(r.log.String(), `"outcome":"hung_up"`) })
	select {
	case h := <-r.asked:
		t.Errorf("the engine is asked once more: %s %s", h.method, h.path)
	case <-time.After(200 * time.Millisecond): // nothing says that none will come
	}
}
