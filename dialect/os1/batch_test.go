package os1_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"

	"syncgate/correlator"
	"syncgate/dialect/os1"
)

func batchConfig() os1.Config {
	c := config()
	c.Members, c.Batch = nil, "containers"
	return c
}

func TestSplit(t *testing.T) {
	c := batchConfig()
	r := read(t, `{ "callback":"https://a/", "containers" : [ {"refID":"a","x":1.0} , {"re\u0066ID":12, "y":{"refID":"z"}}]}`)
	elements, fault := c.Split(&r, 2)
	if fault != nil || len(elements) != 2 {
		t.Fatalf("%q, %v", elements, fault)
	}
	for i, want := range []struct{ ref, body string }{{`"a"`, `{"refID":"a","x":1.0}`}, {`12`, `{"re\u0066ID":12, "y":{"refID":"z"}}`}} {
		if string(elements[i].RefID) != want.ref || string(elements[i].Body) != want.body {
			t.Errorf("%q", elements[i])
		}
	}
}

func TestSplitRefuses(t *testing.T) {
	c := batchConfig()
	for body, want := range map[string]string{
		`[]`:                "must be an object with the array containers",
		`{"a":[]}`:          "it has a member beside containers",
		`{}`:                "there is no array containers",
		`{"containers":{}}`: "there is no array containers",
		`{"containers":[]}`: "the array containers is empty",
		`{"containers":[{"refID":1}],"c\u006fntainers":[]}`:                      "containers stands there more than once",
		`{"containers":[{"refID":1},{"refID":2},{"refID":3}]}`:                   "containers has more than 2 elements",
		`{"callback":{"url":"https://a/","meta":[]},"containers":[{"refID":1}]}`: "it must be an object, as the meta of a batch",
	} {
		r := read(t, body)
		if _, fault := c.Split(&r, 2); fault == nil || fault.Status != 400 || !strings.Contains(fault.Text, want) {
			t.Errorf("%s: %v, want %s", body, fault, want)
		}
	}
	r := read(t, `{"containers":[{"refID":"7"},{"refID":7},{},[],{"refID":""},{"refID":null},{"refID":1,"refID":2},{"refID":"`+strings.Repeat("x", 300)+`"},{"refID":"\u0037"}]}`)
	_, fault := c.Split(&r, 100)
	if fault == nil || len(fault.Details) != 8 {
		t.Fatalf("%+v", fault)
	}
	for i, want := range []string{
		"/containers/1/refID is the same as that of element 0", "/containers/2/refID is missing or empty", "/containers/3 it must be an object",
		"/containers/4/refID is missing or empty", "/containers/5/refID must be a string or a number", "/containers/6/refID stands there more than once",
		"/containers/7/refID has more than 256 bytes", "/containers/8/refID is the same as that of element 0",
	} {
		if got := fault.Details[i].Pointer + " " + fault.Details[i].Text; got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	many := read(t, `{"containers":[`+strings.Repeat("1,", 99)+`1]}`)
	if _, fault = c.Split(&many, 100); fault == nil || len(fault.Details) != 20 {
		t.Errorf("%+v", fault)
	}
}

// batchState is that of a batch of three.
func batchState(t *testing.T, meta string) os1.State {
	t.Helper()
	c := batchConfig()
	r := read(t, `{"callback":{"url":"https://a/","meta":`+meta+`},"containers":[{"refID":"a"},{"refID":2.50},{"refID":"c\n"}]}`)
	elements, fault := c.Split(&r, 100)
	if fault != nil {
		t.Fatal(fault)
	}
	s := c.NewState(&r, "POST", []byte("/b"))
	s.Refs, s.Echo = os1.RefsOf(elements), `{}`
	s, err := os1.ParseState(s.Encode())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestBatchBodies(t *testing.T) {
	ok, no := final(correlator.Complete, `{"id":1.0}`)[0], final(correlator.Errored, `{"message":"full"}`)[0]
	const failure = `"error":{"code":"engine-error","description":"full","additionalInfo":{"errorTrace":[],"data":{"message":"full"}}}}`
	for _, f := range []struct {
		meta, counts, status, reason, outcomes string
		finals                                 []correlator.Callback
	}{
		{
			`{ "n" : 1.00, "total":9 }`, `{"n" : 1.00,"status":"partial","success":2,"failed":1,"total":3}`, "failed", "1 of 3 have failed",
			`"success":[{"refID":"a","data":{"id":1.0}},{"refID":"c\n","data":{"id":1.0}}],"errors":[{"refID":2.50,` + failure + `]`,
			[]correlator.Callback{ok, no, ok},
		},
		{
			`{}`, `{"status":"success","success":3,"failed":0,"total":3}`, "success", "",
			`"success":[{"refID":"a","data":{"id":1.0}},{"refID":2.50,"data":{"id":1.0}},{"refID":"c\n","data":{"id":1.0}}],"errors":[]`,
			[]correlator.Callback{ok, ok, ok},
		},
		{
			`{"status":1}`, `{"status":"failed","success":0,"failed":3,"total":3}`, "failed", "3 of 3 have failed",
			`"success":[],"errors":[{"refID":"a",` + failure + `,{"refID":2.50,` + failure + `,{"refID":"c\n",` + failure + `]`,
			[]correlator.Callback{no, no, no},
		},
	} {
		s := batchState(t, f.meta)
		want := `{"tenantId":"acme","eventType":"CONTAINER_CREATED","service":"Container","status":"` + f.status + `","reason":"` + f.reason +
			`","data":{"id":"T1"},"meta":` + f.counts + `,` + f.outcomes + `}`
		if got := string(s.AppendCallback(nil, "T1", f.finals)); got != want || !json.Valid([]byte(got)) {
			t.Errorf("%s\nwant\n%s", got, want)
		}
		dst := new(fasthttp.Response)
		s.Result(dst, f.finals)
		own := strings.Replace(f.counts, `"n" : 1.00,`, "", 1)
		wantReply(t, dst, 200, `{"data":{"meta":`+own+`,`+f.outcomes+`},"request":{}}`)
	}
}

// An engine that gets the batch as one task reports what has become of the elements.
func TestBatchOfOneTask(t *testing.T) {
	s := batchState(t, `{}`)
	s.Whole = true
	const arrays = `"success":[ {"refID":"a"},{"refID":2.50}],"errors":[{"refID":"c","why":1}]`
	const failure = `"error":{"code":"engine-error","description":"full","additionalInfo":{"errorTrace":[],"data":{"message":"full"}}}}`
	const silent = `"error":{"code":"bad-gateway","description":"The engine's result does not say what has become of each element","additionalInfo":{"errorTrace":[]}}}`
	all := func(e string) string {
		return `{"status":"failed","success":0,"failed":3,"total":3},"success":[],"errors":[{"refID":"a",` + e + `,{"refID":2.50,` + e + `,{"refID":"c\n",` + e + `]`
	}
	for _, f := range []struct{ body, want string }{
		{`{"meta":{"x":1},` + arrays + `}`, `{"status":"partial","success":2,"failed":1,"total":3},` + arrays},
		{`{"success":[],"errors":[]}`, `{"status":"success","success":0,"failed":0,"total":0},"success":[],"errors":[]`},
		{`{"success":[]}`, all(silent)},
		{`{"success":{},"errors":[]}`, all(silent)},
		{`[]`, all(silent)},
	} {
		dst := new(fasthttp.Response)
		s.Result(dst, final(correlator.Complete, f.body))
		wantReply(t, dst, 200, `{"data":{"meta":`+f.want+`},"request":{}}`)
	}
	dst := new(fasthttp.Response)
	s.Result(dst, final(correlator.Errored, `{"message":"full"}`))
	wantReply(t, dst, 200, `{"data":{"meta":`+all(failure)+`},"request":{}}`)
}
