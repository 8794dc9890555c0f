package waiter_test

import (
	"net/http"
	"testing"
)

// TestACompressedCallbackIsRefused wants that what is not read counts for nothing, and that its sender hears why.
func TestACompressedCallbackIsRefused(t *testing.T) {
	c := called(nil)
	w := startMemory(t, c)
	reply := w.create("17", `{"sum":5}`)
	const body = `{"order":{"id":"17"},"paid":true}`
	for _, coding := range []string{"gzip", "identity, br", "x"} {
		w.send(http.MethodPost, path(c), body, isJSON, "Content-Encoding: "+coding).
			want(t, 415, `{"request_proc":"ok","ops":[{"id":"","proc":"error","obj":"task","description":"Content-Encoding is not supported: send the body as it is"}]}`)
	}
	if n := w.metric("syncgate_waiter_completions_total", "refused", "payments"); n != 3 {
		t.Errorf("%v are counted as refused; want 3", n)
	}
	w.send(http.MethodPost, path(c), body, isJSON, "Content-Encoding: identity")
	(<-reply).want(t, 200, `{"request_proc":"ok","ops":[{"proc":"ok","ref":"17","data":{"order":{"id":"17"},"paid":true,"sum":5}}]}`)
}
