package os1_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"

	"syncgate/correlator"
	"syncgate/dialect"
	"syncgate/dialect/os1"
	"syncgate/signer"
)

const (
	asked = `{"name":"C-17", "callback":{"url":"https://shop.example/hook","meta":{"n":1.00}}}`
	echo  = `{"uri":"/v1/containers","method":"POST","queryString":"dry=1","body":` + asked + `}`
)

func config() os1.Config {
	return os1.Config{EventType: "CONTAINER_CREATED", Service: "Container", Members: map[string]string{"containerType": "shipment", "app": `a"b`}}
}

// state gives that of a request as another node reads it.
func state(t testing.TB, c os1.Config, body string, headers ...string) os1.State {
	t.Helper()
	r := read(t, body, headers...)
	made := c.NewState(&r, "POST", []byte("/v1/containers"))
	s, err := os1.ParseState(made.Encode())
	if err != nil || !reflect.DeepEqual(s, made) {
		t.Fatalf("%+v became %+v, %v", made, s, err)
	}
	return s
}

func final(status correlator.Status, body string, head ...*correlator.Head) []correlator.Callback {
	cb := correlator.Callback{Status: status, Body: []byte(body)}
	if len(head) > 0 {
		cb.Head = head[0]
	}
	return []correlator.Callback{cb}
}

// wantReply compares a reply.
func wantReply(t *testing.T, dst *fasthttp.Response, status int, body string) {
	t.Helper()
	if dst.StatusCode() != status || string(dst.Header.ContentType()) != "application/json" || string(dst.Body()) != body || !json.Valid(dst.Body()) {
		t.Errorf("%d %s\n%s\nwant %d\n%s", dst.StatusCode(), dst.Header.ContentType(), dst.Body(), status, body)
	}
}

func TestReplies(t *testing.T) {
	s := state(t, config(), asked)
	dst := new(fasthttp.Response)
	s.Accepted(dst, "T1")
	wantReply(t, dst, 202, `{"data":{"id":"T1"},"request":`+echo+`}`)

	for _, f := range []struct{ body, kind, want string }{
		{` {"id":9,"a":[1.0]} `, "application/json", ` {"id":9,"a":[1.0]} `},
		{`"text"`, "application/problem+json", `"text"`},
		{`a;b`, "text/csv", `{"contentType":"text/csv","base64":"YTti"}`},
		{`{"a":1}`, "text/plain", `{"contentType":"text/plain","base64":"eyJhIjoxfQ=="}`},
		{`{`, "application/json", `{"contentType":"application/json","base64":"ew=="}`},
		{`{}x`, "application/json", `{"contentType":"application/json","base64":"e314"}`},
		{``, "", `null`},
	} {
		s.Result(dst, final(correlator.Complete, f.body, &correlator.Head{ContentType: f.kind}))
		wantReply(t, dst, 200, `{"data":`+f.want+`,"request":`+echo+`}`)
	}
}

func TestErrorReplies(t *testing.T) {
	s := state(t, config(), asked)
	dst := new(fasthttp.Response)
	for _, f := range []struct {
		finals     []correlator.Callback
		status     int
		code, text string
		data       string
	}{
		{final(correlator.Errored, `{"message":"no funds","x":1}`), 502, "engine-error", "no funds", `,"data":{"message":"no funds","x":1}`},
		{final(correlator.Errored, `{"reason":"r","message":"m"}`), 502, "engine-error", "r", `,"data":{"reason":"r","message":"m"}`},
		{final(correlator.Answered, `[1]`), 502, "engine-error", "The engine reports that the task has failed", `,"data":[1]`},
		{final(correlator.Errored, `oops`, &correlator.Head{ContentType: "text/plain"}), 502, "engine-error", "The engine reports that the task has failed", ``},
		{final(correlator.Cancelled, ``), 409, "cancelled", "The task is cancelled", ``},
		{final(correlator.Failed, ``), 502, "bad-gateway", "The engine's answer is not usable", ``},
	} {
		s.Result(dst, f.finals)
		wantReply(t, dst, f.status, `{"error":{"code":"`+f.code+`","description":"`+f.text+`","additionalInfo":{"errorTrace":[]`+f.data+`}},"request":`+echo+`}`)
	}
}

