package main

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// fakeAdmin is an admin listener that answers what a test says, over HTTP.
type fakeAdmin struct {
	address string

	mu      sync.Mutex
	answers map[string]func(w http.ResponseWriter, r *http.Request) // by method and path
	asked   []string
}

func newFakeAdmin(t *testing.T) *fakeAdmin {
	a := &fakeAdmin{answers: make(map[string]func(http.ResponseWriter, *http.Request))}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		a.asked = append(a.asked, r.Method+" "+r.RequestURI)
		answer := a.answers[r.Method+" "+r.URL.EscapedPath()]
		a.mu.Unlock()
		if answer == nil {
			http.NotFound(w, r)
			return
		}
		answer(w, r)
	}))
	t.Cleanup(server.Close)
	a.address = strings.TrimPrefix(server.URL, "http://")
	return a
}

// says has a path answer.
func (a *fakeAdmin) says(path string, status int, media, body string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answers[path] = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", media)
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

// last gives what was asked last.
func (a *fakeAdmin) last() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.asked) == 0 {
		return ""
	}
	return a.asked[len(a.asked)-1]
}

// runs runs a command, and gives its exit status and what it has printed.
func runs(args ...string) (status int, out, errs string) {
	var stdout, stderr bytes.Buffer
	p := &program{in: strings.NewReader(""), out: &stdout, err: &stderr}
	status = p.main(args)
	return status, stdout.String(), stderr.String()
}

// wants runs a command against the listener.
func (a *fakeAdmin) wants(t *testing.T, status int, out, errs string, args ...string) {
	t.Helper()
	gotStatus, gotOut, gotErrs := runs(append(args, "--admin", a.address)...)
	if gotStatus != status || gotOut != out || gotErrs != strings.ReplaceAll(errs, "ADMIN", a.address) {
		t.Errorf("%q: status %d, want %d\n%s\nwant\n%s\nerrors %s\nwant %s", args, gotStatus, status, gotOut, out, gotErrs, errs)
	}
}

const (
	textMedia = "text/plain; charset=utf-8"
	jsonMedia = "application/json"
)

func TestTripsAreListed(t *testing.T) {
	a := newFakeAdmin(t)
	accepted := time.Now().Add(-90 * time.Second).UTC()
	one := func(trip, route, state, more string) string {
		return fmt.Sprintf(`{"trip":%q,"request_id":"r","route":%q,"login":"web","state":%q,"accepted":%q,"callbacks":0%s}`, trip, route, state, accepted.Format(time.RFC3339Nano), more)
	}
	flight := `{"node":"n","trips":[` + one("x7Kd90aB", "corezoid", "waiting", `,"ops":[{"op":0,"state":"open"},{"op":1,"ref":"order/7","state":"open"}],"op_count":3`) + "," +
		one("", "transfer", "queued", `,"ops":[{"op":0,"ref":"a\u001b[2Jb","state":"open"}],"op_count":1`) + `],"total":2,"more":false}`
	a.says("GET /api/trips", 200, jsonMedia, flight)
	a.wants(t, exitOK, strings.Join([]string{
		`TRIP      AGE  ROUTE     LOGIN  STATE    REF`,
		`x7Kd90aB  1m   corezoid  web    waiting  order/7 and 2 more ops`,
		`-         1m   transfer  web    queued   a\u001b[2Jb`, "",
	}, "\n"), "", "trips")
	if got := a.last(); got != "GET /api/trips?limit=100&state=in_flight" {
		t.Error(got)
	}
	a.wants(t, exitOK, flight, "", "trips", "--json")

	replied := `,"replied":"` + accepted.Add(2345*time.Millisecond).Format(time.RFC3339Nano) + `","outcome":"timeout","ops":[],"op_count":0`
	over := `{"node":"n","trips":[` + one("x7Kd90aB", "corezoid", "over", replied) + `],"total":1234,"more":true}`
	a.says("GET /api/trips", 200, jsonMedia, over)
	a.wants(t, exitOK, strings.Join([]string{
		`TRIP      TOOK  ROUTE     LOGIN  OUTCOME  REF`,
		`x7Kd90aB  2.3s  corezoid  web    timeout  -`,
		`These are 1 of 1234: --limit shows more, at most 1000.`, "",
	}, "\n"), "", "trips", "--outcome", "timeout", "--route", "a b", "--login", "w&b", "--older", "1500ms", "--limit", "1")
	if got := a.last(); got != "GET /api/trips?limit=1&login=w%26b&older_ms=1500&outcome=timeout&route=a+b&state=over" {
		t.Error(got)
	}
	a.says("GET /api/trips", 200, jsonMedia, `{"trips":[]}`)
	a.wants(t, exitOK, "There are no requests that are in flight and match.\n", "", "trips")
}

