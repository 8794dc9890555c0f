//go:build unix

package main_test

import (
	"fmt"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"syncgate/internal/enginesim"
	"syncgate/signer"
)

// pageCrowd are clients that wait for tasks without a result: their connections.
type pageCrowd struct {
	mu    sync.Mutex
	conns []net.Conn // guarded by mu
}

// newPageCrowd has so many clients send a request each. They read no answer.
func newPageCrowd(t *testing.T, g *gate, n int) *pageCrowd {
	t.Helper()
	const body = `{"timeout":120,"ops":[{"type":"create","obj":"task","conv_id":1201,"ref":"order","data":{}}]}`
	now := strconv.FormatInt(time.Now().Unix(), 10)
	path := "/api/1/json/" + login + "/" + now + "/" + string(signer.AppendSignature(nil, []byte(now), []byte(secret), []byte(body)))
	c := new(pageCrowd)
	t.Cleanup(c.leave)
	var next atomic.Int64
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for i := next.Add(1); i <= int64(n); i = next.Add(1) {
				conn, err := net.Dial("tcp", g.public)
				if err != nil {
					t.Error(err)
					return
				}
				c.mu.Lock()
				c.conns = append(c.conns, conn)
				c.mu.Unlock()
				fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nX-Request-Id: crowd-%05d\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", path, i, len(body), body)
			}
		})
	}
	all.Wait()
	eventually(t, fmt.Sprintf("%d clients wait", n), func() bool { return g.metric("syncgate_parked_clients") == float64(n) })
	return c
}

func (c *pageCrowd) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.conns {
		_ = conn.Close()
	}
	c.conns = nil
}

// TestOperatorsPageOfManyTrips: with 10,000 trips in flight the page has as many rows as it has with 100, leaves rows alone that are the same, and answers at once. The
// gateway answers at once too. A node that does not allow actions has no buttons for them.
func TestOperatorsPageOfManyTrips(t *testing.T) {
	const many = 10_000
	e := simulate(t, func(c *enginesim.Config) { c.Behaviour.Callback = enginesim.CallbackNever })
	g := serve(t, free(t, 1)[0], "SYNCGATE_ENGINE_URL="+e.URL())
	p := openTab(t, g.admin)
	c := newPageCrowd(t, g, many)
	p.shows("main", "10,000 trips in flight", "and 9,900 more")
	p.shows("title", "(10,000)")
	wantCalm(t, p)

	began := time.Now()
	if a, err := caller(t, g.public, 1).create(`{"timeout":20,"ops":[{"type":"create","obj":"task","conv_id":1,"data":{"__sim":{"callback":"after","delay_ms":1}}}]}`); err != nil || a.status != 200 || time.Since(began) > 2*time.Second {
		t.Errorf("beside them a trip took %v: %d %v", time.Since(began), a.status, err)
	}
	began = time.Now()
	p.goTo("#/trips?state=in_flight")
	p.shows("main", "10,000 trips, the oldest first", "and 9,900 more")
	p.click("main tbody th a")
	p.shows(".timeline", "Waits for the callback")
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("a list and a trip took %v", took)
	}
	p.shows(".actions", "Read-only", "admin.actions: true")
	if button := p.text(".trip .danger"); button != "" {
		t.Errorf("a node that does not allow actions has a button %q", button)
	}
	c.leave()
	p.goTo("#/")
	p.shows("main", "Nothing is in flight", " hung up")
	p.clean()
}

// wantCalm watches a page for three seconds.
func wantCalm(t *testing.T, p *tab) {
	t.Helper()
	if rows := evaluate[int](p, `document.querySelectorAll("main tr").length`); rows < 100 || rows > 200 {
		t.Errorf("the page has %d rows", rows)
	}
	seen := evaluate[struct{ Rows, Links, Ages, Slowest float64 }](p, `new Promise(resolve => {
		const seen = {rows: 0, links: 0, ages: 0, slowest: 0}, body = [...document.querySelectorAll("tbody")].find(b => b.rows.length === 100);
		const watcher = new MutationObserver(records => {
			for (const {type, target} of records) {
				if (target === body) seen.rows++;
				else if (target.closest?.("th")) seen.links++;
				else seen.ages++;
			}
		});
		watcher.observe(body, {childList: true, subtree: true, characterData: true});
		let last = performance.now();
		const ticks = setInterval(() => {
			const now = performance.now();
			seen.slowest = Math.max(seen.slowest, now - last);
			last = now;
		}, 20);
		setTimeout(() => {
			clearInterval(ticks);
			watcher.disconnect();
			resolve(seen);
		}, 4000);
	})`)
	if seen.Rows != 0 || seen.Links != 0 || seen.Ages == 0 {
		t.Errorf("of rows that are the same, the page has drawn anew %v rows and %v links, and %v ages", seen.Rows, seen.Links, seen.Ages)
	}
	if seen.Slowest > 500 {
		t.Errorf("the page has not answered for %v ms", seen.Slowest)
	}
}

// TestImagesOfThePage: docs/page.md shows every picture of the page in docs/images, and each is small.
func TestImagesOfThePage(t *testing.T) {
	text, err := os.ReadFile("../../docs/page.md")
	if err != nil {
		t.Fatal(err)
	}
	there, err := os.ReadDir("../../docs/images")
	if err != nil {
		t.Fatal(err)
	}
	shown := regexp.MustCompile(`\]\(images/([\w-]+\.png)\)`).FindAllStringSubmatch(string(text), -1)
	for _, m := range shown {
		if info, err := os.Stat("../../docs/images/" + m[1]); err != nil || info.Size() > 150_000 {
			t.Errorf("%s is not there, or large: %v", m[1], err)
		}
	}
	for _, picture := range there {
		if strings.HasPrefix(picture.Name(), "page-") && !strings.Contains(string(text), "(images/"+picture.Name()+")") {
			t.Errorf("docs/page.md does not show %s", picture.Name())
		}
	}
}
