package httpfield_test

import (
	"strings"
	"testing"

	"github.com/valyala/fasthttp"

	"syncgate/internal/httpfield"
)

func TestRequestIDs(t *testing.T) {
	f := func(id string, want bool) {
		t.Helper()
		var h fasthttp.RequestHeader
		h.Set("X-Request-Id", id)
		got := httpfield.RequestID(&h)
		if got == id != want || got != id && len(got) != 16 {
			t.Errorf("%q becomes %q", id, got)
		}
	}
	f("a-B_c.9", true)
	f(strings.Repeat("a", 128), true)
	f(strings.Repeat("a", 129), false)
	f("", false)
	f("a b", false)
	f("a\"b", false)
	f("é", false)
}
