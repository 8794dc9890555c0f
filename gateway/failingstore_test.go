package gateway_test

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"syncgate/correlator"
	"syncgate/gateway"
)

// failingStore is a correlator some of whose next calls fail, each as if its answer had not come in time.
type failingStore struct {
	*correlator.Memory
	finals atomic.Int64 // deliveries that are not made
	unsaid atomic.Int64 // deliveries that are made all the same
	looks  atomic.Int64
	claims atomic.Int64
	before atomic.Pointer[func()]                                              // called before a delivery, once; nil: nothing is
	attach atomic.Pointer[func(id correlator.ID, r correlator.Receiver) error] // called before Attach; nil: nothing is
}

func (s *failingStore) Deliver(ctx context.Context, id correlator.ID, cb correlator.Callback) error {
	if s.finals.Add(-1) >= 0 {
		return correlator.ErrUnavailable
	}
	if f := s.before.Swap(nil); f != nil {
		(*f)()
	}
	err := s.Memory.Deliver(ctx, id, cb)
	if s.unsaid.Add(-1) >= 0 {
		return correlator.ErrUnavailable
	}
	return err
}

func (s *failingStore) Lookup(ctx context.Context, id correlator.ID) (correlator.Record, error) {
	if s.looks.Add(-1) >= 0 {
		return correlator.Record{}, correlator.ErrUnavailable
	}
	return s.Memory.Lookup(ctx, id)
}

func (s *failingStore) Claim(ctx context.Context, k correlator.Key, fingerprint [32]byte, id correlator.ID, rec correlator.Record) (correlator.ID, error) {
	if s.claims.Add(-1) >= 0 {
		return correlator.ID{}, correlator.ErrUnavailable
	}
	return s.Memory.Claim(ctx, k, fingerprint, id, rec)
}

func (s *failingStore) Attach(ctx context.Context, id correlator.ID, r correlator.Receiver, deadline time.Time) (func(), error) {
	if f := s.attach.Load(); f != nil {
		if err := (*f)(id, r); err != nil {
			return nil, err
		}
	}
	return s.Memory.Attach(ctx, id, r, deadline)
}

// attaches has f called before each wait for another trip.
func (s *failingStore) attaches(f func(id correlator.ID, r correlator.Receiver) error) {
	s.attach.Store(&f)
}

// over puts the store between a gateway and its memory.
func (s *failingStore) over(m *correlator.Memory) correlator.Correlator {
	s.Memory = m
	return s
}

// A client that cannot cancel because the store is away hears that, and its task goes on. It can try again.
func TestCancelWithoutTheStore(t *testing.T) {
	store := new(failingStore)
	r := startRoutedOver(t, store.over, cancellable)
	r.SetAdmin(gateway.Admin{Actions: true})
	reply := r.post(`{}`, "Prefer", "respond-async", "X-Request-Id", "mine")
	r.next(t).answer(202, "application/json", `{"id":"n"}`)
	location := got(t, reply).header.Get("Location")
	waitLog(t, r.node, `"outcome":"handed_over"`)
	store.finals.Store(1)
	wantReply(t, r.do(http.MethodDelete, location, ""), 503, "")
	wantReply(t, r.do(http.MethodGet, location, ""), 202, "")
	store.finals.Store(1)
	r.refusesCancel(t, "mine", 503, "Unavailable")
	store.looks.Store(1)
	r.refusesCancel(t, "mine", 503, "Unavailable")
	wantReply(t, r.do(http.MethodGet, location, ""), 202, "")
	select {
	case h := <-r.asked:
		t.Errorf("the engine is asked: %s %s", h.method, h.path)
	default:
	}
	store.claims.Store(3) // nobody can say who asks the engine: better twice than never
	wantReply(t, r.do(http.MethodDelete, location, ""), 202, "")
	if c := r.next(t); c.path != "/jobs/n" {
		t.Errorf("the engine is asked for %s", c.path)
	} else {
		c.answer(204, "", "")
	}
	wantReply(t, r.do(http.MethodGet, location, ""), 409, "")
	name := string(r.keys.AppendTaskID(nil, r.memo.NewID(time.Now().Add(time.Hour))))
	r.refusesCancel(t, name, 404, "knows no such request") // a task that was never made
}

// An operator cancels all ops of a task, or hears that some may be open.
func TestOperatorCancelsOneOfTwoOps(t *testing.T) {
	e, store := newEngine(t), new(failingStore)
	n := startOver(t, e.URL, store.over, withActions)
	reply := n.createLater(`{"timeout":0.1,"ops":[{"type":"create","obj":"task","conv_id":1,"data":{}},{"type":"create","obj":"task","conv_id":2,"data":{}}]}`)
	e.next(t).accept()
	location := got(t, reply).header.Get("Location")
	waitLog(t, n, `"outcome":"timeout"`)
	name := strings.TrimPrefix(location, "/api/1/tasks/")
	store.finals.Store(1)
	n.refusesCancel(t, name, 503, "Unavailable")
	n.cancels(t, name)
	want(t, n.do(http.MethodGet, location, ""), 200, `{"request_proc":"ok","ops":[{"proc":"error","description":"Cancelled"},{"proc":"error","description":"Cancelled"}]}`)
}

