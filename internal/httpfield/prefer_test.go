package httpfield_test

import (
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"syncgate/internal/httpfield"
)

func TestPreferredWait(t *testing.T) {
	const limit = 300 * time.Second
	f := func(seconds float64, lines ...string) {
		t.Helper()
		var h fasthttp.RequestHeader
		for _, line := range lines {
			h.Add("prefer", line)
		}
		if got := httpfield.PreferredWait(&h, limit); got.Seconds() != seconds {
			t.Errorf("%q: %v, want %v s", lines, got, seconds)
		}
	}
	f(0)
	f(0, "")
	f(10, "wait=10")
	f(10, "Wait=10")
	f(10, "WAIT = 10")
	f(10, "wait=\t10 ; because=x")
	f(10, `wait="10"`)
	f(10, `wait="1\0"`)
	f(10, "respond-async, wait=10")
	f(10, ",, wait=10,")
	f(10, "respond-async", "return=minimal", "wait=10")
	f(10, "wait=10, wait=20") // the first counts
	f(10, "wait=10", "wait=20")
	f(0, "wait=x, wait=20") // also when it says nothing
	f(0, "wait", "wait=20")
	f(20, `foo="wait=10", wait=20`) // a string is opaque
	f(20, `foo=", wait=10", wait=20`)
	f(20, `foo="\", wait=10", wait=20`)
	f(20, `foo; bar="; wait=10, wait=11"; wait=12, wait=20`)
	f(20, "foo;wait=10, wait=20") // of foo
	f(20, "xwait=10, wait x=11, wait=20")
	f(0, `foo=", wait=10`)
	f(10, `foo=", wait=20`, "wait=10")
	f(0, `wait="10`)
	f(0, `wait="10"0`)
	f(0, "wait=10 20")
	for _, none := range []string{"", "-1", "+1", "1.5", "1e2", "0x10", "1_0", "٣", "10s", "0"} {
		f(0, "wait="+none)
	}
	for _, much := range []string{"301", "2147483648", "4294967297", "9223372036854775808", "18446744073709551617", "99999999999999999999999999"} {
		f(300, "wait="+much)
	}
	f(300, "wait=300")
	f(299, "wait=000000000000000000000000299")
}
