package enginesim_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"syncgate/internal/enginesim"
	"syncgate/signer"
)

const (
	login  = "12345"
	secret = "mysecret"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start runs an engine that knows one login and records, and closes it with the test.
func start(t testing.TB, change func(*enginesim.Config)) *enginesim.Engine {
	t.Helper()
	cfg := enginesim.Default()
	cfg.Credentials = map[string]string{login: secret}
	cfg.Record = 100
	cfg.Behaviour.RetryDelay = time.Millisecond
	if change != nil {
		change(&cfg)
	}
	e, err := enginesim.Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

// heard is a callback as its receiver sees it.
type heard struct {
	method, uri, contentType, host string
	peer                           string // the connection's other end
	body                           string
}

// gateway is the other side: it takes callbacks.
type gateway struct {
	*httptest.Server
	calls chan heard
}

// listen starts a receiver that answers every callback with the status that answer chooses.
func listen(t testing.TB, answer func(n int) int) *gateway {
	t.Helper()
	g := &gateway{calls: make(chan heard, 1000)}
	var n atomic.Int64
	g.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		status, nth := http.StatusOK, int(n.Add(1))
		if answer != nil {
			status = answer(nth)
		}
		g.calls <- heard{r.Method, r.URL.String(), r.Header.Get("Content-Type"), r.Host, r.RemoteAddr, string(body)}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "{}")
	}))
	t.Cleanup(g.Close)
	return g
}

// next waits for a callback.
func (g *gateway) next(t testing.TB) heard {
	t.Helper()
	select {
	case h := <-g.calls:
		return h
	case <-time.After(10 * time.Second):
		t.Fatal("no callback came")
		return heard{}
	}
}

// create is a package of one op whose data has members beside the callback URL, e.g. `,"n":1`.
func (g *gateway) create(members string) string {
	return fmt.Sprintf(`{"ops":[{"conv_id":7,"type":"create","obj":"task","ref":"r-1","data":{"__callback_url":"%s/cb/token"%s}}]}`, g.URL, members)
}

// post sends a package as login and gives status and body.
func post(t testing.TB, e *enginesim.Engine, body string) (int, string) {
	t.Helper()
	resp, text, err := try(e, body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, text
}

func try(e *enginesim.Engine, body string) (*http.Response, string, error) {
	return raw(http.MethodPost, e.URL()+path(body), body)
}

func path(body string) string {
	const stamp = "1700000000"
	return fmt.Sprintf("/api/2/json/%s/%s/%s", login, stamp, signer.AppendSignature(nil, []byte(stamp), []byte(secret), []byte(body)))
}

// raw makes a request over a connection of its own, follows no redirect and leaves nothing behind.
func raw(method, url, body string) (*http.Response, string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader([]byte(body)))
	if err != nil {
		return nil, "", err
	}
	c := http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := c.Do(req)
	if err != nil {
		return nil, "", err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	return resp, string(text), err
}

// settle waits until the engine has nothing left to send.
func settle(t testing.TB, e *enginesim.Engine) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := e.Settle(ctx); err != nil {
		t.Fatal(err)
	}
}

// dial opens a connection to the engine that is closed with the test.
func dial(t testing.TB, e *enginesim.Engine) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", e.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}
