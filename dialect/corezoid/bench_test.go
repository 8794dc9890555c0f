package corezoid_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"

	"syncgate/correlator"
	"syncgate/dialect"
	"syncgate/internal/wiretest"
)

const (
	typical = `{"timeout":30,"ops":[{"type":"create","obj":"task","conv_id":1234,"ref":"order-1","data":{"amount":"100.00","currency":"EUR",` +
		`"payer":{"name":"Олена","iban":"DE89370400440532013000"},"items":[{"id":1,"n":2},{"id":2,"n":1}]}}]}`
	taken   = `{"request_proc":"ok","ops":[{"id":"<id 0>","proc":"ok","obj":"task","ref":"order-1","obj_id":"5cf67011094bab1b9a00a31d"}]}`
	calling = `{"status":"done","transaction":{"id":1412737,"fee":"0.50"},"sys":{"ref":"order-1","obj_id":"5cf67011094bab1b9a00a31d"}}`
)

// What a trip allocates in the dialect is what it keeps: the call with its op, slot and ref, the body, and the id; the data with the
// answer to it; nothing else.
func TestAllocations(t *testing.T) {
	d := newDialect(t)
	create := wiretest.Received(t, "POST", path(login, "1700000000", secret, typical), typical)
	c := mustAccept(t, d, typical)
	all := tokens(c)
	var req fasthttp.Request
	var dst fasthttp.Response
	callback := wiretest.Received(t, "POST", "/cb/t", calling, "Content-Type: "+typeJSON)
	reply := &dialect.Reply{Finals: []correlator.Callback{{Status: correlator.Complete, Body: []byte(calling)}}}
	ack := []byte(ided(c).Replace(taken))
	f := func(name string, most float64, fn func()) {
		t.Helper()
		if got := testing.AllocsPerRun(500, fn); got > most && !raced {
			t.Errorf("%s allocates %v times, at most %v are its own", name, got, most)
		}
	}
	f("Accept", 3, func() { _, _ = d.Accept(create, dialect.Route{}, now) })
	f("Encode", 0, func() { _ = d.Encode(&req, c, all, now) })
	f("Ack", 0, func() { _, _ = d.Ack(c, 200, nil, ack) })
	f("Callback", 1, func() { _, _, _ = d.Callback(callback, 0) })
	f("Answer", 0, func() { d.Answer(&dst, c, reply) })
	f("Refuse", 0, func() { d.Refuse(&dst, &dialect.Fault{Status: 400, Text: "Incorrect body"}, "") })
}

func BenchmarkAccept(b *testing.B) {
	d := newDialect(b)
	for name, body := range map[string]string{
		"typical": typical,
		"100KiB":  strings.Replace(typical, `"amount"`, `"x":"`+strings.Repeat("abcdefghij", 10_000)+`","amount"`, 1),
		"5 ops":   `{"ops":[` + strings.TrimSuffix(strings.Repeat(`{"type":"create","obj":"task","conv_id":1,"data":{"a":1,"b":[1,2,3]}},`, 5), ",") + `]}`,
	} {
		req := wiretest.Received(b, "POST", path(login, "1700000000", secret, body), body)
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := d.Accept(req, dialect.Route{}, now); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkEncode(b *testing.B) {
	d := newDialect(b)
	c := mustAccept(b, d, typical)
	all := tokens(c)
	var req fasthttp.Request
	b.ReportAllocs()
	for b.Loop() {
		if err := d.Encode(&req, c, all, now); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAck(b *testing.B) {
	d := newDialect(b)
	c := mustAccept(b, d, typical)
	answer := []byte(ided(c).Replace(taken))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := d.Ack(c, 200, nil, answer); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCallback(b *testing.B) {
	d := newDialect(b)
	for name, body := range map[string][2]string{
		"JSON":     {typeJSON, calling},
		"Corezoid": {typeJSON, `{"ops":[{"ref":"order-1","type":"data","obj":"task","obj_id":"5cf67011094bab1b9a00a31d","data":{},"extra":` + calling + `}]}`},
		"form":     {typeForm, "status=done&id=1412737&fee=0.50&name=%D0%9E%D0%BB%D0%B5%D0%BD%D0%B0"},
		"XML":      {typeXML, `<r status="done"><id>1412737</id><fee>0.50</fee></r>`},
	} {
		req := wiretest.Received(b, "POST", "/cb/t", body[1], "Content-Type: "+body[0])
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := d.Callback(req, 0); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkCallbackXMLHostile(b *testing.B) {
	d := newDialect(b)
	const elements = 1<<18 - 1 // as many as there may be, with the root
	body := "<r>" + strings.Repeat("<a/>", elements) + "</r>"
	req := wiretest.Received(b, "POST", "/cb/t", body, "Content-Type: "+typeXML)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		cb, _, err := d.Callback(req, 0)
		if err != nil || bytes.Count(cb.Body, []byte{','}) != elements-1 {
			b.Fatal(err)
		}
	}
}

func BenchmarkAnswer(b *testing.B) {
	d := newDialect(b)
	c := mustAccept(b, d, typical)
	reply := &dialect.Reply{Finals: []correlator.Callback{{Status: correlator.Complete, Body: []byte(calling)}}}
	var dst fasthttp.Response
	b.ReportAllocs()
	for b.Loop() {
		d.Answer(&dst, c, reply)
	}
}
