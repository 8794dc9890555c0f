package corezoid_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"syncgate/correlator"
	"syncgate/dialect"
	"syncgate/dialect/corezoid"
	"syncgate/internal/wiretest"
	"syncgate/signer"
)

const (
	login       = "12345"
	secret      = "mysecret"
	callbackURL = "https://sync.example.com/api/1/plugins/callback/"
)

var now = time.Unix(1700000000, 0)

func config() corezoid.Config {
	cfg := corezoid.Default()
	cfg.EngineURL = "https://engine.example.com"
	cfg.CallbackURL = callbackURL
	return cfg
}

func access(t testing.TB, credentials ...signer.Credential) corezoid.Access {
	t.Helper()
	keys, err := signer.NewKeyring(append([]signer.Credential{{Login: login, Secret: secret}}, credentials...))
	if err != nil {
		t.Fatal(err)
	}
	return corezoid.Access{Keys: keys, Window: 300 * time.Second, MaxOps: 5}
}

func newDialect(t testing.TB, change ...func(*corezoid.Config)) *corezoid.Dialect {
	t.Helper()
	cfg := config()
	for _, f := range change {
		f(&cfg)
	}
	d, err := corezoid.New(cfg, access(t))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// path signs body.
func path(login, stamp, secret, body string) string {
	return "/api/2/json/" + login + "/" + stamp + "/" + string(signer.AppendSignature(nil, []byte(stamp), []byte(secret), []byte(body)))
}

// accept signs a body and lets d read it.
func accept(t testing.TB, d *corezoid.Dialect, body string, header ...string) (*dialect.Call, error) {
	t.Helper()
	return d.Accept(wiretest.Received(t, "POST", path(login, "1700000000", secret, body), body, header...), dialect.Route{}, now)
}

func mustAccept(t testing.TB, d *corezoid.Dialect, body string, header ...string) *dialect.Call {
	t.Helper()
	c, err := accept(t, d, body, header...)
	if err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	return c
}

// tokens are as long as real ones, each of one letter.
func tokens(c *dialect.Call) (all []string) {
	for i := range c.Slots {
		all = append(all, strings.Repeat(string(rune('A'+i)), correlator.TokenLen))
	}
	return all
}

// forwarded is the package for the engine, tokens written as <0>, <1>, …, and the ids that ops got as <id 0>, <id 1>, …
func forwarded(t testing.TB, d *corezoid.Dialect, c *dialect.Call) string {
	t.Helper()
	var req fasthttp.Request
	if err := d.Encode(&req, c, tokens(c), now); err != nil {
		t.Fatal(err)
	}
	body := string(req.Body())
	for i, token := range tokens(c) {
		body = strings.ReplaceAll(body, callbackURL+token, fmt.Sprintf("<%d>", i))
	}
	return named(c).Replace(body)
}

// named writes the ids that the ops of a call got as <id 0>, <id 1>, …
func named(c *dialect.Call) *strings.Replacer { return strings.NewReplacer(pairs(c, false)...) }

// ided puts those ids where <id 0>, <id 1>, … are written.
func ided(c *dialect.Call) *strings.Replacer { return strings.NewReplacer(pairs(c, true)...) }

func pairs(c *dialect.Call, back bool) (all []string) {
	for i, op := range c.Ops {
		if pair := []string{op.Match, fmt.Sprintf("<id %d>", i)}; op.Added {
			if back {
				slices.Reverse(pair)
			}
			all = append(all, pair...)
		}
	}
	return all
}

func answer(d *corezoid.Dialect, c *dialect.Call, r *dialect.Reply) (status int, body string) {
	var dst fasthttp.Response
	d.Answer(&dst, c, r)
	return dst.StatusCode(), string(dst.Body())
}

// none are the finals of a call of which nothing is known.
func none(c *dialect.Call) []correlator.Callback {
	finals := make([]correlator.Callback, len(c.Ops))
	for i := range finals {
		finals[i].Op = i
	}
	return finals
}

func wantFault(t testing.TB, err error, status int, text string) {
	t.Helper()
	f, ok := err.(*dialect.Fault) //nolint:errorlint // the contract is the type itself
	if !ok || f.Status != status || f.Text != text {
		t.Errorf("got %v\nwant %d %s", err, status, text)
	}
}

func TestRoute(t *testing.T) {
	d := newDialect(t)
	f := func(path string, want bool) {
		t.Helper()
		if got, _ := d.Route([]byte(path)); (got.Kind == dialect.Create) != want {
			t.Errorf("Route(%q) = %v", path, got)
		}
	}
	f("/api/1/json/12345/1700000000/abc", true)
	f("/api/2/json/12345/1700000000/abc", true)
	f("/api/2/json/12345/1700000000.5/", true) // an empty signature is a wrong one
	f("/api/2/json///", true)
	f("/api/3/json/12345/1700000000/abc", false)
	f("/api/12/json/12345/1700000000/abc", false)
	f("/api/2/xml/12345/1700000000/abc", false)
	f("/api/2/JSON/12345/1700000000/abc", false)
	f("/api/2/json/12345/1700000000", false)
	f("/api/2/json/12345/1700000000/abc/", false)
	f("/api/2/json/12345/1700000000/abc/d", false)
	f("//api/2/json/12345/1700000000/abc", false)
	f("/api/./2/json/12345/1700000000/abc", false)
	f("/x/api/2/json/12345/1700000000/abc", false)
	f("/api/2/json/public/1/2/abc", false)
	f("/api/1/plugins/callback/abc", false)
	f("/api/1/tasks/abc", false)
	f("/api/2/json/", false)
	f("", false)
}

func TestValidate(t *testing.T) {
	if err := corezoid.Default().Validate(); err != nil {
		t.Errorf("the default: %v", err)
	}
	c := corezoid.Config{
		APIVersion:     3,
		Ops:            []string{"create:task", "create", ":task", "create:", "a:b:c", "show:task"},
		ForwardHeaders: []string{"User-Agent", "x y", "", "X-Id", "user-agent", "Ключ"},
	}
	const want = `engine.api_version: must be 1 or 2, not 3
auth.ops[1]: must be type:obj as in create:task
auth.ops[2]: must be type:obj as in create:task
auth.ops[3]: must be type:obj as in create:task
auth.ops[4]: must be type:obj as in create:task
forward_headers[1]: is not the name of a header
forward_headers[2]: is not the name of a header
forward_headers[4]: is there already
forward_headers[5]: is not the name of a header`
	if err := c.Validate(); err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
	if _, err := corezoid.New(c, corezoid.Access{}); err == nil {
		t.Error("New takes it")
	}
	c = corezoid.Default()
	c.Ops = nil
	if err := c.Validate(); err == nil || !strings.HasPrefix(err.Error(), "auth.ops: must not be empty") {
		t.Errorf("got %v", err)
	}
}
