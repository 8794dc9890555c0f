package main_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"syncgate/internal/faultproxy"
	"syncgate/internal/redistest"
)

// TestRedisIsAwayForCompletions takes Redis away for three seconds: completions hear 503 and complete nothing, and when they are sent again each client has its result.
func TestRedisIsAwayForCompletions(t *testing.T) {
	r := redistest.StartTCP(t)
	between, err := faultproxy.Start("tcp", r.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(between.Close)
	p := startWaiters(t, r, "SYNCGATE_CORRELATOR_REDIS_URL=redis://"+between.Addr())
	var replies []<-chan answer
	for n := range crowdSize {
		body, _ := named(local, nonceOf(n))
		replies = append(replies, p.atHome.createLater(body))
	}
	bound(t, r, crowdSize*namesLocal)
	between.Down()
	away := time.NewTimer(3 * time.Second)
	at := []*client{p.atHome, p.atOther}
	refused := 0
	for waiting := true; waiting; {
		n := refused % crowdSize
		a := at[n%2].callNode(localNode, nonceOf(n), "lost")
		if a.status != 503 || a.header.Get("Retry-After") == "" || !strings.Contains(a.body, "Temporarily unavailable") {
			t.Fatalf("without Redis the sender hears %d %s", a.status, a.body)
		}
		refused++
		select {
		case <-away.C:
			waiting = false
		default:
		}
	}
	if err := between.Up(); err != nil {
		t.Fatal(err)
	}
	p.ready()
	for n, reply := range replies {
		nonce := nonceOf(n)
		if a := at[n%2].callNode(localNode, nonce, nonce); a.status != 200 {
			t.Errorf("%s: with Redis back the sender hears %d %s", nonce, a.status, a.body)
		}
		_, want := named(local, nonce)
		if a := <-reply; a.status != 200 || a.body != want(nonce) {
			t.Errorf("%s got %d %s", nonce, a.status, a.body)
		}
	}
	t.Logf("%d completions were refused", refused)
	p.home.stop()
	p.other.stop()
}

// TestRemovedHashAtEveryNode takes a hash away while a task waits: it completes nothing any more, at the nodes that have reloaded and at one that starts later.
func TestRemovedHashAtEveryNode(t *testing.T) {
	r := redistest.StartTCP(t)
	p := startWaiters(t, r)
	body, reply := named(local, "n")
	got := p.atHome.createLater(body)
	bound(t, r, namesLocal)
	config := strings.TrimPrefix(p.env[len(p.env)-2], "SYNCGATE_CONFIG=")
	if err := os.WriteFile(config, fmt.Appendf(nil, waitersText, otherHash), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, g := range []*gate{p.home, p.other} {
		g.signal(syscall.SIGHUP)
		g.logged(`"message":"configuration reloaded"`)
	}
	third := free(t, 1)[0]
	later := serve(t, third, p.env...)
	eventually(t, "the third node is ready", func() bool { return later.ready() == 200 })
	for _, c := range []*client{p.atHome, p.atOther, caller(t, third, 1)} {
		if a := c.callNode(localNode, "n", "removed"); a.status != 202 || a.body != "{}" {
			t.Errorf("a removed hash hears %d %s", a.status, a.body)
		}
		if a := c.callNode(strings.Repeat("e", 24), "n", "never"); a.status != 404 {
			t.Errorf("a hash that there never was hears %d %s", a.status, a.body)
		}
	}
	if len(got) > 0 {
		t.Errorf("a removed hash has completed a task: %s", (<-got).body)
	}
	if a := p.atOther.reach("POST", waiterPath+localNode+"/"+otherHash, `{"nonce":"n","result":"new"}`); a.status != 200 {
		t.Errorf("the new hash hears %d %s", a.status, a.body)
	}
	if a := <-got; a.body != reply("new") {
		t.Errorf("the client has %s", a.body)
	}
	later.stop()
	p.home.stop()
	p.end()
}

// forger sends forged requests over one connection, a hundred at a time.
type forger struct {
	t      *testing.T
	conn   net.Conn
	in     *bufio.Reader
	serial int
}

// forge sends n requests, and wants that each is refused.
func (f *forger) forge(n int) {
	f.t.Helper()
	const batch = 100
	for range n / batch {
		var out, want strings.Builder
		for range batch {
			f.serial++
			out.WriteString(forged(f.serial))
			want.WriteString([]string{"404", "404", "404", "401"}[f.serial%4] + " ")
		}
		_, err := f.conn.Write([]byte(out.String()))
		if err = errors.Join(err, f.conn.SetDeadline(time.Now().Add(patience))); err != nil {
			f.t.Fatal(err)
		}
		if got := statuses(f.t, f.in, batch); got != want.String() {
			f.t.Fatalf("the answers are %s; want %s", got, want.String())
		}
	}
}

// TestForgedURLsAreLookedUpNowhere sends requests to forged personal URLs, and requests with a wrong signature to a good one. They cause no command of Redis,
// and no memory of the node stays in use.
func TestForgedURLsAreLookedUpNowhere(t *testing.T) {
	const forgeries = 100_000 // by hand it was a million
	r := redistest.StartTCP(t)
	p := startWaiters(t, r)
	conn, err := net.Dial("tcp", p.home.public)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	f := &forger{t: t, conn: conn, in: bufio.NewReader(conn)}
	f.forge(2000) // so that buffers have their size
	// Resident memory has the race detector's own, so the heap is looked at.
	heap := func() float64 { return p.home.metric("go_memstats_heap_alloc_bytes") / (1 << 20) }
	before, commands, began := heap(), commandsOf(r), time.Now()
	f.forge(forgeries)
	took := time.Since(began)
	if n := commandsOf(r) - commands; n > 100+40*int(took.Seconds()) { // probes, and readings of inboxes of two nodes
		t.Errorf("%d commands of Redis in %v beside %d forged requests", n, took, forgeries)
	}
	eventually(t, fmt.Sprintf("the heap of the node is as before, %.0f MiB, and 12 MiB more at most", before), func() bool { return heap() < before+12 })
	t.Logf("%d forged requests in %v, %d commands of Redis, a heap of %.0f MiB and then %.0f MiB", forgeries, took, commandsOf(r)-commands, before, heap())
	if strings.Contains(p.home.log.String(), "request refused") {
		t.Error("forged requests are in the log")
	}
	p.home.stop()
	p.end()
}

// forged gives a request that nobody may send.
func forged(n int) string {
	path := waiterPath + localNode + "/" + fmt.Sprintf("%040x", n)
	switch n % 4 {
	case 1:
		path = waiterPath + fmt.Sprintf("%024x", n) + "/" + waiterHash
	case 2:
		path = waiterPath + fmt.Sprintf("%024x/%040x", n, n)
	case 3:
		path = waiterPath + signedNode + "/" + waiterHash
	}
	body := fmt.Sprintf(`{"nonce":"n%d"}`, n)
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nX-Hub-Signature-256: sha256=%064x\r\nContent-Length: %d\r\n\r\n%s", path, n, len(body), body)
}

// statuses reads answers, and gives their statuses, each with a blank.
func statuses(t *testing.T, in *bufio.Reader, n int) string {
	t.Helper()
	var all strings.Builder
	for range n {
		r, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.Copy(io.Discard, r.Body)
		if err = errors.Join(err, r.Body.Close()); err != nil {
			t.Fatal(err)
		}
		all.WriteString(strconv.Itoa(r.StatusCode) + " ")
	}
	return all.String()
}

var calls = regexp.MustCompile(`:calls=(\d+)`)

// commandsOf counts the commands that a redis-server has had.
func commandsOf(r *redistest.Server) (n int) {
	for _, m := range calls.FindAllStringSubmatch(r.Do("INFO", "commandstats"), -1) {
		one, _ := strconv.Atoi(m[1])
		n += one
	}
	return n
}
