package waiter_test

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // LiqPay's own
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"syncgate/dialect/waiter"
	"syncgate/internal/webhook"
)

const isForm = "Content-Type: application/x-www-form-urlencoded"

// liqPay words a callback as LiqPay does (www.liqpay.ua/doc/api/callback): data is base64 of JSON, signature base64 of the SHA-1 of private key,
// data and private key.
func liqPay(secret, text string) string {
	data := base64.StdEncoding.EncodeToString([]byte(text))
	sum := sha1.Sum([]byte(secret + data + secret)) //nolint:gosec // LiqPay's own
	return url.Values{"data": {data}, "signature": {base64.StdEncoding.EncodeToString(sum[:])}}.Encode()
}

// TestACallbackOfLiqPayIsTheReply is a payment without any engine: the client's create waits, LiqPay's form is its result.
func TestACallbackOfLiqPayIsTheReply(t *testing.T) {
	c := called(func(c *waiter.Config) {
		c.Key, c.Path, c.Verify = "data.order_id", "order_id", webhook.Verify{Preset: "liqpay", Secret: "private"}
	})
	w := startMemory(t, c)
	reply := w.create("r1", `{"order_id":"A-17","amount":5}`)
	forged := liqPay("guessed", `{"order_id":"A-17","status":"success"}`)
	w.send(http.MethodPost, path(c), forged, isForm).want(t, 401, `{"request_proc":"ok","ops":[{"id":"","proc":"error","obj":"task","description":"Not verified"}]}`)
	if len(reply) > 0 {
		t.Fatalf("a forged callback is the reply: %+v", <-reply)
	}
	heard := w.send(http.MethodPost, path(c), liqPay("private", `{"order_id":"A-17","status":"success","amount":5.5}`), isForm)
	if heard.status != 200 || !strings.Contains(heard.body, `"proc":"ok"`) {
		t.Errorf("LiqPay hears %d %s", heard.status, heard.body)
	}
	(<-reply).want(t, 200, `{"request_proc":"ok","ops":[{"proc":"ok","ref":"r1","data":{"amount":5.5,"order_id":"A-17","status":"success"}}]}`)
	if n := w.metric("syncgate_waiter_completions_total", "unauthorized", "payments"); n != 1 {
		t.Errorf("%v are counted as unauthorized; want 1", n)
	}
}

// TestACallbackOfGitHubsKindIsTheReply has a signature over the body, and a number for a name.
func TestACallbackOfGitHubsKindIsTheReply(t *testing.T) {
	const body = `{"check":{"order_number":12345678901234567890},"ok":true}`
	c := called(func(c *waiter.Config) {
		c.Key, c.Path, c.Verify = "data.order_number", "check.order_number", webhook.Verify{Preset: "github", Secret: "s3cret"}
	})
	w := startMemory(t, c)
	reply := w.create("", `{"order_number":"12345678901234567890"}`)
	mac := hmac.New(sha256.New, []byte("s3cret"))
	mac.Write([]byte(body))
	signature := "X-Hub-Signature-256: sha256=" + hex.EncodeToString(mac.Sum(nil))
	if s := w.send(http.MethodPost, path(c), strings.Replace(body, "true", "null", 1), isJSON, signature); s.status != 401 {
		t.Errorf("a body that was changed: %+v", s)
	}
	if s := w.send(http.MethodPost, path(c), body, isJSON, signature); s.status != 200 {
		t.Errorf("the sender hears %+v", s)
	}
	(<-reply).want(t, 200, `{"request_proc":"ok","ops":[{"proc":"ok","ref":"","data":{"check":{"order_number":12345678901234567890},"ok":true,"order_number":"12345678901234567890"}}]}`)
}

