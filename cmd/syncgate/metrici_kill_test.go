package main_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"syncgate/internal/redistest"
)

// metriciWorker starts tasks as a worker of Metrici does: it keeps their tokens, and reports when the test does.
type metriciWorker struct {
	*httptest.Server
	t *testing.T

	mu     sync.Mutex
	tokens map[string][]string // by nonce; guarded by mu
}

func newMetriciWorker(t *testing.T) *metriciWorker {
	t.Helper()
	w := &metriciWorker{t: t, tokens: make(map[string][]string)}
	w.Server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		var task struct{ Nonce, CallbackToken string }
		if err := json.Unmarshal([]byte(r.FormValue("data")), &task); err != nil || task.CallbackToken == "" {
			t.Errorf("the worker gets %q: %v", r.Form, err)
		}
		w.mu.Lock()
		w.tokens[task.Nonce] = append(w.tokens[task.Nonce], task.CallbackToken)
		w.mu.Unlock()
		rw.WriteHeader(http.StatusAccepted)
	}))
	t.Cleanup(func() {
		w.CloseClientConnections()
		w.Close()
	})
	return w
}

// token gives that of a task, empty where the worker has not got it. It wants that the worker got it once.
func (w *metriciWorker) token(nonce string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch all := w.tokens[nonce]; len(all) {
	case 0:
		return ""
	case 1:
		return all[0]
	}
	w.t.Errorf("%s: the worker was asked %d times", nonce, len(w.tokens[nonce]))
	return w.tokens[nonce][0]
}

// report sends a message to a node, and wants its answer.
func (w *metriciWorker) report(at *client, nonce, status, data, want string) {
	token := w.token(nonce)
	a := at.reach(http.MethodPost, "/callback/metrici?action=callback", fmt.Sprintf(`{"type":"CALLBACK","callbackToken":%q,"callbackStatus":%q,"callbackData":%s}`, token, status, data))
	if said := fmt.Sprintf(`{"callbackToken":%q,"callbackStatus":%q,"callbackData":%s}`, token, status, want); a.status != 200 || a.body != said {
		w.t.Errorf("%s: %d %s\nwant %s", nonce, a.status, a.body, said)
	}
}

// TestHomeDiesBetweenProgressAndFinal kills the home with SIGKILL when the worker has reported progress of each task, at both nodes. The worker completes
// the tasks at the other node. Half of the clients were held: they repeat their requests there. The others had a 202: they ask for their tasks there. All get the
// result, laid over the progress and the request. The worker was asked once for each task.
func TestHomeDiesBetweenProgressAndFinal(t *testing.T) {
	w := newMetriciWorker(t)
	text := fmt.Sprintf(`engines: [{name: worker, kind: metrici, url: "%s/execute", retention: PT24H}]
routes: [{name: orders, path: /v1/orders, engine: worker, auth: none, wait: {default: 30s, max: 1m}}]
`, w.URL)
	p := newPair(t, nil, text, shared(w.URL, redistest.StartTCP(t)))
	for _, c := range []*client{p.atHome, p.atOther} {
		c.Timeout = patience
	}
	const tasks = 40
	var reported sync.WaitGroup
	reported.Add(tasks)
	go func() {
		reported.Wait()
		p.kill()
	}()
	crowdOf(tasks, func(nonce string, n int) {
		async := n%2 == 0
		prefer := "Prefer: wait=30"
		if async {
			prefer = "Prefer: respond-async"
		}
		first := make(chan answer, 1)
		go func() { first <- p.atHome.post(nonce, prefer, "Idempotency-Key: "+nonce) }()
		eventually(t, "the worker has the task", func() bool { return w.token(nonce) != "" })
		begun := fmt.Sprintf(`{"nonce":%q,"step":1}`, nonce)
		w.report([]*client{p.atHome, p.atOther}[n/2%2], nonce, "progress", `{"step":1}`, begun)
		reported.Done()
		p.awaitDeath()
		w.report(p.atOther, nonce, "start", `{}`, begun)
		whole := fmt.Sprintf(`{"done":true,"nonce":%q,"step":1}`, nonce)
		w.report(p.atOther, nonce, "complete", `{"done":true}`, whole)
		w.report(p.atOther, nonce, "complete", `{"done":true}`, whole)
		a := <-first
		switch {
		case async && a.status == 202:
			a = p.atOther.reach(http.MethodGet, a.header.Get("Location"), "")
		case a.status == 0:
			a = p.atOther.post(nonce, "Prefer: wait=30", "Idempotency-Key: "+nonce)
		default:
			t.Errorf("%s got %d %s before the task was complete", nonce, a.status, a.body)
		}
		if a.status != 200 || a.body != whole {
			t.Errorf("%s: %d %s, want %s", nonce, a.status, a.body, whole)
		}
		asked := p.atOther.reach(http.MethodPost, "/callback/metrici", fmt.Sprintf(`{"callbackToken":%q,"callbackAction":"getCallback"}`, w.token(nonce)))
		if !strings.HasSuffix(asked.body, `"status":"complete","data":`+whole+`}`) {
			t.Errorf("%s: %s", nonce, asked.body)
		}
	})
	p.end()
}
