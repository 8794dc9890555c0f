package webhook_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"

	"syncgate/internal/webhook"
	"syncgate/signer"
)

// wantAnswer wants an answer that no browser takes for a page.
func wantAnswer(t *testing.T, what string, a *webhook.Answer, status int, text string) *fasthttp.Response {
	t.Helper()
	if a == nil {
		t.Errorf("%s: no handshake", what)
		return new(fasthttp.Response)
	}
	dst := new(fasthttp.Response)
	a.Write(dst)
	if dst.StatusCode() != status || string(dst.Body()) != text || string(dst.Header.ContentType()) != "text/plain; charset=utf-8" || string(dst.Header.Peek("X-Content-Type-Options")) != "nosniff" {
		t.Errorf("%s: %v", what, dst)
	}
	return dst
}

func TestHub(t *testing.T) {
	f := func(query string, token signer.Secret, status int, text string) {
		t.Helper()
		wantAnswer(t, query, webhook.BeforeVerify(request(t, "GET", "/hook?"+query, ""), token), status, text)
	}
	const good = "hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=meatyhamhock" // of Meta's page
	f(good, "", 200, "1158201444")
	f(good, "meatyhamhock", 200, "1158201444")
	f("hub%2Emode=subscribe&hub.challenge=a%2Bb+c", "", 200, "a+b c")
	f(good, "meatyhamhoc", 403, "")
	f("hub.mode=subscribe&hub.challenge=1", "meatyhamhock", 403, "")
	f("hub.mode=subscribe&hub.challenge="+url.QueryEscape("<script>"), "", 200, "<script>") // as text
	f("hub.mode=subscribe&hub.challenge="+strings.Repeat("a", 1024), "", 200, strings.Repeat("a", 1024))
	f("hub.mode=subscribe&hub.challenge="+strings.Repeat("a", 1025), "", 400, "")
	for _, bad := range []string{"", "a%0D%0Ab", "%00", "%ff", "a&hub.challenge=b", "%c2%85"} {
		f("hub.mode=subscribe&hub.challenge="+bad, "", 400, "")
	}
	for _, none := range []string{"", "a=1", "hub.mode=subscribe", "hub.challenge=1", "hub.mode=unsubscribe&hub.challenge=1", "hub_mode=subscribe&hub_challenge=1"} {
		if a := webhook.BeforeVerify(request(t, "GET", "/hook?"+none, ""), ""); a != nil {
			t.Errorf("%s: %+v", none, a)
		}
	}
	for _, method := range []string{"POST", "PUT", "OPTIONS"} {
		if a := webhook.BeforeVerify(request(t, method, "/hook?"+good, ""), ""); a != nil {
			t.Errorf("%s: %+v", method, a)
		}
	}
}

// The test of a URL by Mandrill: https://mandrill.zendesk.com/hc/en-us/articles/360038740014.
func TestHead(t *testing.T) {
	wantAnswer(t, "HEAD", webhook.BeforeVerify(request(t, "HEAD", "/hook", ""), ""), 200, "")
}

// The handshake of CloudEvents: https://github.com/cloudevents/spec/blob/main/cloudevents/http-webhook.md, 4.
func TestCloudEvents(t *testing.T) {
	f := func(origin, rate string, header ...string) {
		t.Helper()
		dst := wantAnswer(t, origin, webhook.BeforeVerify(request(t, "OPTIONS", "/hook", "", header...), ""), 200, "")
		if string(dst.Header.Peek("WebHook-Allowed-Origin")) != origin || string(dst.Header.Peek("WebHook-Allowed-Rate")) != rate || string(dst.Header.Peek("Allow")) != "POST" {
			t.Errorf("%s: %v", origin, dst)
		}
	}
	f("eventemitter.example.com", "120", "WebHook-Request-Origin: eventemitter.example.com", "WebHook-Request-Rate: 120")
	f("eventemitter.example.com", "*", "webhook-request-origin: eventemitter.example.com")
	f("eventgrid.azure.net", "*", "WebHook-Request-Origin: eventgrid.azure.net", "WebHook-Request-Rate: *")
	for _, bad := range [][]string{
		{"WebHook-Request-Origin:"},
		{"WebHook-Request-Origin: a b"},
		{"WebHook-Request-Origin: <b>"},
		{"WebHook-Request-Origin: https://a"},
		{"WebHook-Request-Origin: " + strings.Repeat("a", 254)},
		{"WebHook-Request-Origin: a", "WebHook-Request-Origin: b"},
		{"WebHook-Request-Origin: a", "WebHook-Request-Rate: 0"},
		{"WebHook-Request-Origin: a", "WebHook-Request-Rate: -1"},
		{"WebHook-Request-Origin: a", "WebHook-Request-Rate: x"},
		{"WebHook-Request-Origin: a", "WebHook-Request-Rate: 1", "WebHook-Request-Rate: 2"},
	} {
		dst := wantAnswer(t, bad[0], webhook.BeforeVerify(request(t, "OPTIONS", "/hook", "", bad...), ""), 400, "")
		if len(dst.Header.Peek("WebHook-Allowed-Origin")) > 0 {
			t.Errorf("%s: %v", bad, dst)
		}
	}
	if a := webhook.BeforeVerify(request(t, "OPTIONS", "/hook", "", "Origin: https://example.com", "Access-Control-Request-Method: POST"), ""); a != nil {
		t.Errorf("a browser's preflight: %+v", a)
	}
	if a := webhook.BeforeVerify(request(t, "POST", "/hook", "{}", "WebHook-Request-Origin: a"), ""); a != nil {
		t.Errorf("a delivery: %+v", a)
	}
}

// Slack's: https://docs.slack.dev/reference/events/url_verification.
func TestURLVerification(t *testing.T) {
	f := func(body string, status int, text string) {
		t.Helper()
		wantAnswer(t, body, webhook.AfterVerify(request(t, "POST", "/hook", body, typeJSON)), status, text)
	}
	const registration = `{"token":"t","challenge":"3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P","type":"url_verification"}`
	f(registration, 200, "3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P")
	f(`{"type":"url_verification","challenge":"<script>"}`, 200, "<script>")
	f(`{"type":"url_verification","challenge":"`+strings.Repeat("a", 1024)+`"}`, 200, strings.Repeat("a", 1024))
	for _, bad := range []string{``, `,"challenge":""`, `,"challenge":null`, `,"challenge":{}`, `,"challenge":"a\nb"`, `,"challenge":"` + strings.Repeat("a", 1025) + `"`} {
		f(`{"type":"url_verification"`+bad+`}`, 400, "")
	}
	for _, none := range []string{`{}`, ``, `{"type":"event_callback","challenge":"url_verification"}`, `{"event":{"type":"url_verification","challenge":"a"}}`, registration + "x", `{"type":["url_verification"],"challenge":"a"}`} {
		if a := webhook.AfterVerify(request(t, "POST", "/hook", none, typeJSON)); a != nil {
			t.Errorf("%s: %+v", none, a)
		}
	}
	if webhook.AfterVerify(request(t, "POST", "/hook", registration, typeForm)) != nil || webhook.AfterVerify(request(t, "PUT", "/hook", registration, typeJSON)) != nil {
		t.Error("a form, or another method")
	}
}
