package httpfield_test

import (
	"testing"

	"github.com/valyala/fasthttp"

	"syncgate/internal/httpfield"
)

func TestIsJSON(t *testing.T) {
	for kind, want := range map[string]bool{
		"application/json": true, " Application/JSON ; charset=utf-8": true, "application/problem+json": true, "text/json": true,
		"": false, "text/plain": false, "application/jsonp": false, "application/xml; a=+json": false,
	} {
		if httpfield.IsJSON([]byte(kind)) != want {
			t.Errorf("%q is JSON: %v", kind, !want)
		}
	}
}

func TestContentCoding(t *testing.T) {
	for _, f := range []struct {
		lines []string
		want  string
	}{
		{nil, ""},
		{[]string{"identity"}, ""},
		{[]string{"Identity, "}, ""},
		{[]string{"gzip"}, "gzip"},
		{[]string{"identity", "identity,\tbr "}, "br"},
	} {
		var h fasthttp.RequestHeader
		for _, line := range f.lines {
			h.Add("Content-Encoding", line)
		}
		if got := string(httpfield.ContentCoding(&h)); got != f.want {
			t.Errorf("%q: %q", f.lines, got)
		}
	}
}

func TestIsOfConnection(t *testing.T) {
	for name, want := range map[string]bool{"Connection": true, "TRANSFER-ENCODING": true, "te": true, "Content-Length": true, "X-Trace": false, "": false} {
		if httpfield.IsOfConnection(name) != want {
			t.Errorf("%s: %v", name, !want)
		}
	}
}
