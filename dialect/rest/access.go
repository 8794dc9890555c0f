package rest

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"slices"

	"github.com/valyala/fasthttp"

	"syncgate/dialect"
	"syncgate/dialect/os1"
	"syncgate/signer"
)

// digest stands for a credential. It is made with a key that no client knows, so that the time that looking it up takes says nothing of
// how much of a guess was right: every guess has another digest.
type digest [sha256.Size]byte

// caller is an access entry that was read.
type caller struct {
	name    string // as tasks know it: access/NAME
	routes  map[string]bool
	origins []string
	quota   *dialect.Quota // nil: none
	signing signer.Secret  // signs what its receivers get; empty: none
	os1     signer.Secret  // signs what they get in the words of OS1; empty: none
}

// callers know whose a credential is.
type callers struct {
	secret [sha256.Size]byte // of digests
	known  map[digest]*caller
	named  map[string]*caller
	all    []*caller
}

// newCallers makes callers of entries that are valid.
func newCallers(entries []AccessConfig) callers {
	c := callers{known: make(map[digest]*caller, len(entries)), named: make(map[string]*caller, len(entries))}
	_, _ = rand.Read(c.secret[:]) // never fails: the runtime stops the process instead
	for _, e := range entries {
		one := &caller{name: accessName + e.Name, routes: make(map[string]bool, len(e.Routes)), origins: e.Origins, signing: e.SigningSecret, os1: e.CallbackSecret}
		for _, r := range e.Routes {
			one.routes[r] = true
		}
		if e.Rate > 0 {
			one.quota = &dialect.Quota{Name: one.name, Rate: e.Rate, PerAddress: true}
		}
		c.all, c.named[one.name] = append(c.all, one), one
		for _, k := range e.liveKeys() {
			c.known[c.digest(AuthKey, []byte(k))] = one
		}
		if e.User != "" {
			c.known[c.digest(AuthBasic, []byte(e.User+":"+string(e.Password)))] = one
		}
	}
	return c
}

const (
	accessName = "access/" // before the name of an entry: what tasks know their caller by
	routeName  = "route/"  // before the name of a route that anybody may call
)

// liveKeys gives the keys that an entry has now.
func (e *AccessConfig) liveKeys() (keys []string) {
	if e.Key != "" {
		keys = append(keys, string(e.Key))
	}
	for _, k := range e.Keys {
		keys = append(keys, string(k))
	}
	return keys
}

// digest is of the secret first, which has a fixed length, so that nobody else can compute one. It is shown to nobody: an HMAC, which keeps
// others from appending to what a digest is of, would cost twice as much for nothing.
func (c *callers) digest(scheme string, credential []byte) digest {
	const usual = 256
	text := append(make([]byte, 0, usual), c.secret[:]...)
	text = append(append(text, scheme...), 0)
	return sha256.Sum256(append(text, credential...))
}

// presented is what a request says of who sent it.
type presented struct {
	scheme     string // AuthKey or AuthBasic; empty: nothing that we know
	credential []byte
	given      bool // there is something, if only of a scheme that we do not know
}

// present reads the credential of a request. One that comes in several lines is none, as no two readers need agree which. A client of OS1 has one header
// for it, which counts where there is no other.
func present(h *fasthttp.RequestHeader) (p presented) {
	lines := h.PeekAll(fasthttp.HeaderAuthorization)
	keys := h.PeekAll(keyHeader)
	if len(lines)+len(keys) == 0 {
		keys = h.PeekAll(os1.HeaderAccess)
	}
	switch {
	case len(lines) == 1:
		scheme, rest, _ := bytes.Cut(lines[0], []byte(" "))
		rest = bytes.TrimLeft(rest, " ")
		switch {
		case bytes.EqualFold(scheme, []byte("Bearer")):
			return presented{AuthKey, rest, true}
		case bytes.EqualFold(scheme, []byte("Basic")):
			pair, err := base64.StdEncoding.AppendDecode(nil, rest)
			if err != nil {
				return presented{given: true}
			}
			return presented{AuthBasic, pair, true}
		}
		return presented{given: true}
	case len(lines) == 0 && len(keys) == 1:
		return presented{AuthKey, keys[0], true}
	}
	return presented{given: len(lines)+len(keys) > 0}
}

const keyHeader = "X-Api-Key"

// whose gives the caller of a request, nil when its credential is nobody's. A wrong one costs what a right one does.
func (c *callers) whose(p presented) *caller {
	return c.known[c.digest(p.scheme, p.credential)]
}

// challenge is what a 401 asks for.
func challenge(scheme string) string {
	if scheme == AuthBasic {
		return `Basic realm="syncgate", charset="UTF-8"`
	}
	return `Bearer realm="syncgate"`
}

// unauthorized refuses a request whose credential is missing or wrong.
func unauthorized(scheme string, given bool) *dialect.Fault {
	f := &dialect.Fault{Status: fasthttp.StatusUnauthorized, Reason: dialect.BadSignature, Authenticate: challenge(scheme)}
	switch {
	case given && scheme == AuthBasic:
		f.Text = "Incorrect user or password"
	case scheme == AuthBasic:
		f.Text = "A user and a password are needed: Authorization: Basic"
	case given:
		f.Text = "Incorrect key"
	default:
		f.Text = "A key is needed: Authorization: Bearer, or X-Api-Key"
	}
	return f
}

// allowsOrigin reports whether a browser's key may be used by a page. A caller without origins is no browser, and none is asked of it.
func (c *caller) allowsOrigin(origin string) bool { return slices.Contains(c.origins, origin) }

// checkOrigin refuses a browser key in any other hands. A page that calls its own host may send no Origin with a GET: that is refused too, as
// programs can leave it out.
func (c *caller) checkOrigin(h *fasthttp.RequestHeader) *dialect.Fault {
	if len(c.origins) == 0 {
		return nil
	}
	if lines := h.PeekAll(fasthttp.HeaderOrigin); len(lines) == 1 && c.allowsOrigin(string(lines[0])) {
		return nil
	}
	return badOrigin(c.name)
}

func badOrigin(login string) *dialect.Fault {
	return &dialect.Fault{
		Status: fasthttp.StatusForbidden, Reason: dialect.BadOrigin, Login: login, Text: "This key is for pages of other origins, and for nobody else",
	}
}

// mayHear refuses a page that has the token of a task's events and is not of the origins of the task's key. A key without origins hands its
// tokens to whom it likes.
func (c *callers) mayHear(login, origin string) error {
	if one := c.named[login]; one != nil && len(one.origins) > 0 && !one.allowsOrigin(origin) {
		return badOrigin(login)
	}
	return nil
}

// authenticate gives whom the tasks of a request belong to, and its caller where that is an access entry.
func (p *place) authenticate(r *route, h *fasthttp.RequestHeader) (*caller, *dialect.Fault) {
	said := present(h)
	c := p.table.callers.whose(said)
	if c == nil || said.scheme != r.Auth {
		return nil, unauthorized(r.Auth, said.given)
	}
	if fault := c.checkOrigin(h); fault != nil {
		return nil, fault
	}
	if !c.routes[r.Name] {
		return nil, notYours(c.name)
	}
	return c, nil
}

// notYours refuses a caller whose credential is right.
func notYours(login string) *dialect.Fault {
	return &dialect.Fault{
		Status: fasthttp.StatusForbidden, Reason: dialect.BadSignature, Login: login, Text: "This key is not one of those that may call this route",
	}
}
