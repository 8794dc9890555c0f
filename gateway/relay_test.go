package gateway_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"syncgate/internal/redistest"

	"syncgate/correlator"
)

// TestRelayedCallback: an engine that calls back at another node hears 200 when the result is stored, and else that it is not.
func TestRelayedCallback(t *testing.T) {
	r := redistest.Start(t)
	c := newCluster(t, r)
	defer c.end()
	home, other := c.members[0], c.members[1]
	client := http.Client{Timeout: 10 * time.Second, Transport: new(http.Transport)}
	defer client.CloseIdleConnections()
	calls := func(token string) (int, string) {
		t.Helper()
		resp, err := client.Post("http://"+other.addr+"/api/1/plugins/callback/"+token, "application/json", strings.NewReader(`{"n":1}`))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(body)
	}
	id, forgotten := home.table.NewID(time.Now().Add(time.Hour)), home.table.NewID(time.Now().Add(time.Hour))
	token := string(c.keys.AppendToken(nil, correlator.Token{Trip: id}))
	r.Pause()
	if status, body := calls(token); status != http.StatusServiceUnavailable || body != "{}" {
		t.Errorf("with Redis paused: %d %s", status, body)
	}
	r.Resume()
	waitFor(t, func() bool { status, _ := calls(token); return status == http.StatusOK })
	home.table.Forget(forgotten)
	token = string(c.keys.AppendToken(nil, correlator.Token{Trip: forgotten}))
	waitFor(t, func() bool { status, body := calls(token); return status == http.StatusGone && body == "{}" })
}
