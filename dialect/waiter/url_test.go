package waiter_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"syncgate/dialect/waiter"
	"syncgate/signer"
)

// called is a waiter with a URL.
func called(change func(*waiter.Config)) waiter.Config {
	return config(func(c *waiter.Config) {
		c.Hashes, c.Path, c.Engine = []signer.Secret{hash}, "order.id", waiter.EngineNone
		if change != nil {
			change(c)
		}
	})
}

// path gives the path of a waiter's URL.
func path(c waiter.Config) string { return c.URL("") }

const isJSON = "Content-Type: application/json"

func TestAWebhookIsTheReply(t *testing.T) {
	c := called(nil)
	w := startMemory(t, c)
	reply := w.create("17", `{"sum":5}`)
	heard := w.send(http.MethodPost, path(c), `{"order":{"id":17},"paid":true}`, isJSON)
	if heard.status != 200 || !strings.HasPrefix(heard.body, `{"request_proc":"ok","ops":[{"id":"","proc":"ok","obj":"task","ref":"17","obj_id":"`) {
		t.Errorf("the sender hears %d %s", heard.status, heard.body)
	}
	(<-reply).want(t, 200, `{"request_proc":"ok","ops":[{"proc":"ok","ref":"17","data":{"order":{"id":17},"paid":true,"sum":5}}]}`)
	w.send(http.MethodPost, path(c), `{"order":{"id":"17"}}`, isJSON).
		want(t, 409, `{"request_proc":"ok","ops":[{"id":"","proc":"error","obj":"task","ref":"17","description":"task_not_in_current_sync_callback_node"}]}`)
	if len(w.asked) > 0 {
		t.Errorf("the engine was asked: %s", <-w.asked)
	}
}

func TestAWebhookThatComesBeforeItsClientIsTheReply(t *testing.T) {
	c := called(nil)
	w := startMemory(t, c)
	w.send(http.MethodPost, path(c), `{"order":{"id":"17"},"paid":true}`, isJSON).want(t, 202, `{}`)
	(<-w.create("17", `{"sum":5}`)).want(t, 200, `{"request_proc":"ok","ops":[{"proc":"ok","ref":"17","data":{"order":{"id":"17"},"paid":true,"sum":5}}]}`)
	w.until(func() bool { return w.metric("syncgate_waiter_completions_total", "completed", "payments") == 1 })
	if n := w.metric("syncgate_waiter_completions_total", "held", "payments"); n != 1 {
		t.Errorf("%v were held", n)
	}
}

func TestTheEnginesTaskIsInTheAnswer(t *testing.T) {
	c := called(func(c *waiter.Config) { c.Engine, c.Key, c.Path = waiter.EngineForward, waiter.KeyTask, "task" })
	w := startMemory(t, c)
	reply := w.create("17", `{"sum":5}`)
	<-w.asked
	if s := w.send(http.MethodPost, path(c), `{"task":"e7","paid":true}`, isJSON); s.status == 200 { // else it was before the engine's answer
		s.want(t, 200, `{"request_proc":"ok","ops":[{"id":"","proc":"ok","obj":"task","obj_id":"e7"}]}`)
	}
	(<-reply).want(t, 200, `{"request_proc":"ok","ops":[{"proc":"ok","ref":"17","data":{"paid":true,"sum":5,"task":"e7"}}]}`)
}

func TestWhatASenderHears(t *testing.T) {
	f := func(change func(*waiter.Config), body string, status int, want string) {
		t.Helper()
		c := called(change)
		w := startMemory(t, c)
		w.send(http.MethodPost, path(c), body, isJSON).want(t, status, want)
	}
	failed := func(rest string) string {
		return `{"request_proc":"ok","ops":[{"id":"","proc":"error","obj":"task",` + rest + `}]}`
	}
	off := func(c *waiter.Config) { c.Early = 0 }
	f(off, `{"order":{"id":"17"}}`, 404, failed(`"ref":"17","description":"not found task"`))
	f(nil, `{"order":{"id":"17"}}`, 202, `{}`)
	f(func(c *waiter.Config) { c.Synchronous, c.Early = false, 50*time.Millisecond }, `{"order":{"id":"17"}}`, 200,
		`{"request_proc":"ok","ops":[{"id":"","proc":"ok","obj":"task","ref":"17"}]}`)
	f(nil, `{"order":{}}`, 400, failed(`"description":"wrong_validate_params: order.id is not in the body, or is no text or number"`))
	f(off, `{"order":{"id":"`+strings.Repeat("x", 513)+`"}}`, 404, failed(`"description":"not found task"`))
}

func TestAForgedURLHearsTheSameForEveryReason(t *testing.T) {
	c := called(nil)
	w := startMemory(t, c)
	node := strings.Split(path(c), "/")[5]
	for _, forged := range []string{
		node + "/" + strings.Repeat("0", 40), strings.Repeat("0", 24) + "/" + hash, node + "/" + hash[1:], node + "/" + strings.ToUpper(hash), "x/y", "/",
	} {
		for _, body := range []string{`{"order":{"id":"17"}}`, ``, `{`} {
			w.send(http.MethodPost, "/api/1/json/callback/"+forged, body, isJSON).
				want(t, 404, `{"request_proc":"ok","ops":[{"id":"","proc":"error","obj":"task","description":"Not found"}]}`)
		}
	}
	if text := w.log.String(); strings.Contains(text, hash) {
		t.Errorf("the hash is in the log: %s", text)
	}
}

func TestARemovedHashIsHeardForAWeek(t *testing.T) {
	c := called(nil)
	w := startMemory(t, c)
	reply := w.create("17", `{}`)
	next := called(func(c *waiter.Config) {
		c.Hashes, c.RetiredHashes = []signer.Secret{signer.Secret(strings.Repeat("a", 40))}, []signer.Secret{signer.Secret(strings.Repeat("b", 40))}
	})
	if err := w.table.Set([]waiter.Config{next}); err != nil {
		t.Fatal(err)
	}
	w.send(http.MethodPost, path(c), `{"order":{"id":"17"}}`, isJSON).want(t, 202, `{}`)
	w.send(http.MethodPost, strings.Replace(path(c), hash, strings.Repeat("b", 40), 1), `{"order":{"id":"17"}}`, isJSON).want(t, 202, `{}`)
	if len(reply) > 0 {
		t.Errorf("a removed hash has completed an op: %+v", <-reply)
	}
	w.send(http.MethodPost, path(next), `{"order":{"id":"17"}}`, isJSON)
	(<-reply).want(t, 200, `{"request_proc":"ok","ops":[{"proc":"ok","ref":"17","data":{"order":{"id":"17"}}}]}`)
	if err := w.table.Set([]waiter.Config{called(nil)}); err != nil { // it is back
		t.Fatal(err)
	}
	if s := w.send(http.MethodPost, path(c), `{"order":{}}`, isJSON); s.status != 400 {
		t.Errorf("a hash that is back: %+v", s)
	}
}