func TestEventsAreSeparateCallbacks(t *testing.T) {
	c := called(func(c *waiter.Config) { c.Events, c.Path = "list", "id" })
	w := startMemory(t, c)
	send := func(body string, status int, want string) {
		t.Helper()
		w.send(http.MethodPost, path(c), body, isJSON).want(t, status, `{"request_proc":"ok","ops":[`+want+`]}`)
	}
	pending := func(ref string) string { return `{"id":"","proc":"pending","obj":"task","ref":"` + ref + `"}` }
	const missing = `{"id":"","proc":"error","obj":"task","description":"wrong_validate_params: id is not in the body, or is no text or number"}`
	send(`{"list":[{"id":"a"},{}]}`, 202, pending("a")+","+missing)
	send(`{"list":[{},{}]}`, 400, missing+","+missing)
	send(`{"list":[]}`, 200, "")
	send(`{}`, 400, `{"id":"","proc":"error","obj":"task","description":"wrong_validate_params: list is not in the body, or is no array"}`)
	first, second := w.create("o-1", `{}`), w.create("o-2", `{"x":1}`)
	s := w.send(http.MethodPost, path(c), `{"list":[{"id":"b"},{"id":"o-2","y":2},{"id":"o-2","y":3},{"id":"o-1"}]}`, isJSON)
	for i, want := range []string{pending("b"), `"proc":"ok","obj":"task","ref":"o-2","obj_id":"`, `"ref":"o-2","description":"task_not_in_current`, `"proc":"ok","obj":"task","ref":"o-1"`} {
		if s.status != 200 || !strings.Contains(s.body, want) {
			t.Errorf("event %d: %d %s", i, s.status, s.body)
		}
	}
	(<-first).want(t, 200, `{"request_proc":"ok","ops":[{"proc":"ok","ref":"o-1","data":{"id":"o-1"}}]}`)
	(<-second).want(t, 200, `{"request_proc":"ok","ops":[{"proc":"ok","ref":"o-2","data":{"id":"o-2","x":1,"y":2}}]}`)
}

func TestHandshakes(t *testing.T) {
	c := called(func(c *waiter.Config) {
		c.Challenge = true
		c.Verify = webhook.Verify{Kind: "basic", User: "u", Password: "p"}
	})
	w := startMemory(t, c)
	w.send(http.MethodGet, path(c)+"?hub.mode=subscribe&hub.challenge=c1&hub.verify_token=v", "").want(t, 200, "c1")
	w.send(http.MethodHead, path(c), "").want(t, 200, "")
	if s := w.send(http.MethodOptions, path(c), "", "WebHook-Request-Origin: events.example"); s.status != 200 || s.header.Get("WebHook-Allowed-Origin") != "events.example" {
		t.Errorf("%+v", s)
	}
	const slack, who = `{"type":"url_verification","challenge":"c2"}`, "Authorization: Basic dTpw"
	if s := w.send(http.MethodPost, path(c), slack, isJSON); s.status != 401 || s.header.Get("WWW-Authenticate") != `Basic realm="callbacks"` {
		t.Errorf("without a password: %+v", s)
	}
	w.send(http.MethodPost, path(c), slack, isJSON, who).want(t, 200, "c2")
	if s := w.send(http.MethodGet, path(c), "", who); s.status != 405 || s.header.Get("Allow") != http.MethodPost {
		t.Errorf("a plain GET: %+v", s)
	}
	forged := strings.Replace(path(c), hash, strings.Repeat("0", 40), 1)
	if s := w.send(http.MethodGet, forged+"?hub.mode=subscribe&hub.challenge=c1", ""); s.status != 404 {
		t.Errorf("a handshake at a forged URL: %+v", s)
	}

	silent := called(nil)
	w = startMemory(t, silent)
	if s := w.send(http.MethodHead, path(silent), ""); s.status != 405 {
		t.Errorf("a HEAD without challenge: %+v", s)
	}
	if s := w.send(http.MethodGet, path(silent)+"?hub.mode=subscribe&hub.challenge=c1", ""); s.status != 405 {
		t.Errorf("without challenge: %+v", s)
	}
}

func TestOnlyAddressesOfTheNetworksMayCall(t *testing.T) {
	f := func(network string, want int) {
		t.Helper()
		c := called(func(c *waiter.Config) { c.Verify = webhook.Verify{Kind: "networks", Networks: []string{network}} })
		w := startMemory(t, c)
		if s := w.send(http.MethodPost, path(c), `{"order":{"id":1}}`, isJSON); s.status != want {
			t.Errorf("%s: %+v", network, s)
		}
	}
	f("127.0.0.0/8", 202)
	f("203.0.113.0/24", 401)
}
