package os1_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"

	"syncgate/dialect/os1"
)

const secret = "s3cr3t-of-the-client"

// request makes one with the required headers and further ones, as "Name: value". A header that is given replaces the required one; an empty value
// removes it.
func request(body string, headers ...string) *fasthttp.Request {
	req := new(fasthttp.Request)
	req.Header.SetMethod("POST")
	req.Header.SetRequestURI("/v1/containers?dry=1")
	req.Header.SetContentType("application/json")
	req.Header.Set("X-COREOS-REQUEST-ID", "rq-1")
	req.Header.Set("X-COREOS-TID", "acme")
	req.Header.Set("X-COREOS-ACCESS", "token-of-the-client")
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Del(name)
		if value != "" {
			req.Header.Set(name, value)
		}
	}
	req.SetBodyString(body)
	return req
}

// read gives what is read of a good request.
func read(t testing.TB, body string, headers ...string) os1.Request {
	t.Helper()
	r, fault := os1.Read(request(body, headers...))
	if fault != nil {
		t.Fatalf("%s: %v", body, fault)
	}
	return r
}

func TestHeadersAreRead(t *testing.T) {
	r := read(t, `{}`, "x-coreos-callback-secret: "+secret, "X-COREOS-USERINFO: {}", "X-COREOS-ORIGIN-TOKEN: o")
	if r.ID != "rq-1" || r.Tenant != "acme" || string(r.Access) != "token-of-the-client" || string(r.Secret) != secret || r.Callback.Asked() {
		t.Errorf("%+v", r)
	}
	for _, name := range []string{"x-coreos-access", "x-coreos-origin-token", "x-coreos-callback-secret", "x-coreos-auth"} {
		if !os1.IsCredential(name) {
			t.Errorf("%s is no credential", name)
		}
	}
	if os1.IsCredential("x-coreos-tid") {
		t.Error("the tenant is a credential")
	}
}

// Each missing header is named, all at once.
func TestHeadersAreRequired(t *testing.T) {
	_, fault := os1.Read(request(`{}`, "X-COREOS-REQUEST-ID: ", "X-COREOS-TID: ", "X-COREOS-ACCESS: "))
	if fault == nil || fault.Status != 400 || len(fault.Details) != 3 ||
		fault.Text != "The header X-COREOS-REQUEST-ID is missing. The header X-COREOS-TID is missing. The header X-COREOS-ACCESS is missing" {
		t.Fatalf("%+v", fault)
	}
	twice := request(`{}`)
	twice.Header.Add("X-COREOS-TID", "other")
	for want, req := range map[string]*fasthttp.Request{
		"X-COREOS-TID stands there more than once":                twice,
		"X-COREOS-TID has more than 256 bytes":                    request(`{}`, "X-COREOS-TID: "+strings.Repeat("a", 257)),
		"X-COREOS-TID must have ASCII characters alone":           request(`{}`, "X-COREOS-TID: тенант"),
		"X-COREOS-CALLBACK-SECRET has more than 1024 bytes":       request(`{}`, "X-COREOS-CALLBACK-SECRET: "+strings.Repeat("a", 1025)),
		"X-COREOS-REQUEST-ID must have ASCII characters alone":    request(`{}`, "X-COREOS-REQUEST-ID: \xff"),
		"X-COREOS-REQUEST-ID has more than 256 bytes":             request(`{}`, "X-COREOS-REQUEST-ID: "+strings.Repeat("a", 300)),
		"The header X-COREOS-ACCESS is missing":                   request(`{}`, "X-COREOS-ACCESS: "),
		"The header X-COREOS-TID is missing":                      request(`no JSON`, "X-COREOS-TID: "),
		"Incorrect body: at byte 1":                               request(`nothing`),
		"Incorrect body: at byte 8: more than one value":          request(`{"a":1} {}`),
		"Incorrect body: at byte 0: invalid UTF-8":                request("\xff"),
		"Incorrect callback: it must be a URL, or an object with": request(`{"callback":7}`),
	} {
		_, fault := os1.Read(req)
		if fault == nil || fault.Status != 400 || !strings.Contains(fault.Text, want) {
			t.Errorf("%v, want %s", fault, want)
		}
	}
}

