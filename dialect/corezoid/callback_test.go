package corezoid_test

import (
	"testing"

	"syncgate/correlator"
	"syncgate/internal/wiretest"
)

const (
	typeJSON = "application/json"
	typeForm = "application/x-www-form-urlencoded"
	typeXML  = "application/xml"
)

// What a body may be is callbackdata's. Here are the op, the status, the answer, and how what is refused is worded.
func TestCallback(t *testing.T) {
	d := newDialect(t)
	f := func(uri, contentType, body string, status correlator.Status, want, wantHeard string) {
		t.Helper()
		for _, method := range []string{"POST", "PUT", "PATCH"} {
			req := wiretest.Received(t, method, uri, body, "Content-Type: "+contentType)
			cb, heard, err := d.Callback(req, 7)
			if err != nil || cb.Op != 7 || cb.Status != status || cb.Head != nil || string(cb.Body) != want || string(heard) != wantHeard {
				t.Errorf("%s %s\ngives %s, heard %s, %v\nwant  %s", contentType, body, cb.Body, heard, err, want)
			}
		}
	}
	const uri = "/api/1/plugins/callback/token?conv_signature=x&conv_time=1&conv_id=2&param=3"
	f(uri, typeJSON, ` {"a": 1.0, "sys":{}}`, correlator.Complete, `{"a": 1.0, "sys":{}}`, `{}`)
	f(uri, typeForm, `a=1&a=2`, correlator.Complete, `{"a":["1","2"]}`, `{}`)
	f(uri, typeXML, `<r a="1"/>`, correlator.Complete, `{"root":{"@a":"1"}}`, `{}`)
	f(uri, typeJSON, ``, correlator.Complete, `{}`, `{}`)
	f(uri, typeJSON, `{"ops":[{"type":"data","ref":"r","obj_id":"o","extra":[1]}]}`, correlator.Complete, `[1]`, `{"request_proc":"ok","ops":[{"ref":"r","obj_id":"o","proc":"ok","res_data":{}}]}`)
	f(uri+"&callback_status=progress", typeJSON, `{}`, correlator.Progress, `{}`, `{}`)
}

func TestCallbackRefused(t *testing.T) {
	d := newDialect(t)
	_, _, err := d.Callback(wiretest.Received(t, "POST", "/cb/t", `{"a":1`, "Content-Type: "+typeJSON), 0)
	wantFault(t, err, 400, "Incorrect body: at byte 6: unexpected end")
	_, _, err = d.Callback(wiretest.Received(t, "POST", "/cb/t", `<r>`, "Content-Type: "+typeXML), 0)
	wantFault(t, err, 400, "Incorrect body: XML: at byte 3: unexpected end")
	_, _, err = d.Callback(wiretest.Received(t, "GET", "/cb/t?a=%ff", ""), 0)
	wantFault(t, err, 400, "Incorrect body: form: is not UTF-8")
	for _, coding := range []string{"gzip", "XZQWJKVYXZQWJKVY"} { // it goes to the log without bytes of the request
		_, _, err = d.Callback(wiretest.Received(t, "POST", "/cb/t", "a=1", "Content-Type: "+typeForm, "Content-Encoding: "+coding), 0)
		wantFault(t, err, 415, "Content-Encoding is not supported")
	}
	_, _, err = d.Callback(wiretest.Received(t, "POST", "/cb/t", "{\"secret\xff\"}", "Content-Type: "+typeJSON), 0)
	wantFault(t, err, 400, "Incorrect body: at byte 8: invalid UTF-8")
}
