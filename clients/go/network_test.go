package syncgate_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	syncgate "syncgate/clients/go"
)

// script is a server that gives its answers in order, and then the last one again. It stands for answers that no gateway gives in a test, and for proxies.
type script struct {
	*httptest.Server
	mu      sync.Mutex
	answers []http.HandlerFunc
	seen    []heard
}

// heard is a request.
type heard struct {
	what, key, body string
	header          http.Header
	at              time.Time
}

func scripted(t *testing.T, answers ...http.HandlerFunc) *script {
	t.Helper()
	s := &script{answers: answers}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		s.mu.Lock()
		s.seen = append(s.seen, heard{r.Method + " " + r.RequestURI, r.Header.Get("Idempotency-Key"), string(body), r.Header, time.Now()})
		answer := s.answers[0]
		if len(s.answers) > 1 {
			s.answers = s.answers[1:]
		}
		s.mu.Unlock()
		answer(w, r)
	}))
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s
}

// requests gives what was heard.
func (s *script) requests() []heard {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen
}

// says answers with a status, a body, and headers as "Name: value".
func says(status int, body string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for _, h := range headers {
			name, value, _ := strings.Cut(h, ": ")
			w.Header()[name] = []string{value}
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func reset(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

const (
	ours    = "X-Request-Id: r1"
	problem = "Content-Type: application/problem+json"
)

// running are the headers of a task that runs.
func running() []string {
	return []string{ours, "Location: https://elsewhere.example/tasks/T1", "Operation-Location: /tasks/T1/status", "Content-Type: application/json"}
}

func done() http.HandlerFunc { return says(200, `{"ok":true}`, ours, "Content-Type: application/json") }

func call(s *script, options ...syncgate.Option) (*syncgate.Result, error) {
	return (&syncgate.Client{URL: s.URL + "/", Reattach: 4, MaxBytes: 1000}).Call(context.Background(), "/a", map[string]int{"n": 1}, options...)
}

func wantFailure(t *testing.T, err error, code string, maybe bool) syncgate.Error {
	t.Helper()
	var e *syncgate.Error
	if !errors.As(err, &e) || e.Code != code || e.Maybe != maybe {
		t.Fatalf("the call gives %+v, not %s, maybe %v", err, code, maybe)
	}
	return *e
}

func wantOK(t *testing.T, r *syncgate.Result, err error) {
	t.Helper()
	var v struct{ OK bool }
	if err != nil || r.Decode(&v) != nil || !v.OK {
		t.Fatalf("the call gives %+v, %v", r, err)
	}
}

func TestRetryAfter(t *testing.T) {
	for what, answer := range map[string]http.HandlerFunc{
		"429 of the gateway":                   says(429, `{"type":"/errors/too-many-requests"}`, ours, problem, "Retry-After: 1"),
		"503 of the gateway":                   says(503, `{"type":"/errors/overloaded"}`, ours, problem, "Retry-After: 1"),
		"503 of a proxy":                       says(503, "<p>busy", "Retry-After: 1"),
		"429 of a proxy, whose clock is wrong": says(429, "", "Date: Tue, 14 Nov 2023 22:13:20 GMT", "Retry-After: Tue, 14 Nov 2023 22:13:21 GMT"),
		"a node that shuts down":               says(503, `{"type":"/errors/draining"}`, ours, problem, "Retry-After: 1"),
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			s := scripted(t, answer, done())
			r, err := call(s)
			wantOK(t, r, err)
			seen := s.requests()
			if d := seen[1].at.Sub(seen[0].at); d < 990*time.Millisecond {
				t.Errorf("asked again after %v", d)
			}
			if seen[0].key == "" || seen[0].key != seen[1].key || seen[0].body != seen[1].body {
				t.Errorf("the repeat is another request: %+v", seen)
			}
		})
	}
	s := scripted(t, says(429, `{"type":"/errors/too-many-requests","detail":"slowly"}`, ours, problem, "Retry-After: 60"))
	_, err := call(s, syncgate.Wait(5*time.Second))
	if e := wantFailure(t, err, "too-many-requests", false); e.RetryAfter != time.Minute || e.Message != "slowly" || len(s.requests()) != 1 {
		t.Errorf("the error is %+v after %d requests", e, len(s.requests()))
	}
}

func TestRetryAfterOfATask(t *testing.T) {
	s := scripted(t, says(202, "{}", running()...), says(202, "{}", append(running(), "Retry-After: 2")...), done())
	r, err := call(s)
	wantOK(t, r, err)
	seen := s.requests()
	if d := seen[2].at.Sub(seen[1].at); d < 1990*time.Millisecond {
		t.Errorf("asked again after %v", d)
	}
	if seen[1].what != "GET /tasks/T1/result" { // and not of another server
		t.Errorf("asked %s", seen[1].what)
	}
}

func TestWithoutAKey(t *testing.T) {
	for what, c := range map[string]struct {
		answer http.HandlerFunc
		code   string
	}{
		"bad gateway of a proxy": {says(502, "<p>bad"), "unexpected"}, "reset": {reset, "network"},
		"begun": {says(503, `{"type":"/errors/unavailable"}`, ours, problem, "X-Syncgate-Forwarded: maybe"), "unavailable"},
	} {
		s := scripted(t, c.answer)
		_, err := call(s, syncgate.NoIdempotencyKey())
		wantFailure(t, err, c.code, true)
		if n := len(s.requests()); n != 1 || s.requests()[0].key != "" {
			t.Errorf("%s: %d requests without a key", what, n)
		}
	}
	s := scripted(t, says(503, `{"type":"/errors/draining"}`, ours, problem, "X-Syncgate-Forwarded: no"), done())
	r, err := call(s, syncgate.NoIdempotencyKey())
	wantOK(t, r, err)
}

func TestRepeatsHaveABound(t *testing.T) {
	s := scripted(t, reset)
	_, err := call(s)
	e := wantFailure(t, err, "network", true)
	seen := s.requests()
	if len(seen) != 5 {
		t.Fatalf("%d requests", len(seen))
	}
	for _, h := range seen {
		if h.key != e.IdempotencyKey || len(h.key) != 32 || h.body != `{"n":1}` {
			t.Errorf("a repeat is %+v", h)
		}
	}
	if took := seen[len(seen)-1].at.Sub(seen[0].at); took < 1387*time.Millisecond-20*time.Millisecond { // three quarters of the pauses
		t.Errorf("all repeats within %v", took)
	}
}

// TestKeptConnectionBreaks wants that net/http repeats no request by itself, as it would one with a key over a connection that was kept.
func TestKeptConnectionBreaks(t *testing.T) {
	s := scripted(t, done(), reset)
	r, err := call(s)
	wantOK(t, r, err)
	_, err = (&syncgate.Client{URL: s.URL, Reattach: -1}).Call(context.Background(), "/a", 1)
	wantFailure(t, err, "network", true)
	if n := len(s.requests()); n != 2 {
		t.Errorf("%d requests, not 2", n)
	}
}

func TestNobodyListens(t *testing.T) {
	s := scripted(t, done())
	s.Close()
	_, err := (&syncgate.Client{URL: s.URL, Reattach: -1}).Call(context.Background(), "/a", nil)
	wantFailure(t, err, "network", false)
}

func TestAnswerDoesNotCome(t *testing.T) {
	s := scripted(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	began := time.Now()
	_, err := call(s, syncgate.Wait(time.Second))
	wantFailure(t, err, "network", true)
	if took := time.Since(began); took > 8*time.Second {
		t.Errorf("it has taken %v", took)
	}
}

func TestWhatAnswersMean(t *testing.T) {
	for what, c := range map[string]struct {
		answers []http.HandlerFunc
		code    string
		maybe   bool
	}{
		"a portal":              {[]http.HandlerFunc{says(200, "<p>log in first")}, "unexpected", true},
		"a redirect":            {[]http.HandlerFunc{says(301, "", "Location: https://elsewhere.example/tasks/T1")}, "unexpected", true},
		"forbidden by a proxy":  {[]http.HandlerFunc{says(403, "")}, "unexpected", false},
		"refused when repeated": {[]http.HandlerFunc{reset, says(401, `{"type":"/errors/unauthorized"}`, ours, problem)}, "unauthorized", true},
		"a task that is gone":   {[]http.HandlerFunc{says(202, "", running()...), says(410, `{"type":"/errors/gone"}`, ours, problem)}, "gone", true},
		"the engine's problem":  {[]http.HandlerFunc{says(502, `{"type":"https://engine.example/no-funds","title":"No funds"}`, ours, problem, "X-Syncgate-Forwarded: maybe")}, "engine-error", false},
		"a kept end":            {[]http.HandlerFunc{reset, says(422, "{}", ours, "Location: /tasks/T1")}, "engine-error", false},
		"refused by a proxy":    {[]http.HandlerFunc{reset, says(403, `{"message":"no"}`, ours)}, "engine-error", true},
		"too large":             {[]http.HandlerFunc{says(200, strings.Repeat("1", 2000), ours)}, "too-large", true},
		"a bad gateway": {[]http.HandlerFunc{
			says(502, `{"type":"/errors/bad-gateway"}`, ours, problem, "X-Syncgate-Forwarded: maybe", "Location: /tasks/T1", "Operation-Location: /tasks/T1/status"),
		}, "bad-gateway", true},
	} {
		t.Run(what, func(t *testing.T) {
			s := scripted(t, c.answers...)
			_, err := call(s)
			e := wantFailure(t, err, c.code, c.maybe)
			if strings.Contains(e.Task, "elsewhere") || c.code == "bad-gateway" && e.Task != s.URL+"/tasks/T1" {
				t.Errorf("the task is %q", e.Task)
			}
		})
	}
}

func TestProxyThatEchoesTheRequestID(t *testing.T) {
	s := scripted(t, says(502, `{"message":"no upstream"}`, ours), says(429, `{"message":"slowly"}`, ours), says(202, "", running()...), says(502, "<p>no upstream", ours), done())
	r, err := call(s)
	wantOK(t, r, err)
}

func TestEventsInPieces(t *testing.T) {
	text := ": hello\n\nid: 1\nevent: progress\ndata: {\"name\":\ndata: \"Олена\"}\n\nid: end\nevent: result\ndata: {}\n\n"
	s := scripted(t, says(202, "", running()...), func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for _, b := range []byte(text) {
			_, _ = w.Write([]byte{b})
			w.(http.Flusher).Flush()
		}
	}, done())
	var got bytes.Buffer
	r, err := call(s, syncgate.OnProgress(func(p json.RawMessage) { _ = json.Compact(&got, p) }))
	wantOK(t, r, err)
	if got.String() != `{"name":"Олена"}` {
		t.Errorf("heard %s", &got)
	}
}

func TestEventsHaveABound(t *testing.T) {
	s := scripted(t, says(202, "", running()...), func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for err := error(nil); err == nil; {
			_, err = io.WriteString(w, "data: "+strings.Repeat("1", 100)+"\n")
		}
	})
	_, err := call(s, syncgate.OnProgress(func(json.RawMessage) {}))
	wantFailure(t, err, "too-large", true)
}