func TestTripsRefusals(t *testing.T) {
	a := newFakeAdmin(t)
	const other = "syncgate trips: ADMIN does not say which requests there are: is it the admin listener of a gateway of this version?\n"
	a.wants(t, exitFailed, "", other, "trips") // 404 page not found, and a newline
	a.says("GET /api/trips", 400, textMedia, "Incorrect request: state must be one of a, b")
	a.wants(t, exitFailed, "", "syncgate trips: Incorrect request: state must be one of a, b\n", "trips")
	for _, text := range []string{"Incorrect\x1b[2J", "Incorrect\u009b2J", "Incorrect\b", "Incorrect\xff", "Incorrect " + strings.Repeat("x", mostRefusal)} {
		a.says("GET /api/trips", 400, textMedia, text)
		a.wants(t, exitFailed, "", other, "trips")
	}
	a.says("GET /api/trips", 200, jsonMedia, `{"ops":[]}`)
	a.wants(t, exitFailed, "", other, "trips")
	a.says("GET /api/trips", 200, "text/html", `<html>`)
	a.wants(t, exitFailed, "", other, "trips")
	asked := len(a.asked)
	f := func(want string, args ...string) {
		t.Helper()
		a.wants(t, exitUsage, "", "syncgate trips: "+want+"\n", append([]string{"trips"}, args...)...)
	}
	f("--state must be in_flight, queued, waiting, over", "--state", "parked")
	f("--outcome is how a request ended: only those of --state over have one", "--state", "waiting", "--outcome", "timeout")
	f("--older must not be less than 0: write 500ms, 30s, 5m", "--older", "-1s")
	f("--limit must be from 1 to 1000", "--limit", "1001")
	f(`unexpected argument "x"; syncgate trips --help explains`, "x")
	if len(a.asked) != asked {
		t.Errorf("%q was asked", a.asked[asked:])
	}
}

// TestAskingWithoutAFile: a --config= without a file comes of a variable of the shell that is not set.
func TestAskingWithoutAFile(t *testing.T) {
	for _, args := range [][]string{{"trips"}, {"trip", "x"}, {"top"}, {"notify", "list"}, {"waiters"}} {
		status, _, errs := runs(append(args, "--config=")...)
		if status != exitUsage || !strings.Contains(errs, "--config names no file") {
			t.Errorf("%q: status %d %s", args, status, errs)
		}
	}
}

