package main

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"syncgate/correlator"
)

func TestReachable(t *testing.T) {
	f := func(listen, want string) {
		t.Helper()
		if got := reachable(listen); got != want {
			t.Errorf("%s: %s, want %s", listen, got, want)
		}
	}
	f(":9090", "127.0.0.1:9090")
	f("0.0.0.0:9090", "127.0.0.1:9090")
	f("[::]:9090", "[::1]:9090")
	f("10.1.2.3:9090", "10.1.2.3:9090")
	f("localhost:9090", "localhost:9090")
	f("[fe80::1]:9090", "[fe80::1]:9090")
}

// TestRemovedKeysVerifyOn follows the token of a trip through two reloads, until no client can be waiting for it.
func TestRemovedKeysVerifyOn(t *testing.T) {
	const wait = time.Minute
	first, second, third := correlator.RandomKey(), correlator.RandomKey(), correlator.RandomKey()
	now := time.Unix(1_700_000_000, 0)
	k, err := newCallbackKeys([]string{first})
	if err != nil {
		t.Fatal(err)
	}
	token := func() []byte {
		return k.AppendToken(nil, correlator.Token{Trip: correlator.NewID(correlator.NewNodeID(), now)})
	}
	want := func(what string, token []byte, genuine bool) {
		t.Helper()
		if _, err := k.ParseToken(token); (err == nil) != genuine {
			t.Errorf("%s: %v", what, err)
		}
	}
	replace := func(keys ...string) {
		t.Helper()
		if err := k.replace(keys, now, wait); err != nil {
			t.Fatal(err)
		}
	}
	of1 := token()
	replace(second)
	of2 := token()
	want("removed", of1, true)
	want("new", of2, true)

	now = now.Add(wait / 2)
	replace(third, second)
	want("removed twice ago", of1, true)
	now = now.Add(wait / 2)
	k.expire(now)
	want("removed for as long as a client may wait", of1, false)
	want("still there", of2, true)

	replace()
	want("no keys change nothing", of2, true)
	if signed := token(); slices.Equal(signed, of2) {
		t.Error("tokens repeat")
	}
	now = now.Add(2 * wait)
	k.expire(now)
	want("listed second", of2, true)
}

func TestNoKeyMakesOne(t *testing.T) {
	a, err := newCallbackKeys(nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := newCallbackKeys(nil)
	if err != nil {
		t.Fatal(err)
	}
	token := a.AppendToken(nil, correlator.Token{Trip: correlator.NewID(correlator.NewNodeID(), time.Now())})
	if _, err := b.ParseToken(token); err == nil {
		t.Error("two processes made the same key")
	}
}

// FuzzCurlCommand runs the printed command in a real shell, against a real server: the body that arrives is the one given.
func FuzzCurlCommand(f *testing.F) {
	for _, body := range []string{"", "@file", "'", `\'"$HOME`, "-n", "%s%%", "\x00\xff\n", "a\nb\n", "!!", "\\", "\\101", "\r\t\x1b[0m", "é\u2028"} {
		f.Add([]byte(body))
	}
	f.Add(bytes.Repeat([]byte("x"), longestArgument+1))
	received := make(chan []byte, 1)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			f.Error(err)
		}
		received <- body
	}))
	f.Cleanup(server.Close)
	f.Fuzz(func(t *testing.T, body []byte) {
		shell := exec.Command("sh")
		shell.Stdin = strings.NewReader(curlCommand(server.URL+"/it's", body))
		if out, err := shell.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if got := <-received; !bytes.Equal(got, body) {
			t.Errorf("sent %q, received %q", body, got)
		}
	})
}
