package gateway_test

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"syncgate/correlator"
	"syncgate/dialect"
	"syncgate/dialect/httpengine"
	"syncgate/dialect/rest"
	"syncgate/gateway"
)

// TestEveryFinalIsPushed has tasks end in the ways that TestResultsArePushed, TestTaskThatIsLeftIsPushed, TestEndlessTaskIsPushed and TestPushOnAnyNode leave
// out. No outbox looks by itself here: each final has to say that it is there.
func TestEveryFinalIsPushed(t *testing.T) {
	for _, way := range []struct {
		name, onDisconnect string
		end                func(t *testing.T, n *pushNode)
		want               string
	}{
		{"a stream is left", dialect.Cancel, func(t *testing.T, n *pushNode) {
			leave := n.leaving(t, "Accept", "text/event-stream", "Prefer", "wait=20")
			h := n.next(t)
			h.answer(202, "", "")
			waitFor(t, func() bool { return strings.Contains(n.log.String(), `"outcome":"handed_over"`) })
			leave()
		}, "cancel "},
		{"its client hangs up, and would have the result dropped", dialect.Drop, func(t *testing.T, n *pushNode) {
			leave := n.leaving(t, "Prefer", "wait=20")
			h := n.next(t)
			h.answer(202, "", "")
			leave()
			waitFor(t, func() bool { return strings.Contains(n.log.String(), `"status":499`) })
			want(t, n.report(h, `{"done":1}`), 200, `{}`)
		}, `complete {"done":1}`},
		{"the engine's own answer is late", "", func(t *testing.T, n *pushNode) {
			reply := n.post(`{}`, "Accept", "text/event-stream", "Prefer", "wait=20")
			h := n.next(t)
			waitFor(t, func() bool { return strings.Contains(n.log.String(), `"outcome":"handed_over"`) })
			h.answer(200, "application/json", `{"done":2}`)
			got(t, reply)
		}, `complete {"done":2}`},
		{"it comes in another way than by its URL", "", func(t *testing.T, n *pushNode) {
			reply := n.post(`{}`, "Prefer", "respond-async")
			n.next(t).answer(202, "", "")
			wantReply(t, got(t, reply), 202, "")
			to := correlator.Token{Trip: n.ids()[0], Engine: correlator.NewEngineID("flow")}
			if err := n.Deliver(t.Context(), to, correlator.Callback{Status: correlator.Complete, Body: []byte(`{"done":3}`)}); err != nil {
				t.Error(err)
			}
		}, `complete {"done":3}`},
	} {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel()
			n := startPushing(t, func(r *rest.RouteConfig, e *httpengine.Config) {
				r.OnDisconnect, e.Final, e.Accepted = way.onDisconnect, []int{200}, []int{202}
			})
			way.end(t, n)
			n.wantPushed(t, way.want)
			if left := n.lookAtAll(); left != 0 {
				t.Errorf("%d tasks are still owed", left)
			}
			wantNoMore(t, n.pushed)
		})
	}
}

// leaving posts a request and gives what hangs up.
func (r *routed) leaving(t *testing.T, header ...string) (leave func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.url+"/v1/transfers/p2p", strings.NewReader(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if resp, err := r.http.Do(req); err == nil {
			<-ctx.Done()
			_ = resp.Body.Close()
		}
	}()
	return func() {
		cancel()
		<-ended
	}
}

// pausedStore is a correlator that saves nothing for a while.
type pausedStore struct {
	*correlator.Memory
	paused atomic.Bool
}

func (s *pausedStore) Save(ctx context.Context, id correlator.ID, rec correlator.Record) error {
	if s.paused.Load() {
		return correlator.ErrUnavailable
	}
	return s.Memory.Save(ctx, id, rec)
}

// A result that its client has got while the store was away is pushed as soon as the store has it.
func TestWhatIsSavedLaterIsPushed(t *testing.T) {
	store := new(pausedStore)
	n := startPushingOver(t, func(n *node, p *gateway.Parts) {
		store.Memory = n.memo
		p.Correlator = store
	}, func(_ *rest.RouteConfig, e *httpengine.Config) { e.Final = []int{200} })
	reply := n.post(`{}`, "Prefer", "wait=20")
	h := n.next(t)
	store.paused.Store(true)
	h.answer(200, "application/json", `{"done":1}`)
	wantReply(t, got(t, reply), 200, `{"done":1}`)
	n.looks.Wait()
	wantNoMore(t, n.pushed)
	store.paused.Store(false)
	n.wantPushed(t, `complete {"done":1}`)
	if left := n.lookAtAll(); left != 0 {
		t.Errorf("%d tasks are still owed", left)
	}
}

// A stream of several ops that is left has all of them cancelled.
func TestEveryOpOfAStreamThatIsLeftIsCancelled(t *testing.T) {
	n := startPushing(t, func(r *rest.RouteConfig, _ *httpengine.Config) { r.OnDisconnect = dialect.Cancel })
	id := n.memo.NewID(time.Now().Add(time.Hour)).Mark()
	rec := correlator.Record{
		Meta:   []byte(`{"login":"route/transfer","dialect":"rest","engine":"flow","route":"transfer","created":1,"ops":[{},{}]}`),
		Finals: make([]correlator.Callback, 2),
	}
	if err := n.memo.Save(t.Context(), id, rec); err != nil {
		t.Fatal(err)
	}
	if err := n.Owe(t.Context(), id, time.Hour, false); err != nil {
		t.Fatal(err)
	}
	n.Forsake(id, 2)
	n.wantPushed(t, "cancel ")
}

// A result waits for its look, however short the retention: here nobody looks before that is over.
func TestResultWaitsForItsLook(t *testing.T) {
	n, store := startPushingOverRedis(t, 100*time.Millisecond)
	n.blind.Store(true)
	reply := n.post(`{}`, "Prefer", "respond-async")
	h := n.next(t)
	h.answer(202, "", "")
	wantReply(t, got(t, reply), 202, "")
	want(t, n.report(h, `{"done":1}`), 200, `{}`)
	<-time.After(3 * store.Retention)
	n.look(n.ids()[0])
	n.wantPushed(t, `complete {"done":1}`)
}