func TestTripSaysWhatIsNext(t *testing.T) {
	a := newFakeAdmin(t)
	accepted := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	trip := `{"node":"n","remembered":10,"trips":[{"trip":"x7Kd90aB","request_id":"mine","route":"transfer","engine":"flow","login":"web","state":"over","outcome":"timeout","status":504,` +
		`"accepted":"` + accepted.Format(time.RFC3339Nano) + `","replied":"` + accepted.Add(time.Second).Format(time.RFC3339Nano) + `","callbacks":0,"ops":[],"op_count":1,"next":["Look here.","Then there."]}]}`
	shown := strings.Join([]string{
		`trip x7Kd90aB  request mine  login web  route transfer  engine flow`,
		`  and 1 more op`,
		`  accepted         2026-01-02 03:04:05.000 UTC`,
		`  replied          03:04:06.000  +1s 504 timeout`,
		`  check: Look here.`,
		`  check: Then there.`, "",
	}, "\n")
	a.says("GET /api/trips/a%2Fb", 200, jsonMedia, trip)
	a.wants(t, exitOK, shown, "", "trip", "a/b")
	a.says("POST /api/trips/a%2Fb/cancel", 200, jsonMedia, trip)
	a.wants(t, exitOK, shown, "", "trip", "a/b", "--cancel")
	a.wants(t, exitOK, trip, "", "trip", "--cancel", "a/b", "--json")
	a.says("GET /api/trips/e", 200, jsonMedia, strings.NewReplacer("mine", `mi\u001b[2Jne`, "Look here.", `Look\u009b2J.`).Replace(trip)) // for a terminal to obey
	a.wants(t, exitOK, strings.NewReplacer("mine", `mi\u001b[2Jne`, "Look here.", `Look\u009b2J.`).Replace(shown), "", "trip", "e")
	a.says("POST /api/trips/a%2Fb/cancel", 409, textMedia, "Conflict: it is over")
	a.wants(t, exitFailed, "", "syncgate trip: Conflict: it is over\n", "trip", "a/b", "--cancel")
	a.wants(t, exitFailed, "", "syncgate trip: ADMIN does not say where a trip is: is it the admin listener of a gateway of this version?\n", "trip", "c", "--cancel")
	a.says("GET /api/trips/c", 404, jsonMedia, `{"node":"n","remembered":10,"trips":[]}`)
	a.wants(t, exitFailed, "", "syncgate trip: this gateway knows no such trip: a request that was refused before its login was proved is only in the log, and each node knows its own requests\n", "trip", "c")
}

// TestNotificationsForATerminal: a receiver's host and an attempt's error are words of others.
func TestNotificationsForATerminal(t *testing.T) {
	a := newFakeAdmin(t)
	one := `{"id":"msg_1","state":"open","url":"https://x\u009b2J/","attempts":1,"last":{"at":"2026-01-02T03:04:05Z","outcome":"un\u001b[2Jreachable","error":"no\u001b[2J"}}`
	a.says("GET /api/notifications", 200, jsonMedia, `{"notifications":[`+one+`]}`)
	a.says("GET /api/notifications/msg_1", 200, jsonMedia, one)
	a.says("POST /api/notifications/msg_1/retry", 200, jsonMedia, one)
	for _, args := range [][]string{{"notify", "list"}, {"notify", "show", "msg_1"}, {"notify", "retry", "msg_1"}} {
		status, out, errs := runs(append(args, "--admin", a.address)...)
		if status != exitOK || !strings.Contains(out, `un\u001b[2Jreachable`) || strings.ContainsAny(out, "\x1b\u009b") {
			t.Errorf("%q: status %d %q %s", args, status, out, errs)
		}
	}
	a.says("GET /api/notifications", 503, textMedia, "Unavailable\x1b[2J")
	a.wants(t, exitFailed, "", "syncgate notify: ADMIN does not say which notifications there are: is it the admin listener of a gateway of this version?\n", "notify", "list")
	a.says("DELETE /api/notifications/msg_1", 200, "text/html", "<html>")
	a.wants(t, exitFailed, "", "syncgate notify: ADMIN does not say which notifications there are: is it the admin listener of a gateway of this version?\n", "notify", "drop", "msg_1")
}

func TestLiveWaiters(t *testing.T) {
	a := newFakeAdmin(t)
	a.wants(t, exitFailed, "", "syncgate waiters: ADMIN does not say what waiters it has: is it the admin listener of a gateway of this version?\n", "waiters")
	a.says("GET /api/waiters", 200, jsonMedia, `{"waiters":[]}`)
	a.wants(t, exitOK, "This gateway has no waiters.\n", "", "waiters")
	a.says("GET /api/waiters", 200, jsonMedia, `{"waiters":[{"name":"pay","process":"7","key":"ref","url":"https://x/***"},{"name":"b","process":"8","key":"ref","url":""},{"name":"c","process":"9","key":"ref","url":"\u001b[2J"}]}`)
	a.wants(t, exitOK, "NAME  PROCESS  KEY  URL\npay   7        ref  https://x/***\nb     8        ref  none: it has no hashes\nc     9        ref  \\u001b[2J\n", "", "waiters", "--live")
}
