package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/valyala/fasthttp"

	"syncgate/internal/httpfield"
	"syncgate/internal/redistest"
	"syncgate/notify"
	"syncgate/signer"
)

const webhookSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" //nolint:gosec // the example of Standard Webhooks

// eachStore runs a test for both stores.
func eachStore(t *testing.T, test func(t *testing.T, store notify.Store)) {
	t.Run("memory", func(t *testing.T) { test(t, notify.NewMemory(1000, 1<<20)) })
	t.Run("redis", func(t *testing.T) {
		client := goredis.NewClient(&goredis.Options{Network: "unix", Addr: redistest.Start(t).Addr(), Protocol: 2, DisableIdentity: true})
		t.Cleanup(func() { _ = client.Close() })
		test(t, notify.NewRedis(client, "syncgate", 1000))
	})
}

// operated is a Sender and what operators ask.
type operated struct {
	*notify.Sender

	t        *testing.T
	address  string
	receiver string
}

// operate starts a receiver that answers with status, a Sender over store, and a server with the admin listener's path of notifications.
func operate(t *testing.T, store notify.Store, status int) *operated {
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
	t.Cleanup(receiver.Close)
	cfg := notify.DefaultFile()
	cfg.AllowHTTP, cfg.AllowNetworks = true, []string{"127.0.0.0/8"}
	settings, err := cfg.Settings()
	if err != nil {
		t.Fatal(err)
	}
	sealer, err := signer.NewSealer([]string{"0123456789abcdef0123456789abcdef"})
	if err != nil {
		t.Fatal(err)
	}
	sender, err := notify.New(store, notify.Config{Settings: settings, Sealer: sealer, Poll: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sender.Close(context.Background()) })
	return &operated{sender, t, serveAdmin(t, notifyAdmin{store, sender.Retry}), receiver.URL}
}

// serveAdmin serves a path as the admin listener does, and gives its address.
func serveAdmin(t *testing.T, a notifyAdmin) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, req := new(fasthttp.RequestCtx), new(fasthttp.Request)
		req.Header.SetMethod(r.Method)
		req.SetRequestURI(r.RequestURI)
		ctx.Init(req, nil, nil)
		a.serve(ctx, strings.TrimPrefix(string(httpfield.RawPath(ctx.RequestURI())), notificationsPath))
		w.Header().Set("Allow", string(ctx.Response.Header.Peek("Allow")))
		w.WriteHeader(ctx.Response.StatusCode())
		_, _ = w.Write(ctx.Response.Body())
	}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

// send has a notification sent with a query, header and body that nobody may see, and waits for its first attempt.
func (o *operated) send(id string) {
	o.t.Helper()
	n := notify.Notification{
		ID: id, Subscription: "sub-" + id, URL: o.receiver + "/hook?token=hunter2", Body: []byte(`{"a":"hunter2"}`),
		Header: map[string]string{"X-Secret": "hunter2"}, Secrets: []signer.Secret{webhookSecret},
	}
	if err := o.Send(o.t.Context(), n); err != nil {
		o.t.Fatal(err)
	}
	for end := time.Now().Add(10 * time.Second); ; <-time.After(5 * time.Millisecond) {
		var e notify.Entry
		if _, body := o.ask("GET", "/"+id); json.Unmarshal([]byte(body), &e) == nil && e.Attempts > 0 && !e.Sending {
			return
		}
		if time.Now().After(end) {
			o.t.Fatalf("%s has no attempt", id)
		}
	}
}

func (o *operated) ask(method, path string) (status int, body string) {
	o.t.Helper()
	req, err := http.NewRequestWithContext(o.t.Context(), method, "http://"+o.address+notificationsPath+path, nil)
	if err != nil {
		o.t.Fatal(err)
	}
	r, err := http.DefaultClient.Do(req)
	if err != nil {
		o.t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		o.t.Fatal(err)
	}
	if strings.Contains(string(text), "hunter2") || strings.Contains(string(text), webhookSecret) {
		o.t.Errorf("%s %s shows what nobody may see: %s", method, path, text)
	}
	return r.StatusCode, string(text)
}

