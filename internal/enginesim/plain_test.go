package enginesim_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"syncgate/internal/enginesim"
)

// plain posts a body with a callback URL in the header.
func plain(t *testing.T, e *enginesim.Engine, g *gateway, body string) (status int, answer string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, e.URL()+"/any/path?a=b", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Callback-Url", g.URL+"/callback")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// A request that has its callback URL in a header makes a task of its body, and is called back with that.
func TestPlain(t *testing.T) {
	e, g := start(t, nil), listen(t, nil)
	defer http.DefaultClient.CloseIdleConnections()
	for body, want := range map[string]string{
		`{"a":1,"__sim":{"delay_ms":1}}`: `{"a":1}`,
		``:                               `{}`,
	} {
		if status, answer := plain(t, e, g, body); status != http.StatusOK || !strings.Contains(answer, `"proc":"ok"`) {
			t.Errorf("%q is answered with %d %s", body, status, answer)
		}
		if c := g.next(t); c.uri != "/callback" || c.body != want || c.method != http.MethodPost {
			t.Errorf("%q is called back with %+v", body, c)
		}
	}
	for _, body := range []string{`{`, `{} {}`, `{"a":1}x`} {
		if status, answer := plain(t, e, g, body); status != http.StatusBadRequest {
			t.Errorf("%q is answered with %d %s", body, status, answer)
		}
	}
	if status, _ := plain(t, e, g, `{"__sim":{"ack":"http_500","callback":"never"}}`); status != http.StatusInternalServerError {
		t.Errorf("http_500 is answered with %d", status)
	}
	if s := e.Stats(); s.Tasks != 3 || s.Refused != 3 {
		t.Errorf("counted: %+v", s)
	}
}