// The callback is read, and the engine does not see it, however it is spelled. Everything else stays byte for byte.
func TestCallbackIsTakenOut(t *testing.T) {
	const url = "https://shop.example/hook?a=1"
	for _, f := range []struct{ body, url, meta, rest string }{
		{`{"a":1.0}`, "", "", `{"a":1.0}`},
		{`{"callback":"` + url + `"}`, url, "", `{}`},
		{`{"a":1.0, "callback":"` + url + `" ,"b" : 2}`, url, "", `{"a":1.0 ,"b" : 2}`},
		{`{"\u0063allbac\u006b":"https:\/\/shop.example\/hook?a=1","a":1}`, url, "", `{"a":1}`},
		{`{"callback":{"url":"` + url + `"}}`, url, "", `{}`},
		{`{"callback":{"meta": { "n" : 1.00, "s":"\u0041\ud800" } ,"\u0075rl":"` + url + `"}}`, url, `{ "n" : 1.00, "s":"\u0041\ud800" }`, `{}`},
		{`{"callback":{"url":"` + url + `","meta":null}}`, url, `null`, `{}`},
		{`{"callback":null,"a":1}`, "", "", `{"a":1}`},
		{` [{"callback":"x"}] `, "", "", ` [{"callback":"x"}] `},
		{`{"x":{"callback":"x"}}`, "", "", `{"x":{"callback":"x"}}`},
		{``, "", "", ``},
	} {
		r := read(t, f.body)
		if r.Callback.URL != f.url || string(r.Callback.Meta) != f.meta || string(r.Body) != f.rest || r.Callback.Events {
			t.Errorf("%s: %q %q %q", f.body, r.Callback.URL, r.Callback.Meta, r.Body)
		}
	}
	if r := read(t, `{"callback":"https://a/"}`, "Content-Type: text/plain"); r.Callback.URL != "https://a/" || string(r.Body) != `{}` {
		t.Errorf("a body that does not say it is JSON: %+v", r)
	}
	for _, body := range []string{`{"callback":"{{SSE_CALLBACK}}","a":1}`, `{"callback":{"url":"{{SSE_CALLBACK}}","meta":1},"a":1}`} {
		if r := read(t, body); !r.Callback.Events || !r.Callback.Asked() || r.Callback.URL != "" || string(r.Body) != `{"a":1}` {
			t.Errorf("%s: %+v", body, r)
		}
	}
}

func TestBadCallbacksAreRefused(t *testing.T) {
	long := strings.Repeat("a", 9000)
	for body, want := range map[string]string{
		`{"callback":true}`:                                         "/callback",
		`{"callback":{}}`:                                           "/callback/url",
		`{"callback":{"url":1}}`:                                    "/callback/url",
		`{"callback":{"url":"ftp://a/"}}`:                           "/callback/url",
		`{"callback":{"url":"/hook"}}`:                              "/callback/url",
		`{"callback":"shop.example"}`:                               "/callback",
		`{"callback":"http://"}`:                                    "/callback",
		`{"callback":"https://a/` + long + `"}`:                     "/callback",
		`{"callback":{"url":"https://a/","secret":"x"}}`:            "/callback",
		`{"callback":{"url":"https://a/","` + long + `":1}}`:        "/callback",
		`{"callback":{"url":"https://a/","url":"https://b/"}}`:      "/callback/url",
		`{"callback":{"url":"https://a/","\u0075rl":"https://b/"}}`: "/callback/url",
		`{"callback":{"url":"https://a/","meta":"` + long + `"}}`:   "/callback/meta",
		`{"callback":"https://a/","c\u0061llback":"https://b/"}`:    "/callback",
		`{"callback":{"url":"https://a/","meta":1,"meta":2}}`:       "/callback/meta",
	} {
		r, fault := os1.Read(request(body))
		if fault == nil || fault.Status != 400 || len(fault.Details) != 1 || fault.Details[0].Pointer != want || !strings.HasPrefix(fault.Text, "Incorrect callback: ") {
			t.Errorf("%.60s: %+v", body, fault)
			continue
		}
		if strings.Contains(fault.Text, "secret") || strings.Contains(string(r.AppendEcho(nil, "POST", nil)), "secret") {
			t.Errorf("%s is shown", body)
		}
	}
}

// FuzzRead: whatever comes, the engine sees no callback, and everything else as it was; meta is what was sent.
func FuzzRead(f *testing.F) {
	f.Add(`{"a":1,"callback":{"url":"https://a/","meta":{"x":[1,{"callback":2}]}},"b":2}`)
	f.Add(`{"\u0063allback":"{{SSE_CALLBACK}}"}`)
	f.Add(`{"callback":null,"callback":"http://x/"}`)
	f.Add(`{"callback":"https://a/"}x`)
	f.Fuzz(func(t *testing.T, body string) {
		r, fault := os1.Read(request(body))
		if fault != nil {
			if fault.Status != 400 || fault.Text == "" {
				t.Errorf("%+v", fault)
			}
			return
		}
		echo := r.AppendEcho(nil, "POST", []byte("/a"))
		if !json.Valid(echo) || len(echo) > 3*(os1.MostEcho+1<<12) {
			t.Errorf("echo %s", echo)
		}
		wantWithoutCallback(t, body, &r)
	})
}

// wantWithoutCallback wants that the engine gets what the client sent, but for the callback.
func wantWithoutCallback(t *testing.T, body string, r *os1.Request) {
	t.Helper()
	var before, after map[string]json.RawMessage
	if json.Unmarshal([]byte(body), &before) != nil {
		if string(r.Body) != body || r.Callback.Asked() {
			t.Errorf("%q became %q", body, r.Body)
		}
		return
	}
	if err := json.Unmarshal(r.Body, &after); err != nil || after["callback"] != nil {
		t.Errorf("%q became %q, %v", body, r.Body, err)
	}
	var given struct{ Meta json.RawMessage }
	if err := json.Unmarshal(before["callback"], &given); r.Callback.Meta != nil && (err != nil || !bytes.Equal(given.Meta, r.Callback.Meta)) {
		t.Errorf("meta of %q is %q", body, r.Callback.Meta)
	}
	delete(before, "callback")
	if before != nil && !reflect.DeepEqual(before, after) {
		t.Errorf("%q became %q", body, r.Body)
	}
}
