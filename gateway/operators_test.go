package gateway_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
)

// TestProfilesHaveAnIndex: a browser that opens it finds every profile behind its links.
func TestProfilesHaveAnIndex(t *testing.T) {
	n := start(t, newEngine(t).URL)
	n.url = "http://" + n.AdminAddr().String()
	n.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if r := n.do(http.MethodGet, "/debug/pprof", ""); r.status != 301 || r.header.Get("Location") != "/debug/pprof/" {
		t.Errorf("without the slash: %+v", r)
	}
	index := n.do(http.MethodGet, "/debug/pprof/", "")
	if index.status != 200 || !strings.HasPrefix(index.header.Get("Content-Type"), "text/html") {
		t.Fatalf("the index: %+v", index)
	}
	seen := 0
	for _, link := range regexp.MustCompile(`href='?"?([a-z]+)\?debug=1`).FindAllStringSubmatch(index.body, -1) {
		seen++
		if r := n.do(http.MethodGet, "/debug/pprof/"+link[1]+"?debug=1", ""); r.status != 200 {
			t.Errorf("%s: %d", link[1], r.status)
		}
	}
	if seen < 5 {
		t.Errorf("the index has %d profiles:\n%s", seen, index.body)
	}
	n.url = "http://" + n.PublicAddr().String()
	if r := n.do(http.MethodGet, "/debug/pprof/", ""); r.status != 404 {
		t.Errorf("on the public listener: %+v", r)
	}
}