func TestPolledProgress(t *testing.T) {
	at := func(progress string) http.HandlerFunc { return says(202, `{"progress":`+progress+`}`, running()...) }
	s := scripted(t, says(202, "", running()...), says(404, ""), at("1"), at("1"), at("2"), done())
	var got []string
	r, err := call(s, syncgate.OnProgress(func(p json.RawMessage) { got = append(got, string(p)) }))
	wantOK(t, r, err)
	if strings.Join(got, " ") != "1 2" {
		t.Errorf("heard %q", got)
	}
}

func TestCredentials(t *testing.T) {
	const body = `{"ops":[{"conv_id":"1234","type":"create","obj":"task","ref":"замовлення-1","data":{"name":"Олена"}}]}`
	s, word := scripted(t, done()), "ann, пароль"
	for _, c := range []*syncgate.Client{
		{URL: s.URL, Key: "k"},
		{URL: s.URL, User: "ann", Password: word},
		{URL: s.URL, Login: "12345", Sign: func(_ context.Context, _ string, body []byte) (string, error) { return string(body[2:5]), nil }},
	} {
		r, err := c.Call(t.Context(), "/a?b=1", json.RawMessage(body))
		wantOK(t, r, err)
	}
	seen := s.requests()
	if got := seen[0].header.Get("Authorization"); got != "Bearer k" {
		t.Errorf("a key is sent as %q", got)
	}
	if user, password, _ := (&http.Request{Header: seen[1].header}).BasicAuth(); user != "ann" || password != word {
		t.Errorf("a user is sent as %q %q", user, password)
	}
	if !strings.HasPrefix(seen[2].what, "POST /a/12345/") || !strings.HasSuffix(seen[2].what, "/ops?b=1") || seen[2].body != body {
		t.Errorf("signed: %+v", seen[2])
	}
	failing := &syncgate.Client{URL: s.URL, Login: "1", Sign: func(context.Context, string, []byte) (string, error) { return "", io.EOF }}
	if _, err := failing.Call(t.Context(), "/a", nil); !errors.Is(err, io.EOF) || len(s.requests()) != 3 {
		t.Errorf("without a signature: %v, %d requests", err, len(s.requests()))
	}
}

