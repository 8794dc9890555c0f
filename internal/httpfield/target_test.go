package httpfield_test

import (
	"testing"

	"syncgate/internal/httpfield"
)

func TestRawPath(t *testing.T) {
	f := func(target, want string) {
		t.Helper()
		if got := string(httpfield.RawPath([]byte(target))); got != want {
			t.Errorf("RawPath(%q) = %q; want %q", target, got, want)
		}
	}
	f("/api/2/json/1/2/3", "/api/2/json/1/2/3")
	f("/api/2/json/1/2/3?x=/y", "/api/2/json/1/2/3")
	f("/a%2Fb//../c", "/a%2Fb//../c")
	f("http://host:1/a?b", "/a")
	f("http://host", "/")
	f("http://host?/api/1/json", "/")
	f("http://host?a=http://b/c", "/")
	f("*", "*")
	f("/x?u=http://y/z", "/x")
}
