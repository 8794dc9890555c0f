package waiter_test

import (
	"strings"
	"testing"
	"time"

	"syncgate/dialect/waiter"
	"syncgate/internal/webhook"
	"syncgate/signer"
)

func TestValidate(t *testing.T) {
	f := func(want string, all ...waiter.Config) {
		t.Helper()
		err := waiter.Validate(all)
		switch {
		case want == "" && err != nil:
			t.Errorf("%v", err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%v; want %q in it", err, want)
		case err != nil && strings.Contains(err.Error(), hash):
			t.Errorf("%v: it shows a hash", err)
		}
	}
	with := func(change func(*waiter.Config)) waiter.Config { return called(change) }
	other := func(change func(*waiter.Config)) waiter.Config {
		return called(func(c *waiter.Config) { c.Name = "other"; change(c) })
	}
	nothing := func(*waiter.Config) {}

	f("", with(nothing), other(nothing))
	f("waiters[0].name: must be set", with(func(c *waiter.Config) { c.Name = "" }))
	f("waiters[1].name: is that of waiters[0]", with(nothing), with(nothing))
	f("waiters[0].name: must have at most 100 bytes", with(func(c *waiter.Config) { c.Name = strings.Repeat("n", 101) }))
	f("waiters[0].conv_id: must be set", with(func(c *waiter.Config) { c.ConvID = "" }))
	f("waiters[0].node: must be 24 hexadecimal digits", with(func(c *waiter.Config) { c.Node = "abc" }))
	f("", with(func(c *waiter.Config) { c.Node = "0123456789abcdefABCDEF00" }))
	f("waiters[0].hashes[1]: must be 40 hexadecimal digits", with(func(c *waiter.Config) { c.Hashes = append(c.Hashes, "xyz") }))
	f("waiters[0].hashes[1]: is there already", with(func(c *waiter.Config) { c.Hashes = append(c.Hashes, signer.Secret(strings.ToUpper(hash))) }))
	f("waiters[0].retired_hashes[0]: must be 40", with(func(c *waiter.Config) { c.RetiredHashes = []signer.Secret{"1"} }))
	f("waiters[0].retired_hashes[0]: is one of hashes", with(func(c *waiter.Config) { c.RetiredHashes = []signer.Secret{hash} }))
	f("waiters[1].hashes[0]: is one of waiters[0]", with(func(c *waiter.Config) { c.Node = strings.Repeat("a", 24) }), other(func(c *waiter.Config) { c.Node = strings.Repeat("A", 24) }))
	f("waiters[0].timer: must be set to at least 30s", with(func(c *waiter.Config) { c.Timer = 0 }))
	f("waiters[0].timer: must be set to at least 30s", with(func(c *waiter.Config) { c.Timer = 29 * time.Second }))
	f("", with(func(c *waiter.Config) { c.Timer = 30 * time.Second }))
	f("waiters[0].early: ", with(func(c *waiter.Config) { c.Early = -1 }))
	f("waiters[0].early: ", with(func(c *waiter.Config) { c.Early = time.Hour }))
	f("waiters[0].engine: must be one of: forward, none", with(func(c *waiter.Config) { c.Engine = "maybe" }))
	f("waiters[1].engine: must be that of waiters[0]", with(nothing), other(func(c *waiter.Config) { c.Engine = waiter.EngineForward }))
	f("", with(nothing), other(func(c *waiter.Config) { c.Engine, c.ConvID = waiter.EngineForward, "5" }))
	f("waiters[0].key: must not be task_id with engine none", with(func(c *waiter.Config) { c.Key = waiter.KeyTask }))
	f("", with(func(c *waiter.Config) { c.Key, c.Engine = waiter.KeyTask, waiter.EngineForward }))
	f("waiters[0].key: must be ref, task_id, or data.MEMBER", with(func(c *waiter.Config) { c.Key = "order" }))
	f("waiters[0].key: must be ref, task_id, or data.MEMBER", with(func(c *waiter.Config) { c.Key = "data." }))
	f("waiters[0].key: ", with(func(c *waiter.Config) { c.Key = "data.a..b" }))
	f("waiters[0].path: must be set where there are hashes", with(func(c *waiter.Config) { c.Path = "" }))
	f("waiters[0].path: ", with(func(c *waiter.Config) { c.Path = "a..b" }))
	f("waiters[0].events: ", with(func(c *waiter.Config) { c.Events = "a..b" }))
	f("waiters[0].body: ", with(func(c *waiter.Config) { c.Body = "yaml" }))
	f("waiters[0].verify.secret: ", with(func(c *waiter.Config) { c.Verify = webhook.Verify{Preset: "github"} }))
	f("", with(func(c *waiter.Config) { c.Hashes, c.Path = nil, "" }))
	f("waiters: there are 1001", make([]waiter.Config, 1001)...)

	err := waiter.Validate([]waiter.Config{with(func(c *waiter.Config) { c.Timer, c.ConvID, c.Key = 0, "", "" })})
	if err == nil || strings.Count(err.Error(), "\n") != 2 {
		t.Errorf("%v; want three problems", err)
	}
}

func TestWhoMayModify(t *testing.T) {
	f := func(want bool, login string, all ...waiter.Config) {
		t.Helper()
		if got := newBench(t, all...).process().MayModify(login); got != want {
			t.Errorf("%s may modify: %v", login, got)
		}
	}
	listed := config(func(c *waiter.Config) { c.Logins = []string{"1", "2"} })
	f(true, "9", config(nil))
	f(true, "2", listed)
	f(false, "9", listed)
	f(true, "9", listed, config(func(c *waiter.Config) { c.Name = "open" }))
}

func TestAProcessTakesTheLongestTimerOfItsWaiters(t *testing.T) {
	p := newBench(t, config(none), config(func(c *waiter.Config) { none(c); c.Name, c.Timer, c.Key = "long", time.Hour, "data.no" })).process()
	if p.Timer() != time.Hour || !p.Local() {
		t.Errorf("%v, local: %v", p.Timer(), p.Local())
	}
}

func TestURL(t *testing.T) {
	c := called(nil)
	const url = "https://sync.example/x/api/1/json/callback/bb6c14c113c3db36afb3f68c/" + hash
	if got := c.URL("https://sync.example/x/"); len(got) != len(url) || !strings.HasPrefix(got, "https://sync.example/x/api/1/json/callback/") || !strings.HasSuffix(got, "/"+hash) {
		t.Error(got)
	}
	masked := c.MaskedURL("https://sync.example")
	if strings.Contains(masked, hash[:8]) || !strings.HasSuffix(masked, "/***") {
		t.Error(masked)
	}
	c.Node = strings.Repeat("A", 24)
	if got := c.URL(""); got != "/api/1/json/callback/"+strings.Repeat("a", 24)+"/"+hash {
		t.Error(got)
	}
}