func TestFaults(t *testing.T) {
	dst := new(fasthttp.Response)
	_, fault := os1.Read(request(`{}`, "X-COREOS-TID: "))
	os1.Refuse(dst, nil, fault, "malformed")
	wantReply(t, dst, 400, `{"error":{"code":"malformed","description":"The header X-COREOS-TID is missing","additionalInfo":{"errorTrace":[`+
		`{"description":"The header X-COREOS-TID is missing"}]}},"request":{}}`)

	s := state(t, config(), `{"a":1}`)
	os1.Refuse(dst, &s, &dialect.Fault{Status: 422, Text: `It is "wrong"`, Details: []dialect.Detail{{Pointer: "/a", Text: "must be a string"}, {Pointer: "", Text: "x"}}}, "schema")
	wantReply(t, dst, 422, `{"error":{"code":"schema","description":"It is \"wrong\"","additionalInfo":{"errorTrace":[`+
		`{"pointer":"/a","description":"must be a string"},{"description":"x"}]}},"request":{"uri":"/v1/containers","method":"POST","queryString":"dry=1","body":{"a":1}}}`)
}

// What is shown of a request is bounded, and has no secret.
func TestEchoIsBounded(t *testing.T) {
	r := read(t, `{"a":"`+strings.Repeat("x", os1.MostEcho)+`"}`, "X-COREOS-CALLBACK-SECRET: "+secret)
	got := string(r.AppendEcho(nil, "POST", []byte("/"+strings.Repeat("ї", 4000))))
	if !strings.HasSuffix(got, `"body":null}`) || len(got) > 5000 || !json.Valid([]byte(got)) {
		t.Errorf("%d bytes: %.100s", len(got), got)
	}
	r = read(t, "a;b", "Content-Type: text/csv")
	if got := string(r.AppendEcho(nil, "PUT", []byte("/a"))); got != `{"uri":"/a","method":"PUT","queryString":"dry=1","body":{"contentType":"text/csv","base64":"YTti"}}` {
		t.Error(got)
	}
	s := state(t, config(), asked, "X-COREOS-CALLBACK-SECRET: "+secret)
	if text := string(s.Encode()); strings.Contains(text, secret) || strings.Contains(text, "token-of-the-client") {
		t.Error(text)
	}
}

func TestCallbackBody(t *testing.T) {
	s := state(t, config(), asked)
	const head, tail = `{"tenantId":"acme","eventType":"CONTAINER_CREATED","service":"Container",`, `,"meta":{"n":1.00},"app":"a\"b","containerType":"shipment"}`
	failed := func(reason string) string { return `"status":"failed","reason":"` + reason + `",` }
	const ok = `"status":"success","reason":"",`
	png := &correlator.Head{ContentType: "image/png"}
	for _, f := range []struct {
		finals []correlator.Callback
		want   string
	}{
		{final(correlator.Complete, `{"a":1.0,"b":{"id":2}}`), ok + `"data":{"id":"T1","a":1.0,"b":{"id":2}}`},
		{final(correlator.Complete, `{ "id" : {"x":1}, "a":1 }`), ok + `"data":{"id":"T1","result":{"id":{"x":1}},"a":1}`},
		{final(correlator.Complete, `{"a":1,"i\u0064":7}`), ok + `"data":{"id":"T1","result":{"id":7},"a":1}`},
		{final(correlator.Complete, `{"id":1,"id":2}`), ok + `"data":{"id":"T1","result":{"id":2}}`},
		{final(correlator.Complete, `{"id":1,"result":{"id":3}}`), ok + `"data":{"id":"T1","result":{"id":1,"result":{"id":3}}}`},
		{final(correlator.Complete, `{"result":3}`), ok + `"data":{"id":"T1","result":3}`},
		{final(correlator.Complete, `{}`), ok + `"data":{"id":"T1"}`},
		{final(correlator.Complete, ``), ok + `"data":{"id":"T1"}`},
		{final(correlator.Complete, `[1,{"id":1}]`), ok + `"data":{"id":"T1","result":[1,{"id":1}]}`},
		{final(correlator.Complete, "\x89PNG", png), ok + `"data":{"id":"T1","result":{"contentType":"image/png","base64":"iVBORw=="}}`},
		{final(correlator.Errored, `{"message":"no \"funds\"","id":5}`), failed(`no \"funds\"`) + `"data":{"id":"T1","result":{"id":5},"message":"no \"funds\""}`},
		{final(correlator.Errored, ``), failed("The engine reports that the task has failed") + `"data":{"id":"T1"}`},
		{final(correlator.Cancelled, ``), failed("The task is cancelled") + `"data":{"id":"T1"}`},
		{final(correlator.Failed, ``), failed("The engine's answer is not usable") + `"data":{"id":"T1"}`},
	} {
		got := string(s.AppendCallback(nil, "T1", f.finals))
		if got != head+f.want+tail || !json.Valid([]byte(got)) {
			t.Errorf("%s of %s\n%s\nwant\n%s", f.finals[0].Status, f.finals[0].Body, got, head+f.want+tail)
		}
	}
	bare := state(t, os1.Config{EventType: "e", Service: "s"}, `{"callback":"https://a/"}`)
	if got := string(bare.AppendCallback(nil, "T1", final(correlator.Complete, `{}`))); got != `{"tenantId":"acme","eventType":"e","service":"s","status":"success","reason":"","data":{"id":"T1"},"meta":{}}` {
		t.Error(got)
	}
}