// run runs a command, and gives its exit status and what it printed.
func (o *operated) run(args ...string) (status int, out string) {
	var b bytes.Buffer
	p := &program{out: &b, err: &b}
	status = p.main(append(append([]string{"notify"}, args...), "--admin", o.address))
	if strings.Contains(b.String(), "hunter2") {
		o.t.Errorf("%v shows what nobody may see: %s", args, &b)
	}
	return status, b.String()
}

// list asks for a list, and gives it and its ids.
func (o *operated) list(query string) (l notificationList, ids string) {
	o.t.Helper()
	status, body := o.ask("GET", query)
	if status != 200 || json.Unmarshal([]byte(body), &l) != nil {
		o.t.Fatalf("%s: %d %s", query, status, body)
	}
	for _, e := range l.Notifications {
		ids += e.ID
	}
	return l, ids
}

// TestAdminListsNotifications: the list's parameters, its pages, and what it shows of each.
func TestAdminListsNotifications(t *testing.T) {
	eachStore(t, func(t *testing.T, store notify.Store) {
		o := operate(t, store, 500)
		if _, body := o.ask("GET", ""); !strings.Contains(body, `"notifications": []`) {
			t.Errorf("without any: %s", body)
		}
		o.send("a")
		o.send("b")
		o.send("c")
		all, _ := o.list("?state=open")
		e := all.Notifications[0]
		if e.URL != o.receiver+"/hook?…" || e.Attempts != 1 || e.Last.Status != 500 || e.Due.IsZero() || e.Size != 15 {
			t.Errorf("%+v", e)
		}
		first, ids := o.list("?limit=2")
		if ids != "ab" || first.After == "" {
			t.Errorf("%s %q", ids, first.After)
		}
		for query, want := range map[string]string{
			"": "abc", "?state=open": "abc", "?limit=2&after=" + first.After: "c", "?subscription=sub-b": "b", "?state=dead": "", "?state=gone": "", "?state=refused": "",
		} {
			if l, ids := o.list(query); ids != want || l.After != "" {
				t.Errorf("%s: %s, and more after %q", query, ids, l.After)
			}
		}
	})
}

// TestAdminRefusesParameters: what is wrong is said, and not shown.
func TestAdminRefusesParameters(t *testing.T) {
	o := operate(t, notify.NewMemory(1, 1), 200)
	for query, want := range map[string]string{
		"?state=x": "state must be one of", "?state=delivered": "ask for one by its id", "?limit=0": "limit must be", "?limit=1001": "limit must be", "?limit=x": "limit must be",
		"?after=hunter2": "after must be", "?hunter2=1": "a parameter that there is not",
	} {
		if status, body := o.ask("GET", query); status != 400 || !strings.Contains(body, want) {
			t.Errorf("%s: %d %s", query, status, body)
		}
	}
}

// TestAdminChangesNotifications: each is sent again, and dropped, and what cannot be is refused.
func TestAdminChangesNotifications(t *testing.T) {
	eachStore(t, func(t *testing.T, store notify.Store) {
		o := operate(t, store, 403)
		f := func(method, path string, status int, want string) {
			t.Helper()
			if got, body := o.ask(method, path); got != status || !strings.Contains(body, want) {
				t.Errorf("%s %s: %d %s, want %d %s", method, path, got, body, status, want)
			}
		}
		o.send("a")
		f("GET", "/a", 200, `"state": "refused"`)
		f("POST", "/a/retry", 200, `"id": "a"`)
		for end := time.Now().Add(10 * time.Second); ; <-time.After(5 * time.Millisecond) {
			if e, err := store.Show(t.Context(), "a"); err == nil && e.Attempts == 2 && e.State == notify.Refused {
				break
			} else if time.Now().After(end) {
				t.Fatalf("it is not sent again: %+v", e)
			}
		}
		f("DELETE", "/a", 204, "")
		f("GET", "/a", 404, "there is no such notification")
		f("DELETE", "/a", 404, "there is no such notification")
		f("POST", "/a/retry", 404, "there is no such notification")
		f("GET", "/"+strings.Repeat("a", 129), 404, "there is no such notification")
		f("POST", "", 405, "GET, HEAD would do")
		f("PUT", "/a", 405, "GET, HEAD, DELETE would do")
		f("DELETE", "/a/retry", 405, "POST would do")
		f("POST", "/a/again", 404, "are here")
		f("POST", "//retry", 404, "are here")
		delivered := operate(t, store, 200)
		delivered.send("d")
		f("GET", "/d", 200, `"state": "delivered"`)
		f("POST", "/d/retry", 409, "it was delivered")
	})
}