func TestCancelIsTriedAgain(t *testing.T) {
	s := scripted(t, says(503, ""), says(202, "", ours))
	ok, err := (&syncgate.Client{URL: s.URL}).Cancel(t.Context(), s.URL+"/tasks/T1?hop=1")
	if !ok || err != nil || len(s.requests()) != 2 || s.requests()[1].what != "DELETE /tasks/T1" {
		t.Errorf("cancelled: %v, %v, %+v", ok, err, s.requests())
	}
}

func TestWrongArguments(t *testing.T) {
	for _, c := range []*syncgate.Client{
		{URL: "sync.example"},
		{URL: "ftp://a"},
		{URL: "http://a", Key: "k", User: "u"},
		{URL: "http://a", Login: "1"},
		{URL: "http://a", Login: "1", Secret: "s", Sign: func(context.Context, string, []byte) (string, error) { return "", nil }},
	} {
		if _, err := c.Call(t.Context(), "/a", nil); err == nil || errors.As(err, new(*syncgate.Error)) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	c := &syncgate.Client{URL: "http://127.0.0.1:9"}
	_, route := c.Call(t.Context(), "v1", nil)
	_, wait := c.Call(t.Context(), "/a", nil, syncgate.Wait(0))
	_, key := c.Call(t.Context(), "/a", nil, syncgate.IdempotencyKey("ключ"))
	_, data := c.Call(t.Context(), "/a", func() {})
	_, task := c.Await(t.Context(), "https://x.example/")
	for _, err := range []error{route, wait, key, data, task} {
		if err == nil || errors.As(err, new(*syncgate.Error)) {
			t.Errorf("wrong arguments: %v", err)
		}
	}
}
