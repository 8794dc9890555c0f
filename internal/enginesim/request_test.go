package enginesim

import (
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