// TestNotifyCommand: what people see, and the exit status.
func TestNotifyCommand(t *testing.T) {
	eachStore(t, func(t *testing.T, store notify.Store) {
		o := operate(t, store, 503)
		f := func(status int, want string, args ...string) {
			t.Helper()
			if got, out := o.run(args...); got != status || !regexp.MustCompile(`(?m)`+want).MatchString(out) {
				t.Errorf("%v: %d\n%s\nwant %d %s", args, got, out, status, want)
			}
		}
		f(0, `^There are no notifications that are open\.$`, "list")
		o.send("first")
		o.send("second")
		host := regexp.QuoteMeta(strings.TrimPrefix(o.receiver, "http://"))
		f(0, `^ID +STATE +AGE +HOST +ATTEMPTS +LAST +NEXT\nfirst +open +\ds +`+host+` +1 +status \(503\) +(in \ds|now)\nsecond `, "list")
		f(0, `^There are more: --after \d+\.first$`, "list", "--limit", "1")
		f(0, `\nsecond `, "list", "--subscription=sub-second")
		f(0, `"id": "first",\n`, "list", "--json")
		f(0, `^There are no notifications that are dead\.$`, "--state", "dead", "list")
		f(0, `^subscription +sub-first\nreceiver +`+regexp.QuoteMeta(o.receiver)+`/hook\?…\nstate +open\ncreated +.*s ago\nbody +15 bytes\nattempts +1\nlast +status \(503\) at .*, after `, "show", "first")
		f(0, `^attempts +\d\n`, "retry", "first")
		f(0, `^It is dropped\.`, "drop", "first")
		f(1, `^syncgate notify: Not found: there is no such notification`, "show", "first")
		f(2, `say what to do: list, show, retry, drop`)
		f(2, `say what to do`, "forget", "x")
		f(2, `show which notification\? Name its id`, "show")
		f(2, `list takes no id`, "list", "x")
		f(2, `--limit is for list alone`, "show", "x", "--limit", "1")
		f(2, `--state must be open, refused, gone or dead`, "list", "--state", "delivered")
		f(2, `--limit must be from 1 to 1000`, "list", "--limit", "1001")
		f(1, `after must be what the list before has`, "list", "--after", "x")
	})
}

// TestNotifyCommandElsewhere asks a server that is no admin listener, and a node without notifications. Both answers are clear errors.
func TestNotifyCommandElsewhere(t *testing.T) {
	web := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(web.Close)
	for _, f := range []struct{ address, want string }{
		{strings.TrimPrefix(web.URL, "http://"), "does not say which notifications there are: is it the admin listener"},
		{serveAdmin(t, notifyAdmin{}), "no route of this gateway pushes results"},
		{"127.0.0.1:1", "connection refused"},
	} {
		var b bytes.Buffer
		p := &program{out: &b, err: &b}
		if status := p.main([]string{"notify", "list", "--admin", f.address}); status != 1 || !strings.Contains(b.String(), f.want) {
			t.Errorf("%s: %d %s, want %s", f.address, status, &b, f.want)
		}
	}
}

// TestAdminOfAStoreThatIsAway: an operator hears that, and no words of Redis.
func TestAdminOfAStoreThatIsAway(t *testing.T) {
	server := redistest.Start(t)
	client := goredis.NewClient(&goredis.Options{Network: "unix", Addr: server.Addr(), Protocol: 2, DisableIdentity: true, MaxRetries: -1})
	t.Cleanup(func() { _ = client.Close() })
	store := notify.NewRedis(client, "syncgate", 10)
	o := &operated{nil, t, serveAdmin(t, notifyAdmin{store, store.Retry}), ""}
	server.Kill()
	for method, path := range map[string]string{"GET": "/a", "POST": "/a/retry", "DELETE": "/a"} {
		if status, body := o.ask(method, path); status != 503 || !strings.HasPrefix(body, "Unavailable: the store of notifications does not answer") {
			t.Errorf("%s %s: %d %s", method, path, status, body)
		}
	}
}