// FuzzCallbackBody: whatever an engine sends, the body is JSON, data.id is the task's, and there is no second one.
func FuzzCallbackBody(f *testing.F) {
	f.Add(`{"id":1,"result":2}`)
	f.Add(`{"\u0069d":1,"a":{}, "id" : 2 }`)
	f.Add(` [] `)
	s := os1.State{Tenant: "acme"}
	f.Fuzz(func(t *testing.T, body string) {
		got := s.AppendCallback(nil, "T1", final(correlator.Complete, body))
		var said struct{ Data map[string]any }
		if err := json.Unmarshal(got, &said); err != nil || said.Data["id"] != "T1" {
			t.Errorf("%q: %s, %v", body, got, err)
		}
	})
}

func TestCallbackSignature(t *testing.T) {
	c := config()
	s := state(t, c, asked)
	body := s.AppendCallback(nil, "T1", final(correlator.Complete, `{"a":1}`))
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	if got := string(s.AppendSignature(nil, body, []byte(secret))); got != hex.EncodeToString(mac.Sum(nil)) {
		t.Error(got)
	}
	if got := s.AppendSignature(nil, body, nil); got != nil {
		t.Errorf("without a secret: %s", got)
	}
	c.Signature = signer.OS1Concat
	s = state(t, c, asked)
	sum := sha256.Sum256([]byte(string(body) + secret))
	if got := string(s.AppendSignature(nil, body, []byte(secret))); got != hex.EncodeToString(sum[:]) {
		t.Error(got)
	}
}

func TestValidate(t *testing.T) {
	c := config()
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
	c = os1.Config{Members: map[string]string{"data": "x", "": "y"}, Signature: "md5", Batch: "callback"}
	err := c.Validate()
	for _, want := range []string{"event_type: must not be empty", "service: must not be empty", "members: has a name that", "members: must have", "signature: must be one of: hmac-sha256, concat-sha256", "batch: must be"} {
		if err == nil || !strings.Contains("\n"+err.Error(), "\n"+want) {
			t.Errorf("no %q in\n%v", want, err)
		}
	}
	many := os1.Config{EventType: "e", Service: strings.Repeat("s", 300), Members: make(map[string]string)}
	for i := range os1.MostMembers + 1 {
		many.Members[strings.Repeat("m", i+1)] = ""
	}
	if err := many.Validate(); err == nil || !strings.Contains(err.Error(), "members: are 33") || !strings.Contains(err.Error(), "service: must have at most") {
		t.Error(err)
	}
}
