//go:build unix

package main_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"syncgate/internal/redistest"
)

// listensOnlyWhenSeen: a hidden tab keeps no connection, and is live as soon as it is seen again.
func listensOnlyWhenSeen(t *testing.T, p *tab) {
	t.Helper()
	hide := func(hidden bool) {
		evaluate[any](p, fmt.Sprintf(`(() => { Object.defineProperty(document, "hidden", {value: %v, configurable: true}); document.dispatchEvent(new Event("visibilitychange")); })()`, hidden))
	}
	heard := func() int {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.heard
	}
	eventually(t, "the page listens", func() bool { return heard() > 0 })
	hide(true)
	before := heard()
	evaluate[any](p, `new Promise(resolve => setTimeout(resolve, 5000))`)
	if n := heard() - before; n > 2 { // a last status and summary may have been on their way
		t.Errorf("a hidden tab hears %d events", n)
	}
	hide(false)
	if banner := p.text("#banner"); banner != "" {
		t.Errorf("a tab that is seen again says %q", banner)
	}
	before = heard()
	eventually(t, "the page listens again", func() bool { return heard() > before })
}

// TestOperatorsPageInTrouble: the page says in words that the engine, or Redis, is away, that the node drains, and that it has gone: since when, and why. It goes on by
// itself when there is a node again.
func TestOperatorsPageInTrouble(t *testing.T) {
	e, r, at, config := simulate(t), redistest.Start(t), free(t, 1)[0], filepath.Join(t.TempDir(), "waiters.yaml")
	if err := os.WriteFile(config, fmt.Appendf(nil, waitersText, waiterHash), 0o600); err != nil {
		t.Fatal(err)
	}
	env := append(shared(e.URL(), r), "SYNCGATE_CONFIG="+config)
	g := serve(t, at, append(env, "SYNCGATE_DRAIN_DELAY=3s")...)
	p := openTab(t, g.admin)
	p.expect(func(entry string) bool {
		return strings.Contains(entry, "ERR_CONNECTION_REFUSED") || strings.Contains(entry, "ERR_INCOMPLETE") || strings.Contains(entry, "403")
	})
	p.shows("#states", "Node", "ready", "Redis", "up", "breaker closed")
	p.shows("#foot", "Read-only")
	listensOnlyWhenSeen(t, p)
	p.goTo("#/waiters")
	p.shows("main table", "local", "signed", "2000", "data.nonce", localNode)
	if text := p.text("main"); strings.Contains(text, waiterHash) {
		t.Error("the page shows the hash of a waiter, with which anybody can complete its tasks")
	}

	p.goTo("#/notifications")
	p.shows("main", "No route of this gateway pushes results")
	p.clean()

	e.Close()
	for range 6 {
		body, _ := task("x")
		_, _ = caller(t, at, 1).create(body)
	}
	p.shows("#states", "breaker open")
	p.shows("#announcement", "breaker open")
	r.Kill()
	p.shows("#states", "correlator unusable", "cannot be used")
	p.goTo("#/warnings")
	p.shows("main table", "error", "correlator: Redis cannot be used")
	p.goTo("#/")
	p.shows("main", "engine unreachable", "Engine corezoid", "breaker open")
	r.Restart()
	p.shows("#states", "ready", "up")

	g.signal(syscall.SIGTERM)
	p.shows("#states", "draining: takes no new requests")
	g.exits(0)
	p.shows("#live", "not live since")
	p.shows("#banner", "Not live since", "This gateway does not answer: no connection", "What you see is from then.", "Trying again.")
	p.shows("title", "not live")
	serve(t, at, append(env, "SYNCGATE_LISTEN_ADMIN="+g.admin, "SYNCGATE_ADMIN_ACTIONS=true")...)
	eventually(t, "the page is live again", func() bool { return p.text("#live") == "live" && p.text("#banner") == "" })
	p.shows("#foot", "Actions are on", "The gateway was started again.", "Reload this page")
	p.clean()

	p.send("Page.navigate", map[string]any{"url": "http://" + strings.Replace(g.admin, "127.0.0.1", "a-name.localhost", 1)}, nil) // which leads to this machine too
	p.shows("body", "Forbidden", "admin.hosts")
}
