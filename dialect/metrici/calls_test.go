package metrici_test

import (
	"context"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"syncgate/correlator"
	"syncgate/dialect/metrici"
)

const (
	formType   = "Content-Type: application/x-www-form-urlencoded"
	jsonPath   = "/servicejson/ExecuteScript"
	xmlPath    = "/service/ExecuteScript"
	executed   = "?nodeVersionReference=callback/metrici&action=callback"
	inTheForm  = "nodeVersionReference=callback%2Fmetrici&action=callback"
	notAMember = `{"unknown":{"callbackToken":1},"callbackToken":%q,"callbackStatus":"progress","callbackData":{"n":1}}`
)

// Every call form does the same.
func TestCallForms(t *testing.T) {
	s := newSite(t)
	n := s.nodes[0]
	reply := n.post(`{"a":"<&>\ufffe"}`)
	w := s.next(t)
	m := message(w.token, "progress", `{"n":1}`)
	data := "data=" + url.QueryEscape(m)
	const after = `{"a":"<&>\ufffe","n":1}`
	for _, f := range []struct{ path, body, header string }{
		{formPath, m, ""},
		{"/callback/metrici", m, ""},
		{"/callback/metrici", m, "Content-Type: text/plain"},
		{"/callback/metrici", " " + m + "\n", formType},
		{"/callback/metrici", data + "&action=callback", formType},
		{formPath, data, formType},
		{formPath + "&" + data, "", ""},
		{formPath, fmt.Sprintf(notAMember, w.token), ""},
		{jsonPath + executed, m, ""},
		{jsonPath + executed, data, formType},
		{jsonPath, data + "&" + inTheForm, formType},
		{jsonPath + executed + "&" + data, "", ""},
		{xmlPath + executed, m, ""},
		{xmlPath, data + "&" + inTheForm, formType},
	} {
		a := n.do("POST "+f.path, f.body, f.header)
		if strings.HasPrefix(f.path, xmlPath) {
			var whole struct {
				Return string `xml:"return"`
			}
			if err := xml.Unmarshal([]byte(a.body), &whole); err != nil || !strings.HasPrefix(a.header.Get("Content-Type"), "application/xml") {
				t.Errorf("%s: %v %s", f.path, err, a.body)
			}
			a.body = whole.Return
		}
		if a.status != 200 || a.body != said(w.token, "progress", after) {
			t.Errorf("%s %s: %d %s", f.path, f.body, a.status, a.body)
		}
	}
	wantAnswer(t, n.do("POST "+xmlPath+executed, message("x", "complete", "")), 200,
		xml.Header+"<ExecuteScriptResponse><return>{&#34;callbackStatus&#34;:&#34;notFound&#34;}</return></ExecuteScriptResponse>\n")
	want(t, n.report(w.token, "complete", ""), said(w.token, "complete", after))
	soon(t, reply)
}

// In XML a character that may stand in JSON alone is escaped.
func TestXMLOfAnyText(t *testing.T) {
	s := newSite(t)
	n := s.nodes[0]
	reply := n.post("{\"a\":\"\uFFFE\uFFFF\t\\u0000\"}")
	if a := soon(t, reply); a.status != 400 { // a raw tab is no JSON
		t.Errorf("%d %s", a.status, a.body)
	}
	reply = n.post("{\"a\":\"\uFFFE\uFFFF\\u0000]]>\"}")
	w := s.next(t)
	var whole struct {
		Return string `xml:"return"`
	}
	a := n.do("POST "+xmlPath+executed, message(w.token, "complete", ""))
	if err := xml.Unmarshal([]byte(a.body), &whole); err != nil || whole.Return != said(w.token, "complete", `{"a":"\ufffe\uffff\u0000]]>"}`) {
		t.Errorf("%v %s", err, a.body)
	}
	soon(t, reply)
}

