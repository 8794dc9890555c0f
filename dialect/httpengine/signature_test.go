package httpengine_test

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/valyala/fasthttp"

	"syncgate/dialect"
	"syncgate/dialect/httpengine"
)

// verifier is the reference library of Standard Webhooks as an engine uses it.
func verifier(t *testing.T, secret string) *standardwebhooks.Webhook {
	t.Helper()
	w, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// received gives a request as an engine behind net/http reads it from the wire.
func received(t *testing.T, req *fasthttp.Request) (h http.Header, body []byte) {
	t.Helper()
	var wire bytes.Buffer
	w := bufio.NewWriter(&wire)
	if err := req.Write(w); err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	r, err := http.ReadRequest(bufio.NewReader(&wire))
	if err != nil {
		t.Fatal(err)
	}
	if body, err = io.ReadAll(r.Body); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{standardwebhooks.HeaderWebhookID, standardwebhooks.HeaderWebhookTimestamp, standardwebhooks.HeaderWebhookSignature} {
		if n := len(r.Header.Values(name)); n != 1 {
			t.Errorf("%s stands there %d times", name, n)
		}
	}
	return r.Header, body
}

// signed makes the request of a task at a time.
func signed(t *testing.T, e *httpengine.Engine, asked dialect.Asked, at time.Time) *fasthttp.Request {
	t.Helper()
	c, req := call(asked), new(fasthttp.Request)
	if err := e.Prepare(c); err != nil {
		t.Fatal(err)
	}
	if err := e.Encode(req, c, []string{token}, at); err != nil {
		t.Fatal(err)
	}
	return req
}

// TestReferenceLibraryVerifies has the reference library verify every kind of request, and refuse what was changed on its way.
func TestReferenceLibraryVerifies(t *testing.T) {
	json := []byte("application/json")
	for _, f := range []struct {
		name   string
		change func(*httpengine.Config)
		asked  dialect.Asked
	}{
		{"JSON", nil, dialect.Asked{ContentType: json, Body: []byte(`{"amount": 1.0, "name": "Олена"}`)}},
		{
			"URL in a member", func(c *httpengine.Config) { c.CallbackURL = httpengine.CallbackURL{Member: "callback.url"} },
			dialect.Asked{ContentType: json, Body: []byte(`{ "a" : 1 }`)},
		},
		{"bytes", nil, dialect.Asked{ContentType: []byte("image/png"), Body: []byte("\x89PNG\x00\xff\r\n.")}},
		{"no body", nil, dialect.Asked{}},
		{
			"GET", func(c *httpengine.Config) { c.Method, c.CallbackURL = "GET", httpengine.CallbackURL{Query: "cb"} },
			dialect.Asked{},
		},
		{"a client's own headers", nil, dialect.Asked{
			ContentType: json, Body: []byte(`{}`),
			Forwarded: []dialect.Param{{Name: "Webhook-Id", Value: "evil"}, {Name: "webhook-timestamp", Value: "1"}, {Name: "WEBHOOK-SIGNATURE", Value: "v1,evil"}},
		}},
	} {
		t.Run(f.name, func(t *testing.T) {
			e := engine(t, func(c *httpengine.Config) {
				if c.Secret = secret; f.change != nil {
					f.change(c)
				}
			})
			h, body := received(t, signed(t, e, f.asked, time.Now()))
			wantVerified(t, h, body)
		})
	}
}

// wantVerified wants that a request is verified, and that it is not with anything in it changed.
func wantVerified(t *testing.T, h http.Header, body []byte) {
	t.Helper()
	if err := verifier(t, secret).Verify(body, h); err != nil {
		t.Errorf("%v\n%v\n%q", err, h, body)
	}
	if verifier(t, "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA").Verify(body, h) == nil {
		t.Error("another secret verifies it")
	}
	if verifier(t, secret).Verify(append(body, '.'), h) == nil {
		t.Error("another body is verified")
	}
	for _, name := range []string{standardwebhooks.HeaderWebhookID, standardwebhooks.HeaderWebhookTimestamp} {
		other := h.Clone()
		other.Set(name, h.Get(name)+"0")
		if verifier(t, secret).VerifyIgnoringTimestamp(body, other) == nil {
			t.Errorf("another %s is verified", name)
		}
	}
}

// TestReferenceLibraryKnowsARepeat wants that a second attempt has the id of the first one, so that the engine can tell, and a signature of its
// own time. A task and its cancelling have different ids.
func TestReferenceLibraryKnowsARepeat(t *testing.T) {
	e := engine(t, func(c *httpengine.Config) {
		c.Secret, c.Cancel = secret, httpengine.Cancel{Method: "DELETE", URL: "https://flow.internal:8443/jobs/{task}"}
	})
	asked := dialect.Asked{ContentType: []byte("application/json"), Body: []byte(`{}`)}
	first, _ := received(t, signed(t, e, asked, time.Now().Add(-time.Minute)))
	second, body := received(t, signed(t, e, asked, time.Now()))
	if err := verifier(t, secret).Verify(body, second); err != nil {
		t.Error(err)
	}
	if first.Get("webhook-id") != second.Get("webhook-id") || first.Get("webhook-signature") == second.Get("webhook-signature") {
		t.Errorf("%v\n%v", first, second)
	}
	old, body := received(t, signed(t, e, asked, time.Now().Add(-time.Hour)))
	if verifier(t, secret).Verify(body, old) == nil {
		t.Error("a request of an hour ago is verified")
	}
	req := new(fasthttp.Request)
	if err := e.EncodeCancel(req, "task", nil, time.Now()); err != nil {
		t.Fatal(err)
	}
	h, body := received(t, req)
	if err := verifier(t, secret).Verify(body, h); err != nil || h.Get("webhook-id") == first.Get("webhook-id") {
		t.Errorf("%v\n%v", err, h)
	}
}
