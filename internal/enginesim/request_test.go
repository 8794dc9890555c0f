package enginesim

import (
	"encoding/json"
	"reflect"
	"testing"
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