// What is no message says so with an errorNumber, and changes nothing. What is no token of ours is not found, and nothing is asked for it.
func TestMessagesThatAreRefused(t *testing.T) {
	s := newSite(t, func(c *setup) { c.gateway.Limits.CallbackBody = 2000 })
	n := s.nodes[0]
	reply := n.post(`{}`)
	w := s.next(t)
	refused := func(number int, says, line, body string, headers ...string) {
		t.Helper()
		a := n.do(line, body, headers...)
		if a.status != 200 || !strings.HasPrefix(a.body, fmt.Sprintf(`{"errorNumber":%d,"message":"`, number)) || !strings.Contains(a.body, says) || strings.Contains(a.body, w.token) {
			t.Errorf("%s: %d %s\nwant %d %s", body, a.status, a.body, number, says)
		}
	}
	bad := func(says, body string) {
		t.Helper()
		refused(400, says, "POST "+formPath, body)
	}
	for _, word := range []string{"create", "accept", "timeout"} {
		bad(word+" is set by the gateway alone", message(w.token, word, ""))
	}
	bad("must be one of start, progress, complete, cancel, error", message(w.token, "done", ""))
	bad("must be one of start, progress, complete, cancel, error", message(w.token, "", ""))
	bad("must be one of start, progress, complete, cancel, error", `{"callbackToken":"`+w.token+`"}`)
	bad("callbackAction must be absent", `{"callbackToken":"`+w.token+`","callbackAction":"resume"}`)
	bad("type must be CALLBACK", `{"type":"OTHER","callbackToken":"`+w.token+`","callbackStatus":"complete"}`)
	bad("callbackToken is missing", `{"callbackStatus":"complete"}`)
	bad("callbackToken must be a string", `{"callbackToken":7}`)
	bad("callbackToken is there twice", `{"callbackToken":"a","callbackTok\u0065n":"`+w.token+`"}`)
	bad("must be a JSON object", `[]`)
	bad("at byte", `{"callbackToken":"`+w.token+`"`)
	bad("at byte", message(w.token, "complete", "{]"))
	bad("at byte", message(w.token, "complete", "")+"x")
	bad("there is no message", ``)
	refused(400, "action must be callback", "POST /callback/metrici?action=other", message(w.token, "complete", ""))
	refused(400, "there is no message", "POST "+formPath, "a=b", formType)
	refused(400, "nodeVersionReference must be", "POST "+jsonPath, message(w.token, "complete", ""))
	refused(400, "nodeVersionReference must be", "POST "+jsonPath+"?nodeVersionReference=other", message(w.token, "complete", ""))
	refused(400, "Content-Encoding", "POST "+formPath, "x", "Content-Encoding: gzip")
	long := strings.Repeat("x", 1200)
	want(t, n.report(w.token, "progress", `{"x":"`+long+`"}`), said(w.token, "progress", `{"x":"`+long+`"}`))
	refused(413, "limits.callback_body", "POST "+formPath, message(w.token, "progress", `{"y":"`+long+`"}`))
	want(t, n.query(w.token), is(w.token, "progress", `{"x":"`+long+`"}`))
	for _, other := range spellings(t, w.token) {
		want(t, n.report(other, "complete", `{"forged":1}`), `{"callbackStatus":"notFound"}`)
		want(t, n.query(other), `{"callbackStatus":"notFound"}`)
	}
	wantAnswer(t, n.do("GET "+formPath, ""), 405, "")
	wantAnswer(t, n.do("POST /callback/metrici/x", ""), 404, "")
	a := n.do("POST "+formPath, strings.Repeat("x", 3000)) // which is not read
	wantAnswer(t, a, 413, `{"errorNumber":413,"message":"Body is larger than 2000 bytes"}`)
	want(t, n.report(w.token, "complete", `{"x":1}`), said(w.token, "complete", `{"x":1}`))
	wantAnswer(t, soon(t, reply), 200, `{"x":1}`)
}

// spellings gives texts that say the same as a token, or nearly.
func spellings(t *testing.T, token string) []string {
	t.Helper()
	text, err := base64.StdEncoding.DecodeString(token)
	if err != nil {
		t.Fatal(err)
	}
	encode := func(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }
	_, own, _ := strings.Cut(string(text), `"auth":"`)
	own = strings.TrimSuffix(own, `"}`)
	last := byte('A')
	if own[71] == last {
		last = 'B'
	}
	return []string{
		own, token + "=", token + "\\n", " " + token, strings.ToLower(token), token[:len(token)-1], token + token,
		encode(strings.Replace(string(text), `"node"`, ` "node"`, 1)),
		encode(`{"anchor":"callback","node":"callback/metrici","auth":"` + own + `"}`),
		encode(strings.Replace(string(text), `callback/metrici`, `callback/dispatch`, 1)),
		encode(strings.Replace(string(text), `"}`, `" }`, 1)),
		encode(strings.Replace(string(text), own, own[:71]+string(last), 1)),
		encode(strings.Replace(string(text), own, strings.Repeat("A", 72), 1)),
	}
}

// Forged tokens are refused before the gateway is asked for anything: here there is none to ask.
func TestForgedTokensAskNobody(t *testing.T) {
	s := newSite(t)
	keys, err := correlator.NewKeys([]string{correlator.RandomKey()})
	if err != nil {
		t.Fatal(err)
	}
	d := metrici.New(metrici.Config{Engines: []metrici.Named{{Name: "worker"}}, Report: time.Second}, keys) // not connected: a question would panic
	soon(t, s.nodes[0].post(`{}`, "Prefer: respond-async"))
	for _, token := range append(spellings(t, s.next(t).token), "x", strings.Repeat("A", 172)) {
		for path, body := range map[string]string{formPath: message(token, "complete", ""), "/callback/dispatch?token=" + url.QueryEscape(token): "{}"} {
			a := resource(t, d, path, body)
			if a != `{"callbackStatus":"notFound"}` && a != "not a genuine token" {
				t.Errorf("%s: %s", path, a)
			}
		}
	}
}

