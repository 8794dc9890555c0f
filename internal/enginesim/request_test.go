package enginesim

import (
	"encoding/json"
	"reflect"
	"testing"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

func TestReadData(t *testing.T) {
	f := func(data, wantData, wantURL, wantSim string) {
		t.Helper()
		var p readers
		ops, err := p.read([]byte(`{"ops":{"data":` + data + `}}`))
		if err != nil {
			t.Errorf("%s: %v", data, err)
			return
		}
		if o := ops[0]; string(o.data) != wantData || o.url != wantURL || string(o.sim) != wantSim {
			t.Errorf("%s is read as %s, %s, %s", data, o.data, o.url, o.sim)
		}
	}
	f(`{}`, `{}`, ``, ``)
	f(`{"__callback_url":"u"}`, `{}`, `u`, ``)
	f(`{"a":1,"__callback_url":"u","b":2}`, `{"a":1,"b":2}`, `u`, ``)
	f(`{ "__callback_url" : "u" , "a" : [ 1 ] }`, `{"a" : [ 1 ]}`, `u`, ``)
	f(`{"\u005f_callback_url":"\u0075","__sim":{"x":1},"a":"\ud800"}`, `{"a":"\ud800"}`, `u`, `{"x":1}`)
	f(`{"a":1,"a":2,"__callback_url":"u","__callback_url":"v"}`, `{"a":1,"a":2}`, `v`, ``)
	f(`{"__callback_url":{"a":"u"}}`, `{}`, ``, ``)
	f(`{"a":{"__callback_url":"u"}}`, `{"a":{"__callback_url":"u"}}`, ``, ``)
	f(`{"a":1},"data":{"b":1}`, `{"b":1}`, ``, ``)
	f(`{"__callback_url":"u"},"data":[]`, ``, ``, ``)
}

// FuzzRead compares with encoding/json: what is a package, what its data are and where the callback goes.
func FuzzRead(f *testing.F) {
	for _, s := range []string{
		`{"ops":[{"type":"create","obj":"task","data":{"__callback_url":"http://a/b","x":1}}]}`,
		`{"timeout":3,"ops":{"data":{"__callback_url":"\u0061","\u005f_sim":null,"x" : [1,{"y":"\ud800"}]}}}`,
		`{"ops":[{"data":[]},{"data":null},{"data":7},{}]}`, `{"ops":[]}`, `{"ops":1,"ops":[{}]}`, `[]`, `{"ops":[{}]} x`, `{"ops":[1]}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var p readers
		ops, err := p.read(body)
		want, ok := oracle(body)
		unique := jsontext.Value(body).IsValid(jsontext.AllowInvalidUTF8(true))
		if (err == nil) != ok && (unique || !ok) { // the oracle passes over all but the last of several ops members
			t.Fatalf("read: %v; encoding/json: %v", err, ok)
		}
		if err != nil {
			return
		}
		if len(ops) != len(want) {
			t.Fatalf("%d ops, want %d", len(ops), len(want))
		}
		for i, o := range ops {
			check(t, &o, want[i], utf8.Valid(body))
		}
	})
}

// oracle gives the data member of each op, nil where there is none.
func oracle(body []byte) (data []json.RawMessage, ok bool) {
	var top map[string]json.RawMessage
	if json.Unmarshal(body, &top) != nil || top == nil {
		return nil, false
	}
	var ops []json.RawMessage
	if json.Unmarshal(top["ops"], &ops) != nil {
		ops = []json.RawMessage{top["ops"]}
	}
	for _, raw := range ops {
		var op map[string]json.RawMessage
		if json.Unmarshal(raw, &op) != nil || op == nil {
			return nil, false
		}
		data = append(data, op["data"])
	}
	return data, len(data) > 0
}

func check(t *testing.T, o *op, raw json.RawMessage, validUTF8 bool) {
	t.Helper()
	var want map[string]json.RawMessage
	if json.Unmarshal(raw, &want) != nil || want == nil {
		if o.data != nil {
			t.Fatalf("data %s of %s, which is no object", o.data, raw)
		}
		return
	}
	var url string
	if json.Unmarshal(want[nameURL], &url) == nil && validUTF8 && url != o.url {
		t.Fatalf("url %q, want %q", o.url, url)
	}
	if string(o.sim) != string(want[nameSim]) {
		t.Fatalf("sim %s, want %s", o.sim, want[nameSim])
	}
	delete(want, nameURL)
	delete(want, nameSim)
	var got map[string]json.RawMessage
	if err := json.Unmarshal(o.data, &got); err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("data %s of %s: %v", o.data, raw, err)
	}
}

func BenchmarkRead(b *testing.B) {
	body := []byte(`{"ops":[{"conv_id":1234,"type":"create","obj":"task","ref":"r","data":{"nonce":"0123456789abcdef","__callback_url":"http://127.0.0.1:8080/api/1/plugins/callback/0123456789012345678901234567890123456789"}}]}`)
	var p readers
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.read(body); err != nil {
			b.Fatal(err)
		}
	}
}