// An engine that has cancelled a task itself is not asked to, whoever comes then.
func TestEngineThatHasCancelledIsNotAsked(t *testing.T) {
	r := startRouted(t, cancellable)
	r.SetAdmin(gateway.Admin{Actions: true})
	reply := r.post(`{}`, "Prefer", "respond-async", "X-Request-Id", "mine")
	h := r.next(t)
	h.answer(202, "application/json", `{"id":"n"}`)
	location := got(t, reply).header.Get("Location")
	waitLog(t, r.node, `"outcome":"handed_over"`)
	want(t, r.report(h, `{"message":"by hand"}`, "X-Callback-Status", "cancel"), 200, `{}`)
	wantReply(t, r.do(http.MethodDelete, location, ""), 409, "")
	r.refusesCancel(t, "mine", 409, "it was over")
	select {
	case h := <-r.asked:
		t.Errorf("the engine is asked: %s %s", h.method, h.path)
	case <-time.After(100 * time.Millisecond): // nothing says that nothing comes
	}
}

// A result whose delivery may have been made, or not, is looked at: its receivers must not wait until another node finds it.
func TestFinalThatMayBeStoredIsPushed(t *testing.T) {
	store := new(failingStore)
	n := startPushingOver(t, func(n *node, p *gateway.Parts) { p.Correlator = store.over(n.memo) })
	reply := n.post(`{}`, "Prefer", "respond-async")
	h := n.next(t)
	h.answer(202, "", "")
	wantReply(t, got(t, reply), 202, "")
	store.unsaid.Store(1)
	if a := n.report(h, `{"done":1}`); a.status != 503 {
		t.Errorf("%+v", a)
	}
	n.wantPushed(t, `complete {"done":1}`)
	if left := n.lookAtAll(); left != 0 {
		t.Errorf("%d tasks are owed", left)
	}
}

// An owner of a key may have gone while its key was looked up: then the next one makes the task, under an id of its own.
func TestKeyOfATripThatIsGone(t *testing.T) {
	e, store := newEngine(t), new(failingStore)
	n := startOver(t, e.URL, store.over)
	first := n.createLater(oneOp(`{}`), "Idempotency-Key", "k")
	a := e.next(t)
	a.accept()
	var tries atomic.Int64
	store.attaches(func(id correlator.ID, _ correlator.Receiver) error {
		if tries.Add(1) > 1 {
			return nil
		}
		_ = store.Release(context.Background(), correlator.Key{Login: login, Name: "k"}, id)
		return correlator.ErrGone
	})
	second := n.createLater(oneOp(`{}`), "Idempotency-Key", "k")
	b := e.next(t)
	b.accept()
	want(t, n.callback(a.tokens[0], `{"answer":41}`), 200, `{}`)
	want(t, got(t, first), 200, strings.Replace(accepted, "42", "41", 1))
	want(t, n.callback(b.tokens[0], `{"answer":42}`), 200, `{}`)
	r := got(t, second)
	want(t, r, 200, accepted)
	want(t, n.create(oneOp(`{}`), "Idempotency-Key", "k"), 200, accepted)
	want(t, n.do(http.MethodGet, r.header.Get("Location"), ""), 200, accepted)
	noneAsked(t, e)
	waitFor(t, func() bool { return strings.Count(n.log.String(), `"keyed":true,"joined":false`) == 2 })
}

// A result may come to who joins before the store has said that it can join at all: it is answered with that, once.
func TestResultThatComesBeforeTheJoin(t *testing.T) {
	e, store := newEngine(t), new(failingStore)
	n := startOver(t, e.URL, store.over)
	store.attaches(func(_ correlator.ID, r correlator.Receiver) error {
		r.Deliver(correlator.Callback{Status: correlator.Complete, Body: []byte(`{"answer":42}`)}, func(correlator.Disposition) {})
		return correlator.ErrUnavailable
	})
	first := n.createLater(oneOp(`{}`), "Idempotency-Key", "k")
	a := e.next(t)
	a.accept()
	want(t, n.create(oneOp(`{}`), "Idempotency-Key", "k"), 200, accepted)
	n.callback(a.tokens[0], `{"answer":42}`)
	want(t, got(t, first), 200, accepted)
	wantMetric(t, n, `syncgate_trips_total{login="12345",outcome="complete"}`, 2)
}

// A key is its login's: another login with the same key and the same body makes a task of its own.
func TestKeyOfAnotherLogin(t *testing.T) {
	e := newEngine(t)
	n := start(t, e.URL)
	const body = `{"timeout":5,"ops":[{"type":"create","obj":"task","conv_id":1,"data":{}}]}`
	first := n.createLater(body, "Idempotency-Key", "k")
	a := e.next(t)
	a.accept()
	second := make(chan answer, 1)
	go func() {
		second <- n.do(http.MethodPost, signAs(otherLogin, otherSecret, strconv.FormatInt(time.Now().Unix(), 10), body), body, "Idempotency-Key", "k")
	}()
	b := e.next(t)
	b.accept()
	n.callback(b.tokens[0], `{"answer":"the other's"}`)
	want(t, got(t, second), 200, `{"request_proc":"ok","ops":[{"proc":"ok","data":{"answer":"the other's"}}]}`)
	n.callback(a.tokens[0], `{"answer":42}`)
	want(t, got(t, first), 200, accepted)
	want(t, n.create(body, "Idempotency-Key", "k"), 200, accepted)
}