// Await parks the asker until anything is reported, until timeouts.max, or until the task times out.
func TestAwait(t *testing.T) {
	s := newSite(t, func(c *setup) { c.report.Await = 600 * time.Millisecond })
	n := s.nodes[0]
	await := func(token string) <-chan string {
		c := make(chan string, 1)
		go func() { c <- n.call(fmt.Sprintf(`{"callbackToken":%q,"callbackAction":"await"}`, token)) }()
		return c
	}
	reply := n.post(`{"a":1}`)
	w := s.next(t)
	begin := time.Now()
	want(t, soon(t, await(w.token)), is(w.token, "create", `{"a":1}`))
	if took := time.Since(begin); took < 500*time.Millisecond {
		t.Errorf("nothing was reported, and it ended after %v", took)
	}
	for _, f := range []struct{ status, data, after string }{
		{"start", "", `{"a":1}`}, {"progress", `{"b":2}`, `{"a":1,"b":2}`}, {"progress", `7`, `{"a":1,"b":2}`}, {"complete", `{"c":3}`, `{"a":1,"b":2,"c":3}`},
	} {
		all := []<-chan string{await(w.token), await(w.token)}
		eventually(t, "the askers wait", func() bool { return n.table.(*correlator.Memory).Len() == 3 })
		want(t, n.report(w.token, f.status, f.data), said(w.token, f.status, f.after))
		for _, c := range all {
			want(t, soon(t, c), is(w.token, f.status, f.after))
		}
	}
	soon(t, reply)
	begin = time.Now()
	want(t, soon(t, await(w.token)), is(w.token, "complete", `{"a":1,"b":2,"c":3}`))
	if took := time.Since(begin); took > 400*time.Millisecond {
		t.Errorf("the task is final, and it took %v", took)
	}
	_ = soon(t, n.post(`{"callbackTimeout":"PT0.2S"}`, "Prefer: respond-async"))
	w = s.next(t)
	begin = time.Now()
	defer func() {
		if took := time.Since(begin); took > 500*time.Millisecond {
			t.Errorf("the task has timed out, and it took %v", took)
		}
	}()
	want(t, soon(t, await(w.token)), is(w.token, "timeout", `{"callbackTimeout":"PT0.2S"}`))
}

// Askers hold goroutines: a thousand may wait at a node, and one more is refused. A drain ends their wait.
func TestAskersAreBounded(t *testing.T) {
	const most = 1000
	s := newSite(t)
	n := s.nodes[0]
	_ = soon(t, n.post(`{}`, "Prefer: respond-async"))
	w := s.next(t)
	ask := fmt.Sprintf(`{"callbackToken":%q,"callbackAction":"await"}`, w.token)
	answers := make(chan string, 2*most)
	memory := n.table.(*correlator.Memory)
	for range most {
		go func() { answers <- n.call(ask) }()
	}
	eventually(t, "all wait", func() bool { return memory.Len() == most })
	want(t, n.call(ask), `{"errorNumber":503,"message":"Overloaded: as many wait here as may, try again later"}`)
	want(t, n.query(w.token), is(w.token, "create", `{}`))
	n.report(w.token, "start", ``)
	for range most {
		want(t, soon(t, answers), is(w.token, "start", `{}`))
	}
	go func() { answers <- n.call(ask) }()
	eventually(t, "one waits again", func() bool { return memory.Len() == 1 })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_ = memory.Drain(ctx)
	want(t, soon(t, answers), is(w.token, "start", `{}`))
	want(t, n.call(ask), is(w.token, "start", `{}`)) // and nobody begins to wait
	want(t, n.report(w.token, "complete", ``), said(w.token, "complete", `{}`))
}

// With auth nobody reports without the password, whatever the token.
func TestAuth(t *testing.T) {
	s := newSite(t, func(c *setup) { c.engine.Auth = metrici.Auth{User: "worker", Password: "pä:ss"} })
	n := s.nodes[0]
	reply := n.post(`{}`)
	w := s.next(t)
	basic := func(pair string) string {
		return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(pair))
	}
	m := message(w.token, "complete", "")
	dispatch := "POST /callback/dispatch?token=" + w.token
	for _, line := range []string{"POST " + formPath, "POST " + jsonPath + executed, "POST " + xmlPath + executed, dispatch, strings.Replace(dispatch, "POST", "GET", 1)} {
		for _, header := range []string{"X: y", basic("worker:"), basic("worker:pass"), basic("worker"), basic(":"), "Authorization: Bearer x", "Authorization: Basic %", "Authorization: Basi"} {
			a := n.do(line, m, header)
			if a.status != 401 || a.header.Get("Www-Authenticate") != `Basic realm="syncgate", charset="UTF-8"` || !strings.Contains(a.body, `401`) {
				t.Errorf("%s %s: %d %s %v", line, header, a.status, a.body, a.header)
			}
		}
	}
	wantAnswer(t, n.do("POST "+formPath, message("x", "complete", "")), 401, "")
	wantAnswer(t, n.do("POST "+formPath, message("x", "complete", ""), basic("worker:pä:ss")), 200, `{"callbackStatus":"notFound"}`)
	wantAnswer(t, n.do("GET /callback/dispatch?token="+w.token, "", basic("worker:pä:ss")), 200, is(w.token, "create", `{}`))
	wantAnswer(t, n.do("POST "+formPath, m, strings.Replace(basic("worker:pä:ss"), "Basic", "basic", 1)), 200, said(w.token, "complete", `{}`))
	soon(t, reply)
}
